// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_CORE_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_CORE_HPP

#include <loopsafe/offload/detail/blocked_signals.hpp>
#include <loopsafe/testing/detail/lambda_service/child.hpp>
#include <loopsafe/testing/detail/lambda_service/environment.hpp>
#include <loopsafe/testing/detail/lambda_service/planned_faults.hpp>
#include <loopsafe/testing/detail/lambda_service/pledge.hpp>
#include <loopsafe/testing/detail/lambda_service/processes.hpp>
#include <loopsafe/testing/detail/lambda_service/route.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace loopsafe::testing::detail {

// The service's thread, and all that only this thread touches.
class service_core final : public session_owner {
    using kind = lambda_violation::kind;
    using tcp = asio::ip::tcp;

public:
    explicit service_core(lambda_service_options how)
        : options(std::move(how)),
          run_(options, request_checks(violations), [this] { frozen_.thaw(); }),
          acceptor_(context_),
          holder_(context_),
          timer_(context_)
    {
        // Keeps the port when nobody listens on it.
        open(holder_, {asio::ip::address_v4::loopback(), 0});
        endpoint_ = holder_.local_endpoint();
        listen();
        const loopsafe::detail::blocked_signals while_it_starts;
        thread_ = std::thread([this] { context_.run(); });
    }
    service_core(const service_core&) = delete;
    service_core& operator=(const service_core&) = delete;
    ~service_core()
    {
        context_.stop();
        thread_.join();
    }

    // Calls `f` on the service's thread, and returns or throws what it does.
    template <class F>
    auto ask(F f)
    {
        using task = std::packaged_task<std::invoke_result_t<F&>()>;
        const auto call = std::make_shared<task>(std::move(f));
        auto answer = call->get_future();
        asio::post(context_, [call, this] {
            (*call)();
            settle();
        });
        return answer.get();
    }

    template <class F>
    void tell(F f)
    {
        asio::post(context_, [f = std::move(f), this]() mutable {
            f();
            settle();
        });
    }

    // Keeps the pledge once that holds.
    template <class Condition>
    void when(Condition condition, std::shared_ptr<pledge<bool>> kept)
    {
        tell([=, this] {
            add_chore([condition, kept] {
                const bool holds = condition();
                if (holds)
                    kept->keep(true);
                return holds || !kept->wanted();
            });
        });
    }

    environment& run() noexcept { return run_; }
    std::string address() const
    {
        return "127.0.0.1:" + std::to_string(endpoint_.port()) + options.prefix;
    }

    void listen()
    {
        if (acceptor_.is_open())
            return;
        open(acceptor_, endpoint_);
        acceptor_.listen();
        asio::co_spawn(context_, accept(), asio::detached);
    }
    void stop_listening() { acceptor_.close(); }

    void restore(std::shared_ptr<pledge<lambda_reply>> done)
    {
        run_.start().restore();
        add_chore([this, done] {
            lambda_reply reply;
            switch (run_.state()) {
            case runtime_state::restoring: return !done->wanted();
            case runtime_state::restore_error: reply = run_.start().failure(); break;
            default: reply.how = lambda_reply::kind::response;
            }
            done->keep(std::move(reply));
            return true;
        });
    }

    // Processes.

    std::shared_ptr<child_process> start(const function_options& how,
                                         const std::vector<std::string>& variables)
    {
        const auto child = std::make_shared<child_process>(context_, how, variables);
        if (std::exchange(current_child_, child->pid) != 0)
            run_.forget("another process took its place");
        asio::co_spawn(context_, child->listen(), asio::detached);
        asio::co_spawn(context_, watch(child), asio::detached);
        return child;
    }

    void freeze(pid_t pid, std::shared_ptr<pledge<bool>> when)
    {
        add_chore([this, pid, when] {
            if (process_state(pid) != '\0' && !run_.idle())
                return !when->wanted();
            if (when->wanted())
                when->keep(frozen_.freeze(pid));
            return true;
        });
    }

    void terminate(pid_t pid, std::chrono::milliseconds within,
                   std::shared_ptr<pledge<termination>> when)
    {
        asio::co_spawn(context_, end(pid, within, std::move(when)), asio::detached);
    }

    const lambda_service_options options;
    std::vector<lambda_violation> violations;
    planned_faults faults;
    std::size_t connections = 0;

private:
    // What is known of a request while it is answered.
    struct exchange {
        route to;
        std::optional<fault> wrong;
        std::shared_ptr<invocation_call> call; // whose response this is
    };

    static exchange& about(session& from) { return *static_cast<exchange*>(from.about.get()); }

