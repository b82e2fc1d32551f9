// SPDX-License-Identifier: BSL-1.0
//
// One HTTP GET, and its whole answer.

#include "../support/http_server.hpp"

#include <loopsafe.hpp>
#include <loopsafe/http.hpp>

#include <cstdio>

int main()
{
    const http_server server; // on loopback; any URL will do
    const auto answer = loopsafe::run([&]() -> boost::asio::awaitable<loopsafe::http::response> {
        loopsafe::http::client client{co_await boost::asio::this_coro::executor};
        co_return co_await client.get(server.url());
    });
    std::printf("%d %s\n", answer.status, answer.body.c_str());
    return answer.ok() ? 0 : 1;
}
