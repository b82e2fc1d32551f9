// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_SCOPE_HPP
#define LOOPSAFE_RUN_DETAIL_SCOPE_HPP

#include <loopsafe/async/detail/cancellable.hpp>
#include <loopsafe/async/detail/is_cancellation.hpp>
#include <loopsafe/context/ref.hpp>
#include <loopsafe/error.hpp>
#include <loopsafe/run/detail/task_list.hpp>
#include <loopsafe/run/detail/task_memory.hpp>
#include <loopsafe/run/spawn.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

namespace loopsafe::detail {

namespace asio = boost::asio;

// What is said of one that is destroyed unfinished.
inline std::exception_ptr lost_task(const char* what, const std::source_location& where) noexcept
{
    using boost::system::system_error;
    const auto code = make_error_code(errc::task_lost);
    try {
        return std::make_exception_ptr(where.line() == 0 ? system_error(code)
                                                         : system_error(code, what + place(where)));
    } catch (...) { // no memory
        return std::current_exception();
    }
}

// Coroutines that begin and end together, and the one that awaits them.
//
// A context that dies destroys the frame that awaits before those that it awaits, unless these own
// it: the scope owns itself until the last child's handler is gone, and it owns the handler of who
// awaits it. So what awaits keeps no owning pointer to the scope while it is suspended.
//
// All of it happens on one executor, which runs one handler at a time.
class scope : public std::enable_shared_from_this<scope> {
public:
    explicit scope(asio::any_io_executor executor) : executor_(std::move(executor)) {}
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;
    virtual ~scope()
    {
        if (awaits_ != nullptr)
            std::destroy_at(awaits_);
    }

    // False if it takes no more; then the task does not begin. Exception safety: strong.
    template <class F>
    bool start(F&& function, const std::source_location& where)
    {
        return start_by(
            [&](cancellable& how) {
                return run_cancellable(std::decay_t<F>(std::forward<F>(function)), how);
            },
            where);
    }

    // The same for a coroutine that begins and ends as run_cancellable() does: make(cancellable&).
    template <class Make>
    bool start_by(Make&& make, const std::source_location& where)
    {
        if (cancelled_ || joined_)
            return false;
        const starting now(*this);
        handler ends(*this, where); // gone before that, whatever throws
        being_started_ = ends.self();
        auto task = make(*ends.self());
        asio::co_spawn(executor_, std::move(task), std::move(ends));
        return true;
    }

    // Terminal, for those that run; none begins any more.
    void cancel() noexcept
    {
        if (std::exchange(cancelled_, true))
            return;
        const auto self = shared_from_this(); // the last child may end meanwhile
        cancelling_ = true;
        for (auto* each = running_.first(); each != nullptr; each = running_.next()) {
            try {
                each->emit(asio::cancellation_type::terminal);
            } catch (...) { // it is awaited all the same
                fail(std::current_exception());
            }
        }
        cancelling_ = false;
        if (!running_.empty())
            go_on_cancelled();
    }

    bool is_cancelled() const noexcept { return cancelled_; }

    // It may be so after the last child has ended well, which is too late to matter to them.
    void cancel_for_caller() noexcept
    {
        by_caller_ = true;
        cancel();
    }
    bool was_cancelled_by_caller() const noexcept { return by_caller_; }
    std::size_t running() const noexcept { return running_.size(); }

    // The error that whoever awaits it gets, for want of another.
    void fail(std::exception_ptr error) noexcept
    {
        if (error_ == nullptr)
            error_ = std::move(error);
    }
    bool has_error() const noexcept { return error_ != nullptr; }
    void rethrow_error() const
    {
        if (error_ != nullptr)
            std::rethrow_exception(error_);
    }

    // Completes when the last child has ended, with this. Cannot fail: the children refer to what
    // awaits them. Preconditions: nobody has awaited it.
    template <class Handler>
    void await(Handler&& awaits)
    {
        using stored = awaiting_with<std::decay_t<Handler>>;
        static_assert(sizeof(stored) <= sizeof(room_) && alignof(stored) <= alignof(void*));
        auto slot = asio::get_associated_cancellation_slot(awaits);
        awaits_ = ::new (static_cast<void*>(room_)) stored(std::forward<Handler>(awaits));
        try {
            if (slot.is_connected())
                slot.template emplace<cancels>(weak_from_this());
        } catch (const std::bad_alloc&) {
            fail(std::current_exception());
            cancel();
        }
        if (running_.empty() && !joined_) // the last may have ended while it was cancelled here
            complete();
    }

    const asio::any_io_executor& get_executor() const noexcept { return executor_; }

protected:
    // A child has failed, and not since it was cancelled.
    virtual void failed(const std::exception_ptr& error, const std::source_location& started) = 0;
    // A child is in the list no longer.
    virtual void left() noexcept {}
    // It was cancelled, and has children all the same.
    virtual void go_on_cancelled() noexcept {}

    bool has_ended() const noexcept { return joined_; }
    const task_list& children() const noexcept { return running_; }

private:
    struct awaiting {
        virtual ~awaiting() = default;
        virtual void resume(std::shared_ptr<scope> ended) = 0;
    };

    template <class Handler>
    struct awaiting_with final : awaiting {
        explicit awaiting_with(Handler&& h) : resumes(std::move(h)) {}

        void resume(std::shared_ptr<scope> ended) override
        {
            auto slot = asio::get_associated_cancellation_slot(resumes);
            if (slot.is_connected())
                slot.clear();
            auto now = std::move(resumes);
            ended->awaits_ = nullptr;
            std::destroy_at(this);
            std::move(now)(std::move(ended));
        }

        Handler resumes;
    };

