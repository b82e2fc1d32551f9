// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_TASKS_HPP
#define LOOPSAFE_RUN_DETAIL_TASKS_HPP

#include <loopsafe/run/detail/due_list.hpp>
#include <loopsafe/run/detail/scope.hpp>
#include <loopsafe/run/task_scope_options.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace loopsafe::detail {

// The tasks of with_tasks().
class tasks : public scope {
public:
    tasks(const asio::any_io_executor& executor, const task_scope_options& options)
        : scope(executor), options_(options), free_(executor, asio::steady_timer::time_point::max())
    {
    }

    bool has_room() const noexcept { return running() - has_body < options_.max_running; }
    // Completes when a task has ended, or the caller is cancelled.
    auto wait_for_room() { return free_.async_wait(asio::as_tuple(asio::deferred)); }
    // By one who waited, and starts nothing: it may have been woken for room.
    void pass_on_room() noexcept
    {
        if (has_room())
            left();
    }

    std::size_t has_body = 0; // among the children

    ~tasks() override { end_limits(); }

    // Exception safety: strong.
    void begin_limits()
    {
        if (options_.max_running == 0)
            throw boost::system::system_error(
                make_error_code(errc::bad_option),
                "with_tasks: max_running is 0: start_when_free() would wait for ever");
        if (options_.deadline.left() == std::chrono::nanoseconds::zero())
            throw_timed_out();
        if (!options_.deadline.is_never())
            until_.begin(options_.deadline, get_executor());
    }
    void end_limits() noexcept
    {
        until_.end();
        grace_.end();
    }
    bool has_expired() const noexcept { return expired_; }

    template <class F>
    void start_or_fail(F&& function, const std::source_location& where)
    {
        try {
            start(std::forward<F>(function), where);
        } catch (...) {
            failed(std::current_exception(), where);
        }
    }

private:
    // What happens at a time, unless all tasks have ended before.
    class limit {
    public:
        limit(tasks& of, void (tasks::*then)() noexcept) noexcept : of_(of), then_(then) {}

        void begin(const loopsafe::deadline& due, const asio::any_io_executor& executor)
        {
            entry_.emplace(due, *this);
            list_ = &due_list<pool_clock>::of(executor);
            list_->add(*entry_, pool_clock::read());
        }
        void end() noexcept
        {
            if (auto* const list = std::exchange(list_, nullptr))
                list->remove(*entry_);
        }

    private:
        struct entry final : due_entry<pool_clock> {
            entry(const loopsafe::deadline& due, limit& l) noexcept : due_entry(due), in(l) {}

            std::shared_ptr<due_entry> keep() override { return {in.of_.shared_from_this(), this}; }
            void passed() override
            {
                asio::dispatch(in.of_.get_executor(), [self = in.of_.shared_from_this(), &l = in] {
                    if (!l.of_.has_ended())
                        (l.of_.*l.then_)();
                });
            }

            limit& in;
        };

        tasks& of_;
        void (tasks::* const then_)() noexcept;
        std::optional<entry> entry_;
        due_list<pool_clock>* list_ = nullptr;
    };

    void expire() noexcept
    {
        expired_ = expired_ || !is_cancelled();
        cancel();
    }

    void go_on_cancelled() noexcept override
    {
        try {
            if (options_.grace != never)
                grace_.begin(options_.grace, get_executor());
        } catch (...) { // no memory: nobody hears of it
        }
    }

    void tell_of_stuck() noexcept
    {
        if (std::exchange(told_, true))
            return;
        children().for_each([this](const task_list::task& each) {
            try {
                report(std::make_exception_ptr(boost::system::system_error(
                           make_error_code(errc::task_stuck),
                           each.started.line() == 0 ? "the function of with_tasks()"
                                                    : "started" + place(each.started))),
                       each.started);
            } catch (...) { // no memory
            }
        });
    }

    void failed(const std::exception_ptr& error, const std::source_location& started) override
    {
        if (has_error())
            report(error, started);
        else
            fail(error);
        if (options_.errors == on_error::cancel_siblings)
            cancel();
    }

    void report(const std::exception_ptr& error, const std::source_location& started) noexcept
    {
        try {
            if (options_.further != nullptr)
                options_.further->push_back({error, started});
            else
                report_further(get_executor(), error);
        } catch (const std::bad_alloc&) { // and the first error is thrown
        }
    }

    void left() noexcept override
    {
        try {
            free_.cancel_one();
        } catch (...) { // declared, though never thrown by Asio's reactors
        }
    }

    const task_scope_options options_;
    asio::steady_timer free_;
    limit until_{*this, &tasks::expire};
    limit grace_{*this, &tasks::tell_of_stuck};
    bool expired_ = false;
    bool told_ = false;
};

} // namespace loopsafe::detail

#endif
