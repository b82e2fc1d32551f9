// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_HTTP_PROXY_PEER_HPP
#define LOOPSAFE_TESTS_HTTP_PROXY_PEER_HPP

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <array>
#include <cstddef>
#include <poll.h>
#include <string>
#include <support/http_peer.hpp>
#include <sys/socket.h>
#include <utility>

/// Proxies that do as a test says.
namespace http_test {

/// Carries bytes between two sockets, until one of them ends.
inline void carry_between(int one, int other)
{
    const std::array<std::pair<int, int>, 2> ways{{{one, other}, {other, one}}};
    std::array<char, 65536> some;
    for (;;) {
        std::array<pollfd, 2> both{{{one, POLLIN, 0}, {other, POLLIN, 0}}};
        if (::poll(both.data(), both.size(), -1) < 0)
            return;
        for (std::size_t i = 0; i != both.size(); ++i) {
            if (both.at(i).revents == 0)
                continue;
            const auto [from, to] = ways.at(i);
            const auto got = ::recv(from, some.data(), some.size(), 0);
            if (got <= 0)
                return;
            for (ssize_t sent = 0; sent != got;) {
                const auto n = ::send(to, some.data() + sent, static_cast<std::size_t>(got - sent),
                                      MSG_NOSIGNAL);
                if (n <= 0)
                    return;
                sent += n;
            }
        }
    }
}

/// Notes what it is asked, answers with these words, and leads to this server, whoever was named.
inline http_peer::script leads_to(const boost::asio::ip::tcp::endpoint& server,
                                  std::string answer = "HTTP/1.1 200 OK\r\n\r\n",
                                  bool drips = false)
{
    return [server, drips, answer = std::move(answer)](http_peer::caller& c) {
        const auto head = c.read_until("\r\n\r\n");
        if (head.empty())
            return;
        c.peer().note(head);
        boost::asio::io_context context(1);
        boost::asio::ip::tcp::socket up(context);
        up.connect(server);
        up.set_option(boost::asio::ip::tcp::no_delay(true));
        if (drips ? c.drip(answer) : c.write(answer))
            carry_between(c.socket().native_handle(), up.native_handle());
    };
}

} // namespace http_test

#endif