    // It owns nothing: the caller's slot may outlive all of this.
    struct cancels {
        explicit cancels(std::weak_ptr<scope> s) noexcept : which(std::move(s)) {}

        void operator()(asio::cancellation_type) const
        {
            if (const auto alive = which.lock())
                alive->cancel_for_caller();
        }

        std::weak_ptr<scope> which;
    };

    // The completion handler of a child, which is in the list for as long as this exists: one that
    // is destroyed leaves the list like one that ends.
    class handler {
    public:
        using cancellation_slot_type = asio::cancellation_slot;

        handler(scope& of, const std::source_location& where) : in_(&of), self_(&of.add(where)) {}
        handler(handler&& other) noexcept
            : in_(std::exchange(other.in_, nullptr)), self_(other.self_)
        {
        }
        handler& operator=(handler&&) = delete;
        ~handler()
        {
            if (in_ != nullptr)
                in_->lose(*self_);
        }

        cancellation_slot_type get_cancellation_slot() const noexcept { return self_->slot(); }

        void operator()(const std::exception_ptr& error)
        {
            std::exchange(in_, nullptr)->end(*self_, error);
        }

        task_list::task* self() const noexcept { return self_; }

    private:
        scope* in_;
        task_list::task* self_;
    };

    // While a child is being started: if that throws, its caller hears of it.
    struct starting {
        explicit starting(scope& s) noexcept : of(s.shared_from_this()), outer(s.being_started_) {}
        ~starting() { of->being_started_ = outer; }

        std::shared_ptr<scope> of;
        task_list::task* outer;
    };

    // What a cancellation ends is no failure.
    void judge(const std::exception_ptr& error, const std::source_location& started) noexcept
    {
        if (!(cancelled_ && is_cancellation(error)))
            failed(error, started);
    }

    task_list::task& add(const std::source_location& where)
    {
        auto& child = memory_.make(where);
        if (running_.empty())
            self_ = shared_from_this();
        running_.add(child);
        return child;
    }

    // Gives what owns this, when the last child is gone.
    std::shared_ptr<scope> take_out(task_list::task& gone) noexcept
    {
        running_.take_out(gone);
        memory_.destroy(gone);
        return running_.empty() ? std::move(self_) : nullptr;
    }

    // A child has ended, and its frame is gone. The caller goes on at once, unless that is within
    // a cancellation, which may be its own. What that throws is Asio's.
    void end(task_list::task& gone, const std::exception_ptr& error)
    {
        if (error != nullptr)
            judge(error, gone.started);
        const auto last = take_out(gone);
        left();
        if (last == nullptr || awaits_ == nullptr || joined_)
            return;
        if (cancelling_)
            complete();
        else
            resume();
    }

    // A child is destroyed unfinished.
    void lose(task_list::task& gone) noexcept
    {
        const bool was_refused = &gone == being_started_;
        const auto started = gone.started;
        const auto last = take_out(gone);
        if (!was_refused && !home_.alive())
            return; // the context is being destroyed, and what awaits this with it
        if (!was_refused)
            judge(lost_task("started", started), started);
        left();
        if (last != nullptr && awaits_ != nullptr && !joined_)
            complete();
    }

    // Not from within the last child. If that is for want of memory all the same, so be it.
    void complete() noexcept
    {
        joined_ = true;
        try {
            asio::post(executor_, [self = shared_from_this()] { self->resume(); });
        } catch (const std::bad_alloc&) {
            resume();
        }
    }

    void resume()
    {
        joined_ = true;
        awaits_->resume(shared_from_this());
    }

    const asio::any_io_executor executor_;
    const context_ref home_ = context_of(executor_);
    task_memory memory_;
    task_list running_;
    std::shared_ptr<scope> self_;              // while any run
    task_list::task* being_started_ = nullptr; // by start_by()
    awaiting* awaits_ = nullptr;               // in `room_`
    alignas(void*) std::byte room_[8 * sizeof(void*)];
    std::exception_ptr error_;
    bool cancelled_ = false;
    bool cancelling_ = false;
    bool by_caller_ = false;
    bool joined_ = false;
};

// Makes a scope of this type, starts there what `start` starts, awaits it, and gives its result().
template <class Scope, class Start, class... Options>
asio::awaitable<typename Scope::result_type> run_scope(Start start, Options... options)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    auto children = std::make_shared<Scope>(executor, options...);
    // From here to the end nothing may throw: the children would be left alone.
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    try {
        start(*children);
    } catch (...) {
        children->fail(std::current_exception());
        children->cancel();
    }
    const asio::cancellation_state caller = co_await asio::this_coro::cancellation_state;
    if (caller.cancelled() != asio::cancellation_type::none)
        children->cancel_for_caller();
    const auto ended =
        co_await asio::async_initiate<const asio::deferred_t, void(std::shared_ptr<scope>)>(
            [](auto handler, std::shared_ptr<Scope>* given) {
                const auto which = std::move(*given);
                which->await(std::move(handler));
            },
            asio::deferred, &children);
    co_await asio::this_coro::throw_if_cancelled(throws);
    co_return static_cast<Scope&>(*ended).result();
}

// Errors that nobody else is told of: at the end of run() or of the runner.
inline void report_further(const asio::any_io_executor& executor, const std::exception_ptr& error)
{
    context_local<background_tasks>::in(executor).report(error);
}

// Where another error is thrown in any case.
inline void report_quietly(const asio::any_io_executor& executor,
                           const std::exception_ptr& error) noexcept
{
    try {
        report_further(executor, error);
    } catch (...) { // no memory
    }
}

// What a scope comes to whose children gave no value and no error: it was cancelled.
[[noreturn]] inline void throw_cancelled()
{
    throw boost::system::system_error(asio::error::operation_aborted);
}

} // namespace loopsafe::detail

#endif
