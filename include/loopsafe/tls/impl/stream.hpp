// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_IMPL_STREAM_HPP
#define LOOPSAFE_TLS_IMPL_STREAM_HPP

#include <loopsafe/async/detail/deadline.hpp>
#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/tls/detail/handshake.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>

namespace loopsafe {

inline boost::asio::awaitable<void>
tls_stream::say_goodbye(std::shared_ptr<detail::tls_channel> channel)
{
    const auto ec =
        co_await detail::complete(*channel, [&channel] { return channel->engine.shut_down(); });
    if (ec)
        throw boost::system::system_error(detail::without_place(ec), "tls shutdown");
}

inline boost::asio::awaitable<bool> tls_stream::shut_down(std::chrono::milliseconds limit)
{
    const auto channel = channel_; // the stream may be destroyed meanwhile
    const auto executor = co_await boost::asio::this_coro::executor;
    detail::require_home(home_, executor, "tls_stream", "shut_down",
                         std::source_location::current());
    if (!channel->socket.is_open())
        co_return false;
    const auto done = co_await detail::finish_within<boost::asio::steady_timer>(
        executor, limit, say_goodbye(channel));
    channel->engine.mute(); // it has already sent its close_notify
    channel->close();
    co_return done.error == nullptr;
}

} // namespace loopsafe

#endif
