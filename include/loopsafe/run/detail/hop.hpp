// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_HOP_HPP
#define LOOPSAFE_RUN_DETAIL_HOP_HPP

#include <loopsafe/async/detail/cancellable.hpp>
#include <loopsafe/async/detail/completion.hpp>
#include <loopsafe/async/detail/is_awaitable.hpp>
#include <loopsafe/async/detail/serial_executor.hpp>
#include <loopsafe/context/bound.hpp>
#include <loopsafe/offload/detail/call.hpp>
#include <loopsafe/offload/detail/perform.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/execution/bad_executor.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>

// A function that runs on another context, and its caller.
namespace loopsafe::detail {

namespace asio = boost::asio;

template <class T>
struct value_of_call {
    using type = T;
};
template <class T>
struct value_of_call<asio::awaitable<T>> {
    using type = T;
};

// Of whoever asks, for reports.
struct hop_origin {
    const char* operation;
    std::source_location where;
};

// Where to go. An executor may be a strand, which must not outlive its context.
class way_home {
public:
    explicit way_home(context_ref home) noexcept : home_(std::move(home)), is_any_(true) {}

    // Precondition: the executor has a context, which is alive.
    explicit way_home(const asio::any_io_executor& executor) : home_(context_of(executor))
    {
        residents::of(executor); // which knows that of an io_context itself
        if (untracked(executor).target<asio::io_context::executor_type>() == nullptr)
            own_ = context_bound<asio::any_io_executor>(executor, untracked(executor));
    }

    // For another journey.
    way_home again() const
    {
        way_home another(home_);
        another.is_any_ = is_any_;
        const context_pin pin(home_);
        if (own_ && pin.may_touch() && home_.alive()) {
            const auto executor = executor_at_home();
            another.own_ = context_bound<asio::any_io_executor>(executor, executor);
        }
        return another;
    }

    const context_ref& home() const noexcept { return home_; }

    // Whether somebody who runs on this executor is there already.
    bool is_here(const asio::any_io_executor& executor) const
    {
        const auto* const asking = asking_context(executor);
        if (asking == nullptr || !home_.is(*asking))
            return false;
        return is_any_ || executor_at_home() == untracked(executor);
    }

    // Precondition: the caller is at home, or has it pinned.
    asio::any_io_executor executor_at_home() const
    {
        if (own_)
            return *value_if_alive(own_);
        return asio::use_service<residents>(*context_access::state(home_)->address).get_executor();
    }

    // False, and the handler is dropped, where the home is gone. It is pinned only while this
    // posts.
    template <class Handler>
    bool post(Handler&& handler) const
    {
        const context_pin pin(home_);
        if (!pin.may_touch() || !home_.alive())
            return false;
        const auto executor = executor_at_home();
        if (!executor) // nothing of this library has lived there
            throw asio::execution::bad_executor();
        post_to(executor, std::forward<Handler>(handler));
        return true;
    }

private:
    context_ref home_;
    context_bound<asio::any_io_executor> own_; // empty: one of the context
    bool is_any_ = false;
};

// Bound is called once, at home. Its result, or that of its coroutine, comes back.
template <class Bound>
class hop_call final : public offloaded_call {
    using returned = std::invoke_result_t<Bound&>;
    static constexpr bool is_coroutine = is_awaitable<returned>;
    // Of whoever sends it and of the home: what is dropped during the first two is the sender's to
    // end, or that of whoever begins it.
    enum stage : int { sending, beginning, queued, begun, withdrawn, dropped };

public:
    using result_type = typename value_of_call<returned>::type;

    static counted_ref<hop_call> make(way_home to, Bound bound)
    {
        allocator memory;
        auto* const place = memory.allocate(1);
        try {
            return {*new (place) hop_call(std::move(to), std::move(bound)),
                    typename counted_ref<hop_call>::adopt()};
        } catch (...) {
            memory.deallocate(place, 1);
            throw;
        }
    }

    // By the caller. It hears of it when the function has ended, or cannot begin.
    void send() noexcept
    {
        add_reference();
        std::exception_ptr error;
        try {
            to_.post(arrival(*this));
        } catch (...) { // no memory
            error = std::current_exception();
        }
        end_if_dropped(sending, queued, error);
    }

    // By the caller: whether the function will not run. Its home may still have to find that out.
    bool withdraw() noexcept { return moves_on(queued, withdrawn); }

