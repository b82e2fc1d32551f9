// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_LEAVE_UNREAD_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_LEAVE_UNREAD_HPP

#include <loopsafe/http/incoming.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include <array>
#include <cstddef>

namespace loopsafe::http::detail {

// The end of a response that nobody wants. A short one is read, so that the next request can use
// its connection; where that fails, it is the response all the same.
inline boost::asio::awaitable<void> leave_unread(incoming_response& from)
{
    constexpr std::size_t most = 16 * 1024;
    if (!from.length() || *from.length() > most)
        co_return;
    std::array<char, 512> part;
    try {
        while (co_await from.read_some(boost::asio::buffer(part)) != 0) {}
    } catch (const error& e) {
        if (e.code() == boost::asio::error::operation_aborted || e.seen().timeout == "total")
            throw;
    }
}

} // namespace loopsafe::http::detail

#endif
