// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_DETAIL_STREAM_OP_HPP
#define LOOPSAFE_TCP_DETAIL_STREAM_OP_HPP

#include <loopsafe/context/detail/at_home.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace loopsafe::detail {

// Counts the operations of a stream. Shared with their handlers, since a stream may be destroyed
// before they are called.
struct op_count {
    std::size_t pending = 0;
    bool failed = false;

    bool clean() const noexcept { return pending == 0 && !failed; }
    void ended(const error_code& ec) noexcept
    {
        --pending;
        failed = failed || ec.failed();
    }
};

// A handler that first reports to the counter. If a handler is destroyed without being called, its
// operation stays pending for ever, and so the stream stays dirty, which is true.
template <class Handler>
struct counted_handler {
    std::shared_ptr<op_count> ops;
    Handler handler;

    template <class... Args>
    void operator()(const error_code& ec, Args... args)
    {
        ops->ended(ec);
        std::move(handler)(ec, args...);
    }
};

// Calls `begin` with a handler if the caller's context is the stream's home and alive.
template <class Signature, class Stream, class Token, class Begin>
auto checked_op(Stream& stream, const std::shared_ptr<op_count>& ops, Token& token, Begin begin)
{
    const auto initiate = [&stream, &ops](auto&& handler, auto begin_it) {
        using handler_type = std::decay_t<decltype(handler)>;
        const auto executor = asio::get_associated_executor(handler);
        if (!at_home(stream.home(), executor)) [[unlikely]] {
            const auto* asking = named_context(executor);
            const bool home_lives = stream.home().alive();
            if (!home_lives || asking != nullptr) {
                const error_code ec = home_lives ? errc::wrong_context : errc::context_closed;
                const auto refuse = [&](const auto& where) {
                    if constexpr (std::is_same_v<Signature, void(error_code)>)
                        asio::post(where,
                                   asio::append(std::forward<decltype(handler)>(handler), ec));
                    else
                        asio::post(where, asio::append(std::forward<decltype(handler)>(handler), ec,
                                                       std::size_t(0)));
                };
                if constexpr (asio::can_query<decltype(executor),
                                              asio::execution::context_t>::value) {
                    if (asking != nullptr) {
                        refuse(executor);
                        return;
                    }
                }
                refuse(asio::system_executor());
                return;
            }
        }
        ++ops->pending;
        begin_it(counted_handler<handler_type>{ops, std::forward<decltype(handler)>(handler)});
    };
    return asio::async_initiate<Token, Signature>(initiate, token, std::move(begin));
}

} // namespace loopsafe::detail

template <template <class, class> class Associator, class Handler, class Default>
struct boost::asio::associator<Associator, loopsafe::detail::counted_handler<Handler>, Default>
    : Associator<Handler, Default> {
    static auto get(const loopsafe::detail::counted_handler<Handler>& h) noexcept
    {
        return Associator<Handler, Default>::get(h.handler);
    }
    static auto get(const loopsafe::detail::counted_handler<Handler>& h, const Default& d) noexcept
    {
        return Associator<Handler, Default>::get(h.handler, d);
    }
};

#endif