    void request_stop() noexcept override
    {
        if constexpr (is_coroutine) {
            try {
                to_.post([call = counted_ref<hop_call>(*this)] {
                    if (!call->ended_)
                        call->cancels_.emit(asio::cancellation_type::terminal);
                });
            } catch (...) { // no memory: it runs to its end
            }
        }
    }

    void drop_function() noexcept override { bound_.reset(); }

    result_type take(const asio::any_io_executor& asking, const hop_origin& origin)
    {
        if (outcome_.index() == lost_index) {
            if (to_.home().alive())
                throw boost::system::system_error(make_error_code(errc::task_lost));
            throw context_error(refusal(to_.home(), asking, origin.operation, "call", origin.where,
                                        "make the call while the home is alive"));
        }
        if (auto* error = std::get_if<error_index>(&outcome_))
            std::rethrow_exception(std::exchange(*error, nullptr));
        if constexpr (!std::is_void_v<result_type>)
            return std::move(std::get<value_index>(outcome_));
    }

private:
    using allocator = asio::recycling_allocator<hop_call>;
    struct nothing {};
    using value = std::conditional_t<std::is_void_v<result_type>, nothing, result_type>;
    static constexpr std::size_t lost_index = 0, value_index = 1, error_index = 2;

    hop_call(way_home&& to, Bound&& bound) : to_(std::move(to)), bound_(std::move(bound)) {}
    ~hop_call() = default;

    // What is posted to the home: with the home's reference, from send() on.
    class arrival {
    public:
        explicit arrival(hop_call& of) noexcept : call_(&of) {}
        arrival(arrival&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
        arrival& operator=(arrival&&) = delete;
        ~arrival()
        {
            if (call_ != nullptr)
                call_->drop_on_the_way();
        }
        void operator()() { std::exchange(call_, nullptr)->begin(); }

    private:
        hop_call* call_;
    };

    // The completion handler of a coroutine.
    class spawned {
    public:
        using cancellation_slot_type = asio::cancellation_slot;

        explicit spawned(hop_call& of) noexcept : call_(&of) {}
        spawned(spawned&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
        spawned& operator=(spawned&&) = delete;
        ~spawned()
        {
            if (call_ != nullptr && !call_->moves_on(beginning, dropped))
                call_->end();
        }
        cancellation_slot_type get_cancellation_slot() const noexcept
        {
            return call_->cancels_.slot();
        }
        void operator()(const std::exception_ptr& error)
        {
            if (error != nullptr)
                call_->outcome_.template emplace<error_index>(error);
            std::exchange(call_, nullptr)->end();
        }

    private:
        hop_call* call_;
    };

    bool moves_on(int from, int to) noexcept { return stage_.compare_exchange_strong(from, to); }

    void end_if_dropped(int now, int next, const std::exception_ptr& error) noexcept
    {
        if (moves_on(now, next) || stage_ != dropped)
            return;
        if (error != nullptr)
            outcome_.template emplace<error_index>(error);
        end();
    }

    void drop_on_the_way() noexcept
    {
        if (moves_on(sending, dropped))
            return;
        if (moves_on(queued, dropped))
            end();
        else
            drop_reference(); // it was withdrawn
    }

    void begin() noexcept
    {
        if (moves_on(sending, begun) || moves_on(queued, begun))
            run();
        else
            drop_reference();
    }

    void run() noexcept override
    {
        if constexpr (is_coroutine) {
            begin_coroutine();
        } else {
            try {
                if constexpr (std::is_void_v<result_type>) {
                    (*bound_)();
                    outcome_.template emplace<value_index>();
                } else {
                    outcome_.template emplace<value_index>((*bound_)());
                }
            } catch (...) {
                outcome_.template emplace<error_index>(std::current_exception());
            }
            end();
        }
    }

    void begin_coroutine() noexcept
    {
        const counted_ref<hop_call> until_it_has_begun(*this);
        stage_ = beginning;
        std::exception_ptr error;
        try {
            auto task = go(this);
            asio::co_spawn(to_.executor_at_home(), std::move(task), spawned(*this));
        } catch (...) { // no memory, perhaps not even for `task`
            error = std::current_exception();
            moves_on(beginning, dropped);
        }
        end_if_dropped(beginning, begun, error);
    }

    static asio::awaitable<void> go(hop_call* call)
    {
        struct ending {
            hop_call& of;
            ~ending() { of.ended_ = true; }
        };
        const ending at_the_end{*call};
        try {
            call->cancels_.begin();
            if constexpr (std::is_void_v<result_type>) {
                co_await (*call->bound_)();
                call->outcome_.template emplace<value_index>();
            } else {
                call->outcome_.template emplace<value_index>(co_await (*call->bound_)());
            }
        } catch (...) {
            call->outcome_.template emplace<error_index>(std::current_exception());
        }
        co_await asio::this_coro::throw_if_cancelled(false); // see run_cancellable()
    }

