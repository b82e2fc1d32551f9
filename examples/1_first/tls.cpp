// SPDX-License-Identifier: BSL-1.0
//
// An echo over TLS: a lease of a connection whose server has proved its name.

#include "../support/tls_echo_server.hpp"

#include <loopsafe.hpp>
#include <loopsafe/tls.hpp>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <iostream>

namespace asio = boost::asio;

asio::awaitable<bool> echo(loopsafe::tls_connector server)
{
    loopsafe::connection_pool pool{co_await asio::this_coro::executor, server};
    auto lease = co_await pool.acquire(); // throws where the certificate cannot be verified
    co_await asio::async_write(*lease, asio::buffer("hello", 5), asio::use_awaitable);
    std::string received(5, ' ');
    co_await asio::async_read(*lease, asio::buffer(received), asio::use_awaitable);
    std::cout << received << " over " << lease->version() << '\n';
    co_return received == "hello";
}

int main()
{
    const tls_echo_server server; // on loopback, with a certificate for "localhost" of its own
    loopsafe::tls_options options{.server_name = "localhost"};
    options.configure = [&](SSL_CTX* context) { server.trust_me(context); };
    return loopsafe::run([&] { return echo({server.endpoint(), options}); }) ? 0 : 1;
}
