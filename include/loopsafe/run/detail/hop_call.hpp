// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_HOP_CALL_HPP
#define LOOPSAFE_RUN_DETAIL_HOP_CALL_HPP

#include <loopsafe/async/detail/cancellable.hpp>
#include <loopsafe/async/detail/is_awaitable.hpp>
#include <loopsafe/offload/detail/call.hpp>
#include <loopsafe/offload/detail/perform.hpp>
#include <loopsafe/run/detail/way_home.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>

namespace loopsafe::detail {

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
                throw boost::system::system_error(make_error_code(errc::task_lost),
                                                  origin.operation + place(origin.where));
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

} // namespace loopsafe::detail

#endif