    // At home, or where the home is destroyed: gives the home's reference away.
    void end() noexcept
    {
        bound_.reset();
        if (!settle([] {}))
            drop();
    }

    void refuse(errc) noexcept override {}
    void drop_result() noexcept override { outcome_.template emplace<lost_index>(); }
    void destroy() noexcept override
    {
        std::destroy_at(this);
        allocator().deallocate(this, 1);
    }

    friend void std::destroy_at<hop_call>(hop_call*);

    const way_home to_;
    std::optional<Bound> bound_;
    std::variant<std::monostate, value, std::exception_ptr> outcome_;
    std::atomic<int> stage_{sending};
    cancellable cancels_; // of a coroutine, at home
    bool ended_ = false;
};

// The effect of a cancellation. It may outlive the caller, as the signal may.
template <class Call>
struct hop_cancellation {
    counted_ref<Call> call;

    void operator()(asio::cancellation_type type)
    {
        if (type == asio::cancellation_type::none)
            return;
        if (call->withdraw()) {
            call->drop_function();
            call->give_up();
        } else {
            call->request_stop();
        }
    }
};

// The caller leaves: it has the result, has given up, or is being destroyed.
template <class Call>
struct hop_ending {
    Call& call;
    bool sent = false;

    ~hop_ending()
    {
        if (!sent || call.withdraw())
            call.drop_function();
        else if (!call.settled())
            call.request_stop();
        call.leave();
    }
};

template <class Call>
asio::awaitable<typename Call::result_type>
await_hop(counted_ref<Call> call, asio::any_io_executor executor, hop_origin origin)
{
    residents::of(executor);
    asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
    call->waits_on(timer, context_of(executor));
    const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
    auto slot = cancellation.slot();
    if (slot.is_connected())
        slot.template emplace<hop_cancellation<Call>>(call);
    hop_ending<Call> at_the_end{*call};
    const auto begin = [&](auto handler) {
        const auto keep_call = call; // the caller may have ended meanwhile, on another thread
        at_the_end.sent = true;
        try {
            timer.async_wait(
                asio::bind_cancellation_slot(asio::cancellation_slot(), std::move(handler)));
        } catch (...) { // then nothing can have ended the caller
            at_the_end.sent = false;
            throw;
        }
        keep_call->send();
    };
    co_await asio::async_initiate<const asio::as_tuple_t<asio::use_awaitable_t<>>,
                                  void(error_code)>(begin, asio::as_tuple(asio::use_awaitable));
    slot.clear();
    if (!call->settled())
        throw boost::system::system_error(asio::error::operation_aborted, origin.operation);
    co_return call->take(executor, origin);
}

inline bool is_here(const context_ref& home, const asio::any_io_executor& executor) noexcept
{
    const auto* const asking = asking_context(executor);
    return asking != nullptr && home.is(*asking);
}
inline bool is_here(const way_home& to, const asio::any_io_executor& executor)
{
    return to.is_here(executor);
}

// No coroutine, so that the frame of hop() stays small: Asio does not recycle a large one.
template <class Bound>
asio::awaitable<typename hop_call<Bound>::result_type>
begin_hop(way_home to, Bound& bound, const asio::any_io_executor& executor,
          const hop_origin& origin)
{
    if (!to.home() || named_context(executor) == nullptr) {
        auto report = refusal({}, executor, origin.operation, "call", origin.where,
                              "make the call on an io_context or a thread_pool, to another");
        report.code = errc::no_context;
        throw context_error(std::move(report));
    }
    return await_hop(hop_call<Bound>::make(std::move(to), std::move(bound)), executor, origin);
}

// Directly where the caller is at home, or where there is none. To: a way_home, or a context_ref,
// of which every executor will do.
template <class To, class Bound>
asio::awaitable<typename hop_call<Bound>::result_type> hop(To to, bool anywhere, hop_origin origin,
                                                           Bound bound)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    if (anywhere || is_here(to, executor)) {
        if constexpr (is_awaitable<std::invoke_result_t<Bound&>>)
            co_return co_await bound();
        else
            co_return bound();
    }
    auto away = begin_hop<Bound>(way_home(std::move(to)), bound, executor, origin);
    co_return co_await std::move(away);
}

} // namespace loopsafe::detail

#endif
