// SPDX-License-Identifier: BSL-1.0
#include "http.hpp"

namespace {

boost::asio::awaitable<std::string> whole(loopsafe::http::incoming_response& response)
{
    return response.read_all(100);
}

} // namespace

boost::asio::awaitable<std::string> ask_in_b(clients& all, std::string url)
{
    std::string bodies;
    bodies += co_await all.kept.with_response({"GET", url}, whole);
    bodies += co_await all.offloaded.with_response({"GET", url}, whole);
    co_return bodies;
}

boost::asio::awaitable<bool> failure_caught_in_b(clients& all, std::string url)
{
    try {
        co_await fail_in_a(all, url);
    } catch (const loopsafe::http::error& e) {
        co_return e.code() == loopsafe::http::errc::bad_url;
    }
    co_return false;
}
