// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_TUNNEL_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_TUNNEL_HPP

#include <loopsafe/http/detail/wire/connect.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <string>
#include <vector>

namespace loopsafe::http::detail {

namespace asio = boost::asio;

inline std::string why_no_tunnel(int status, const proxy& through)
{
    auto text = ": status " + std::to_string(status);
    if (status == 407)
        text += through.authorization.empty()
                    ? ", it wants a user and a password: http://user:password@host:port"
                    : ", it does not take this user and password";
    return text;
}

// Has a proxy connect this socket to an origin, of which `about` says in errors who it is.
inline asio::awaitable<void> open_tunnel(asio::ip::tcp::socket& socket, const origin& to,
                                         const proxy& through, const limits& most,
                                         const std::string& about)
{
    const auto fail = [&about](const error_code& ec, const std::string& why = {}) {
        throw error(ec, {.stage = stage::tunnel}, about + why);
    };
    const auto asked = connect_request(to, through);
    const auto [unsent, written] = co_await asio::async_write(socket, asio::buffer(asked),
                                                              asio::as_tuple(asio::use_awaitable));
    if (unsent == asio::error::operation_aborted) // any other: it may have said why before
        fail(unsent);
    connect_answer answer(most);
    std::vector<char> part(2048);
    std::string seen;
    for (bool began = false; !answer.done(); began = true) {
        const auto [ec, n] = co_await socket.async_read_some(asio::buffer(part),
                                                             asio::as_tuple(asio::use_awaitable));
        seen.append(part.data(), n);
        if (ec == asio::error::eof)
            fail(began ? errc::incomplete : errc::no_response);
        if (ec)
            fail(ec);
        error_code wrong;
        seen = seen.substr(answer.put(seen, wrong));
        if (wrong == errc::tls_answer)
            fail(errc::bad_version, ": the proxy speaks TLS on this port, which is not supported");
        if (wrong)
            fail(wrong);
    }
    if (!answer.opens_tunnel())
        fail(errc::proxy_refused, why_no_tunnel(answer.status(), through));
}

} // namespace loopsafe::http::detail

#endif
