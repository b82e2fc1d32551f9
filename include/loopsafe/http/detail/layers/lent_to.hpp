// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_LENT_TO_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_LENT_TO_HPP

#include <loopsafe/http/client.hpp>
#include <loopsafe/http/detail/layers/chain.hpp>
#include <loopsafe/http/detail/layers/collector.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>

#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace loopsafe::http::detail {

// The request goes to the heap: Asio does not keep a frame of more than 1020 bytes for the next
// call.
inline std::unique_ptr<exchange> enter(request&& what, const std::source_location& where)
{
    auto x = std::make_unique<exchange>(std::move(what));
    x->where = where;
    return x;
}

// Whatever layers do, errors have a place, and a cancellation between two steps is one of the
// request. Called while an exception is handled.
[[noreturn]] inline void rethrow_failure(const exchange& x)
{
    try {
        throw;
    } catch (error& e) {
        e.add_place(x.where);
        e.add_attempts(x.attempts, x.hops);
        throw;
    } catch (const boost::system::system_error& e) {
        if (e.code() != asio::error::operation_aborted)
            throw;
        error failed(e.code(), {.stage = stage::wait}, {});
        failed.add_place(x.where);
        failed.add_attempts(x.attempts, x.hops);
        throw failed;
    }
}

inline asio::awaitable<response> send_through(std::shared_ptr<const chain> all,
                                              std::unique_ptr<exchange> x)
{
    const auto executor = co_await asio::this_coro::executor;
    try {
        all->client().enter(*x, executor);
        co_return co_await all->outermost().send(*x);
    } catch (...) {
        rethrow_failure(*x);
    }
}

template <class F>
class lent_to final : public recipient {
    using result = result_of_reader<F>;
    static constexpr bool is_void = std::is_void_v<result>;

public:
    explicit lent_to(F& fn) noexcept : fn_(fn) {}

    asio::awaitable<void> take(incoming_response& from) override
    {
        if (std::exchange(begun_, true))
            throw error(errc::bad_layer, from.seen(), "a layer lent a second response");
        if constexpr (is_void)
            co_await fn_(from);
        else
            result_.emplace(co_await fn_(from));
    }

    bool begun() const noexcept { return begun_; }
    auto&& got() noexcept
        requires(!is_void)
    {
        return *std::move(result_);
    }

private:
    F& fn_;
    bool begun_ = false;
    std::optional<std::conditional_t<is_void, bool, result>> result_;
};

template <class F>
asio::awaitable<result_of_reader<F>> lend_through(std::shared_ptr<const chain> all,
                                                  std::unique_ptr<exchange> x, F fn)
{
    const auto executor = co_await asio::this_coro::executor;
    lent_to<F> to(fn);
    x->to = &to;
    try {
        all->client().enter(*x, executor);
        co_await all->outermost().lend(*x);
        if (!to.begun())
            refuse_nothing_lent();
    } catch (...) {
        if (to.begun()) // it may be what the caller's function throws
            throw;
        rethrow_failure(*x);
    }
    if constexpr (!std::is_void_v<result_of_reader<F>>)
        co_return to.got();
}

inline asio::awaitable<void> close_through(std::shared_ptr<const chain> all,
                                           std::chrono::milliseconds limit,
                                           std::source_location where)
{
    co_await all->client().async_close(limit, where);
}

} // namespace loopsafe::http::detail

#endif
