// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_DETAIL_CALL_HPP
#define LOOPSAFE_OFFLOAD_DETAIL_CALL_HPP

#include <loopsafe/async/detail/timer.hpp>
#include <loopsafe/context/pin.hpp>
#include <loopsafe/offload/detail/counted_ref.hpp>
#include <loopsafe/offload/detail/worker_core.hpp>
#include <loopsafe/offload/worker_threads.hpp>

#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <optional>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace loopsafe::detail {

namespace asio = boost::asio;

// The caller waits on a timer of its own context, which therefore owns the handler. Waking cancels
// that timer: it needs no memory, and a pin keeps the context from dying meanwhile.
class offloaded_call : public worker_call {
public:
    void waits_on(asio::steady_timer& timer, const context_ref& home)
    {
        timer_ = &timer;
        home_ = home;
    }

    virtual void request_stop() noexcept = 0;

    // For a call that was withdrawn, and so never runs.
    virtual void drop_function() noexcept = 0;

protected:
    ~offloaded_call() = default;

private:
    void wake() noexcept override
    {
        const context_pin pin(home_);
        if (pin.may_touch()) // else the context dies, and its caller with it
            cancel_quietly(*timer_);
    }

    asio::steady_timer* timer_ = nullptr;
    context_ref home_;
};

struct no_stop {
    void request_stop() const noexcept {}
};

// Bound is called once, with a stop_token if it takes one.
template <class Bound, bool Stoppable>
class typed_call final : public offloaded_call {
    template <class... Token>
    using result_of = std::invoke_result_t<Bound, Token...>;
    using stop_type = std::conditional_t<Stoppable, std::stop_source, no_stop>;
    static auto result_probe()
    {
        if constexpr (Stoppable)
            return std::type_identity<std::invoke_result_t<Bound, std::stop_token>>();
        else
            return std::type_identity<std::invoke_result_t<Bound>>();
    }

public:
    using result_type = typename decltype(result_probe())::type;

    // The caller allocates and frees the memory: Asio caches some on the caller's thread.
    static counted_ref<typed_call> make(Bound bound)
    {
        allocator memory;
        auto* const place = memory.allocate(1);
        try {
            return {*new (place) typed_call(std::move(bound)),
                    typename counted_ref<typed_call>::adopt()};
        } catch (...) {
            memory.deallocate(place, 1);
            throw;
        }
    }

    void run() noexcept override
    {
        try {
            const auto invoke = [this]() -> result_type {
                if constexpr (Stoppable)
                    return (*bound_)(stop_.get_token());
                else
                    return (*bound_)();
            };
            if constexpr (std::is_void_v<result_type>) {
                invoke();
                outcome_.template emplace<1>();
            } else {
                outcome_.template emplace<1>(invoke());
            }
        } catch (...) {
            outcome_.template emplace<2>(std::current_exception());
        }
        bound_.reset();
    }

    void refuse(errc why) noexcept override { outcome_.template emplace<3>(why); }

    void request_stop() noexcept override { stop_.request_stop(); }

    void drop_function() noexcept override { bound_.reset(); }

    result_type take(const worker_core& core)
    {
        if (auto* error = std::get_if<2>(&outcome_))
            std::rethrow_exception(std::exchange(*error, nullptr));
        if (const auto* why = std::get_if<3>(&outcome_))
            throw offload_error(*why, core.name(), core.stats());
        if constexpr (!std::is_void_v<result_type>)
            return std::move(std::get<1>(outcome_));
    }

private:
    using allocator = asio::recycling_allocator<typed_call>;
    struct nothing {};
    using value = std::conditional_t<std::is_void_v<result_type>, nothing, result_type>;

    explicit typed_call(Bound&& bound) : bound_(std::move(bound)) {}
    ~typed_call() = default;

    void drop_result() noexcept override { outcome_.template emplace<0>(); }

    void destroy() noexcept override
    {
        std::destroy_at(this);
        allocator().deallocate(this, 1);
    }

    friend void std::destroy_at<typed_call>(typed_call*);

    std::optional<Bound> bound_;
    [[no_unique_address]] stop_type stop_;
    std::variant<std::monostate, value, std::exception_ptr, errc> outcome_;
};

} // namespace loopsafe::detail

#endif
