// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_TRACING_HPP
#define LOOPSAFE_HTTP_LAYERS_TRACING_HPP

#include <loopsafe/http/detail/layers/request_layer.hpp>
#include <loopsafe/http/detail/layers/trace_parent.hpp>
#include <loopsafe/http/layers/any_sender.hpp>
#include <loopsafe/http/layers/layer.hpp>

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace loopsafe::http {

/// Where a request belongs in a trace: the fields of that name of the request that is being served.
struct trace_context {
    trace_context() {}
    trace_context(std::string parent, std::string state = {})
        : traceparent(std::move(parent)), tracestate(std::move(state))
    {
    }
    trace_context(std::string_view parent) : traceparent(parent) {}
    trace_context(const char* parent) : traceparent(parent) {}

    std::string traceparent; ///< empty: none
    std::string tracestate;  ///< several fields are one, with commas between them
};

namespace detail {

// Its name stands in the compiler's error.
struct pass_a_function_that_takes_nothing_and_returns_the_traceparent_of_now {};

template <class F>
concept trace_function = std::copy_constructible<F> && std::invocable<const F&> &&
                         std::convertible_to<std::invoke_result_t<const F&>, trace_context>;

template <trace_function F>
class trace_propagation final : public request_layer {
public:
    explicit trace_propagation(F fn) : fn_(std::move(fn)) {}

    std::string_view name() const noexcept override { return "tracing"; }
    http::place place() const noexcept override { return http::place::tracing; }

private:
    boost::asio::awaitable<void> prepare(exchange& x, const next&) const override
    {
        join(x);
        return {};
    }

    void join(exchange& x) const
    {
        auto& headers = x.asked.headers;
        if (x.foreign || headers.contains("traceparent"))
            return;
        const trace_context now = std::invoke(fn_);
        const auto known = parse_trace_parent(now.traceparent);
        const auto parent = new_trace_parent(known);
        headers.add("traceparent", {parent.data(), parent.size()});
        if (!known.trace.empty() && !now.tracestate.empty() && !headers.contains("tracestate") &&
            all_are(field_char, now.tracestate))
            headers.add("tracestate", now.tracestate);
    }

    F fn_;
};

} // namespace detail

/// Sends the field traceparent with every request, so that its server knows which trace it belongs
/// to (W3C Trace Context).
///
///     const auto api = http::any_sender(client) | http::tracing([] { return current_trace(); });
///
/// `fn` returns the traceparent of what is being done now, or a `trace_context`; nothing where
/// there is none. Each attempt and each hop is in that trace, with its flags, as a parent of its
/// own. Where there is none, or it is malformed, each attempt begins a trace, which is sampled; a
/// malformed one's tracestate is not sent.
///
/// A traceparent or tracestate of the caller's stays. Nothing is added to a request that a redirect
/// leads to another origin.
/// Errors: those of `fn`.
/// Thread safety: `fn` is called by all threads that send.
template <class F>
    requires detail::trace_function<std::decay_t<F>>
std::shared_ptr<const layer> tracing(F&& fn)
{
    return std::make_shared<const detail::trace_propagation<std::decay_t<F>>>(std::forward<F>(fn));
}

template <
    class F,
    class Cure = detail::pass_a_function_that_takes_nothing_and_returns_the_traceparent_of_now>
    requires(!detail::trace_function<std::decay_t<F>>)
std::shared_ptr<const layer> tracing(F&&) = delete;

} // namespace loopsafe::http

#endif
