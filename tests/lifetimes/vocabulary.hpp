// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_VOCABULARY_HPP
#define LOOPSAFE_TESTS_LIFETIMES_VOCABULARY_HPP

#include <loopsafe.hpp>
#include <loopsafe/tcp.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <support/descriptors.hpp>
#include <support/run_until.hpp>
#include <support/tcp_peer.hpp>
#include <support/texts.hpp>
#include <utility>

/// The words in which the tests of this folder are written.
namespace lifetimes {

namespace asio = boost::asio;
using asio::ip::tcp;
using loopsafe::close_reason;
using loopsafe::context_bound;
using loopsafe::context_error;
using loopsafe::context_of;
using loopsafe::errc;
using loopsafe::error_code;
using loopsafe::testing::connect_script;
using loopsafe::testing::mortal_context;
using loopsafe::testing::run_on;
using loopsafe::testing::scripted_connector;
using loopsafe::testing::two_contexts;
using support::run_ready;
using support::tcp_peer;
using support::thrown_by;

using strict_pool = loopsafe::connection_pool<scripted_connector>;
using shelves_pool = loopsafe::connection_pool<scripted_connector, loopsafe::per_context_pool>;
using fleeting_pool = loopsafe::connection_pool<scripted_connector, loopsafe::null_pool>;
using tcp_pool = loopsafe::connection_pool<loopsafe::tcp_connector>;

inline constexpr auto for_ever = asio::steady_timer::time_point::max();
inline constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);

/// Acquires a connection and gives it back.
template <class Pool>
asio::awaitable<void> borrow(Pool& pool)
{
    co_await pool.acquire();
}

/// The code of what `f` throws; none where it throws nothing.
template <class F>
error_code failure(F f)
{
    try {
        f();
    } catch (const boost::system::system_error& error) {
        return error.code();
    }
    return {};
}

/// What a completion handler was told.
struct told {
    int times = 0;
    error_code code;

    auto handler()
    {
        return [this](error_code ec, auto&&...) {
            ++times;
            code = ec;
        };
    }
};

/// Runs `f` when it is destroyed.
template <class F>
class at_exit {
public:
    explicit at_exit(F f) : f_(std::move(f)) {}
    at_exit(const at_exit&) = delete;
    ~at_exit() { f_(); }

private:
    F f_;
};

/// Reads so many bytes from the other end, or fewer where it ends before.
inline std::string read(tcp::socket& peer, std::size_t size)
{
    std::string text(size, '\0');
    error_code ec;
    text.resize(asio::read(peer, asio::buffer(text), ec));
    return text;
}

} // namespace lifetimes

#endif
