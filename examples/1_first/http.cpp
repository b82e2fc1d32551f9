// SPDX-License-Identifier: BSL-1.0
//
// One HTTP GET, and its whole answer.

#include "../support/http_server.hpp"

#include <loopsafe.hpp>
#include <loopsafe/http.hpp>

#include <cstdio>
#include <optional>

int main(int words, char** word)
{
    std::optional<http_server> server; // on loopback, where no URL is given
    const std::string url = words > 1 ? word[1] : server.emplace().url();
    const auto answer = loopsafe::run([&]() -> boost::asio::awaitable<loopsafe::http::response> {
        loopsafe::http::client client{co_await boost::asio::this_coro::executor};
        co_return co_await client.get(url);
    });
    std::printf("%d %s\n", answer.status, answer.body.c_str());
    return answer.ok() ? 0 : 1;
}