    template <class Socket>
    static void open(Socket& socket, const tcp::endpoint& where)
    {
        const int yes = 1;
        socket.open(where.protocol());
        if (::setsockopt(socket.native_handle(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) != 0)
            throw_errno("lambda_service: SO_REUSEPORT");
        socket.bind(where);
    }

    asio::awaitable<void> accept()
    {
        for (;;) {
            auto [ec, socket] =
                co_await acceptor_.async_accept(asio::as_tuple(asio::use_awaitable));
            if (ec == asio::error::operation_aborted || !acceptor_.is_open())
                co_return;
            if (ec) { // such as that there are no descriptors at the moment
                asio::steady_timer pause(context_, std::chrono::milliseconds(10));
                co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
                continue;
            }
            ++connections;
            asio::co_spawn(context_,
                           session::serve(std::make_shared<session>(std::move(socket), *this)),
                           asio::detached);
        }
    }

    asio::awaitable<void> watch(std::shared_ptr<child_process> child)
    {
        const auto how = co_await child->watch();
        if (current_child_ == child->pid) {
            current_child_ = 0;
            run_.forget(how.signal != 0 ? "signal " + std::to_string(how.signal)
                                        : "exit status " + std::to_string(how.code));
        }
        settle();
    }

    asio::awaitable<void> end(pid_t pid, std::chrono::milliseconds within,
                              std::shared_ptr<pledge<termination>> when)
    {
        const bool politely = !run_.extensions.empty();
        run_.end_reason = "SPINDOWN";
        const auto how = co_await end_process(context_, pid, politely, within, frozen_);
        run_.extensions.tell(
            "SHUTDOWN", news_of_end("SPINDOWN", loopsafe::detail::later(run_.now().wall, within)));
        when->keep(how);
    }

    void on_head(session& from) override
    {
        std::string_view target = from.request().target;
        route to;
        if (target.starts_with(options.prefix))
            to = find_route(from.request().method, target.substr(options.prefix.size()));
        const auto known = std::make_shared<exchange>(exchange{to, faults.next(to.where), nullptr});
        from.about = known;
        const auto& wrong = known->wrong;
        const bool refuse = wrong && wrong->what() == fault::kind::refuse;
        const bool status = wrong && wrong->what() == fault::kind::status;
        if (refuse || status)
            run_.not_taken(to.id, status);
        if (refuse)
            from.reset();
        else if (status)
            from.answer(refusal(static_cast<unsigned>(wrong->number()), "InjectedFault",
                                "a test wants this answer"));
        else if (to.where == at::response)
            known->call = run_.open_response(from, to.id);
        settle();
    }

    void on_chunk(session& from, std::string chunk) override
    {
        const auto& call = about(from).call;
        if (call != nullptr && !from.answered() && run_.small_enough(from, call))
            call->hear(std::move(chunk));
        settle();
    }

    void on_request(session& from) override
    {
        if (!from.answered())
            take(from, about(from));
        settle();
    }

    void take(session& from, const exchange& known)
    {
        const auto& wrong = known.wrong;
        request_checks checks(violations);
        switch (known.to.where) {
        case at::next: return run_.next(from, wrong);
        case at::response:
            if (known.call != nullptr && run_.small_enough(from, known.call)) {
                checks.response(from.request());
                run_.end_response(from, known.call, wrong);
            }
            return;
        case at::error: checks.error(from.request()); return run_.error(from, known.to.id, wrong);
        case at::init_error: checks.error(from.request()); return run_.init_error(from, wrong);
        case at::restore_next:
            if (options.snap_start)
                return run_.start().restore_next(from, wrong);
            break;
        case at::restore_error:
            if (!options.snap_start)
                break;
            checks.error(from.request());
            return run_.restore_error(from, wrong);
        case at::extension_register:
            return run_.extensions.enter(from, run_.past_init(), options.function_name, wrong);
        case at::extension_next: run_.extensions.next(from, wrong); return run_.dispatch();
        case at::extension_error: return run_.extensions.error(from, wrong);
        case at::other: break;
        }
        checks.add(kind::unknown_route, from.request().method + " " + from.request().target);
        if (known.to.wrong_method)
            from.answer({405, {}, ""}, wrong);
        else
            from.answer({404, {{"Content-Type", "text/plain"}}, "404 page not found\n"}, wrong);
    }

    void on_lost(session& from) override
    {
        if (from.about == nullptr)
            return;
        if (const auto& call = about(from).call; call != nullptr)
            run_.cut_response(call);
        run_.lost(from);
        run_.extensions.lost(from);
        settle();
    }

    void on_garbage(session& from) override
    {
        violations.push_back({kind::bad_request, "what came is not an HTTP request"});
        if (from.about != nullptr)
            on_lost(from);
    }

    // A chore is tried after each change, until it says that it is done.
    void add_chore(std::function<bool()> chore) { chores_.push_back(std::move(chore)); }

    // After each change.
    void settle()
    {
        for (std::size_t i = 0; i < chores_.size();) {
            const auto chore = chores_[i]; // it may add others
            if (chore())
                chores_.erase(chores_.begin() + static_cast<std::ptrdiff_t>(i));
            else
                ++i;
        }
        const auto due = run_.earliest_due();
        if (options.clock != nullptr || due == armed_for_)
            return;
        armed_for_ = due;
        if (!due) {
            timer_.cancel();
            return;
        }
        timer_.expires_at(std::chrono::steady_clock::time_point(*due));
        timer_.async_wait([this](const boost::system::error_code& ec) {
            if (ec)
                return;
            armed_for_.reset();
            run_.expire(run_.now());
            settle();
        });
    }

    asio::io_context context_{1};
    // It may have nothing to wait for: nobody listens, and nobody is connected.
    asio::executor_work_guard<asio::io_context::executor_type> stays_{context_.get_executor()};
    environment run_;
    tcp::acceptor acceptor_;
    tcp::socket holder_;
    asio::steady_timer timer_;
    tcp::endpoint endpoint_;
    std::optional<std::chrono::nanoseconds> armed_for_;
    std::vector<std::function<bool()>> chores_;
    frozen_processes frozen_;
    pid_t current_child_ = 0; // 0: it has ended
    std::thread thread_;
};

} // namespace loopsafe::testing::detail

#endif
