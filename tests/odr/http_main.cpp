// SPDX-License-Identifier: BSL-1.0
// The HTTP client in two translation units, header-only or with the source that is compiled
// separately: both use the same clients, and these their connections.
#include "http.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdio>
#include <support/http_peer.hpp>

namespace {

template <class T>
T run(boost::asio::io_context& context, boost::asio::awaitable<T> main)
{
    std::optional<T> result;
    std::exception_ptr failed;
    boost::asio::co_spawn(context, std::move(main), [&](std::exception_ptr e, T r) {
        failed = std::move(e);
        result = std::move(r);
    });
    context.restart();
    context.run();
    if (failed != nullptr)
        std::rethrow_exception(failed);
    return std::move(*result);
}

} // namespace

int main()
{
    http_peer peer(http_peer::always("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"));
    boost::asio::io_context context;
    clients all(context);
    const bool asked = run(context, ask_in_a(all, peer.url())) == "xx" &&
                       run(context, ask_in_b(all, peer.url())) == "xx";
    const bool failed = run(context, failure_caught_in_b(all, peer.url()));
    const auto connects = all.kept.stats().connects + all.offloaded.stats().connects;
    const bool same = asked && failed && connects == 2;
    std::printf("one HTTP client in two translation units: %s\n", same ? "yes" : "no");
    return same ? 0 : 1;
}
