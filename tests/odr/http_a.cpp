// SPDX-License-Identifier: BSL-1.0
#include "http.hpp"

clients::clients(boost::asio::io_context& home) : kept(home) {}

boost::asio::awaitable<std::string> ask_in_a(clients& all, std::string url)
{
    std::string bodies;
    bodies += (co_await all.kept.get(url)).body;
    bodies += (co_await all.offloaded.get(url)).body;
    co_return bodies;
}

boost::asio::awaitable<void> fail_in_a(clients& all, std::string url)
{
    co_await all.kept.get("not " + url);
}
