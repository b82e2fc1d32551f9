// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_RESOLVE_HPP
#define LOOPSAFE_POSTGRES_DETAIL_RESOLVE_HPP

#include <loopsafe/postgres/detail/conninfo.hpp>
#include <loopsafe/postgres/error.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace loopsafe::postgres::detail {

namespace asio = boost::asio;

using addresses = asio::ip::tcp::resolver::results_type;

// A look-up that a cancellation abandons: a resolver's own cancel() waits for the system call.
template <class Handler>
struct lookup {
    lookup(const asio::any_io_executor& executor, Handler h)
        : resolver(executor), handler(std::move(h))
    {
    }

    asio::ip::tcp::resolver resolver;
    Handler handler;
    std::atomic<bool> over{false};
};

template <class Token>
auto async_lookup(const asio::any_io_executor& executor, const std::string& host, Token&& token)
{
    return asio::async_initiate<Token, void(error_code, addresses)>(
        [executor, host](auto handler) {
            auto slot = asio::get_associated_cancellation_slot(handler);
            const auto home = asio::get_associated_executor(handler, executor);
            using state = lookup<decltype(handler)>;
            auto shared = std::make_shared<state>(executor, std::move(handler));
            if (slot.is_connected()) {
                auto left = [weak = std::weak_ptr(shared), home](asio::cancellation_type) {
                    const auto found = weak.lock();
                    if (found != nullptr && !found->over.exchange(true)) {
                        asio::post(home, [h = std::move(found->handler)]() mutable {
                            std::move(h)(error_code(asio::error::operation_aborted), addresses());
                        });
                    }
                };
                slot.assign(std::move(left));
            }
            auto& resolver = shared->resolver;
            resolver.async_resolve(
                host, std::string(),
                asio::bind_executor(home, [shared](error_code ec, addresses found) {
                    if (shared->over.exchange(true))
                        return;
                    auto h = std::move(shared->handler);
                    if (auto s = asio::get_associated_cancellation_slot(h); s.is_connected())
                        s.clear();
                    std::move(h)(ec, std::move(found));
                }));
        },
        token);
}

inline bool needs_lookup(const target& each)
{
    if (!each.address.empty() || each.host.empty() || each.host.front() == '/' ||
        each.host.front() == '@')
        return false;
    error_code ec;
    asio::ip::make_address(each.host, ec);
    return static_cast<bool>(ec);
}

// In a URI, a password with an "@" ends at the first one.
inline std::string shown(const std::string& host)
{
    const auto at = host.rfind('@');
    return at == std::string::npos ? host : "..." + host.substr(at);
}

// One target for each address of each host, in order. Like libpq, it skips unknown hosts as long as
// there are others.
inline asio::awaitable<std::vector<target>> resolve(asio::any_io_executor executor,
                                                    std::vector<target> targets)
{
    std::vector<target> found;
    error_code failure;
    std::string unknown;
    for (auto& each : targets) {
        if (!needs_lookup(each)) {
            found.push_back(std::move(each));
            continue;
        }
        error_code ec;
        const auto results = co_await async_lookup(executor, each.host,
                                                   asio::redirect_error(asio::use_awaitable, ec));
        if (ec == asio::error::operation_aborted)
            throw error(ec, stage::resolve,
                        {.message = "cancelled while looking up \"" + shown(each.host) + '"'});
        if (ec) {
            failure = ec;
            unknown = each.host;
        }
        for (const auto& entry : results)
            found.push_back({each.host, entry.endpoint().address().to_string(), each.port});
    }
    if (found.empty() && failure)
        throw error(
            failure, stage::resolve,
            {.message = "could not look up \"" + shown(unknown) + "\": " + failure.message()});
    co_return found;
}

} // namespace loopsafe::postgres::detail

#endif
