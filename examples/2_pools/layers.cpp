// SPDX-License-Identifier: BSL-1.0
//
// Layers around an HTTP client: retries, redirects, errors for bad statuses, and one of its own.

#include "../support/http_server.hpp"

#include <loopsafe.hpp>
#include <loopsafe/http.hpp>
#include <loopsafe/http/layers/check_status.hpp>
#include <loopsafe/http/layers/redirects.hpp>
#include <loopsafe/http/layers/retries.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

namespace asio = boost::asio;
namespace http = loopsafe::http;

// A layer of one's own: it sees every attempt and every hop on its way out and back.
class attempt_log : public http::layer {
    std::string_view name() const noexcept override { return "attempt_log"; }

    asio::awaitable<http::response> send(http::exchange& x, http::next inner) const override
    {
        const auto line = "  " + x.asked.method + ' ' + http::parse_url(x.asked.url).target;
        auto answer = co_await inner.send(x);
        std::printf("%s: %d\n", line.c_str(), answer.status);
        co_return answer;
    }

    // For with_response(): the same, without the status.
    asio::awaitable<void> lend(http::exchange& x, http::next inner) const override
    {
        std::printf("  %s\n", x.asked.method.c_str());
        return inner.lend(x);
    }
};

// Its first answer is 503, /old has moved to /new, and /gone is not there.
void answer_badly(const http_server::request& asked, http_server::response& answer)
{
    using boost::beast::http::status;
    static int answers = 0;
    if (++answers == 1) {
        answer.result(status::service_unavailable);
    } else if (asked.target() == "/old") {
        answer.result(status::moved_permanently);
        answer.set("Location", "/new");
    } else if (asked.target() == "/gone") {
        answer.result(status::not_found);
        answer.body() = "no such page";
    } else {
        answer.body() = "hello";
    }
}

asio::awaitable<void> ask(std::string url)
{
    // From the wire outwards; another order is refused here.
    const auto api = http::client(co_await asio::this_coro::executor) |
                     std::make_shared<attempt_log>() | http::retries(3) | http::redirects() |
                     http::check_status();

    std::printf("GET /old\n");
    const auto answer = co_await api.get(url + "old");
    std::printf("%s, after %d redirect\n", answer.body.c_str(), answer.seen.hops);

    std::printf("GET /gone\n");
    try {
        co_await api.get(url + "gone");
    } catch (const http::status_error& e) {
        std::printf("%d, %s\n", e.status(), e.answer().body.c_str());
    }
}

int main()
{
    const http_server server(answer_badly);
    loopsafe::run([&] { return ask(server.url()); });
}
