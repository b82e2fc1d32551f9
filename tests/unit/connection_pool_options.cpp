// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <support/scripted.hpp>

namespace connection_pool_options_tests {

namespace {

using namespace support;

// What the refusal of these options says; empty where they are accepted.
template <class Policy>
std::string refusal_of(typename Policy::options limits)
{
    asio::io_context context;
    try {
        make_pool<scripted_connector, Policy>(
            context, scripted_connector(std::make_shared<connect_script>()), std::move(limits));
    } catch (const boost::system::system_error& error) {
        CHECK(error.code() == errc::bad_option);
        return error.what();
    }
    return {};
}

std::string refused(const char* name)
{
    return std::string("connection pool: ") + name + ": invalid option [loopsafe:12]";
}

TEST_CASE_TEMPLATE("options that make no sense are refused by name", Policy, keep_alive,
                   per_context, null)
{
    CHECK(refusal_of<Policy>({.max_size = 0}) == refused("max_size must be at least 1"));
    CHECK(refusal_of<Policy>({.acquire_timeout = -1ms}) ==
          refused("acquire_timeout must not be negative"));
    CHECK(refusal_of<Policy>({.connect_timeout = 0ms}) ==
          refused("connect_timeout must be more than 0"));
    CHECK(refusal_of<Policy>({.connect_timeout = -1ms}) ==
          refused("connect_timeout must be more than 0"));
}

TEST_CASE_TEMPLATE("an option that is refused comes with the pool's name", Policy, keep_alive,
                   per_context, null)
{
    CHECK(refusal_of<Policy>({.max_size = 0, .name = "orders"}) ==
          "connection pool \"orders\": max_size must be at least 1: invalid option [loopsafe:12]");
}

TEST_CASE_TEMPLATE("options of a pool that keeps connections are refused by name", Policy,
                   keep_alive, per_context)
{
    CHECK(refusal_of<Policy>({.idle_timeout = 0ms}) ==
          refused("idle_timeout must be more than 0; to keep no connections, use null_pool"));
    CHECK(refusal_of<Policy>({.idle_timeout = -1ms}) != "");
    CHECK(refusal_of<Policy>({.max_lifetime = 0ms}) == refused("max_lifetime must be more than 0"));
    CHECK(refusal_of<Policy>({.max_lifetime = -1ms}) != "");
    CHECK(refusal_of<Policy>({.probe_after = -1ms}) == refused("probe_after must not be negative"));
    CHECK(refusal_of<Policy>({.lifetime_jitter = -0.1}) ==
          refused("lifetime_jitter must be between 0 and 1"));
    CHECK(refusal_of<Policy>({.lifetime_jitter = 1.1}) ==
          refused("lifetime_jitter must be between 0 and 1"));
    CHECK(refusal_of<Policy>({.lifetime_jitter = std::numeric_limits<double>::quiet_NaN()}) ==
          refused("lifetime_jitter must be between 0 and 1"));
}

TEST_CASE_TEMPLATE("options at the edge of sense are accepted", Policy, keep_alive, per_context)
{
    CHECK(refusal_of<Policy>({}) == "");
    CHECK(refusal_of<Policy>({.max_size = 1,
                              .max_waiting = 0,
                              .acquire_timeout = 0ms,
                              .connect_timeout = 1ms,
                              .idle_timeout = 1ms,
                              .max_lifetime = 1ms,
                              .lifetime_jitter = 1.0,
                              .probe_after = 0ms}) == "");
    constexpr auto all = std::numeric_limits<std::size_t>::max();
    CHECK(refusal_of<Policy>({.max_size = all,
                              .max_waiting = all,
                              .acquire_timeout = loopsafe::never,
                              .connect_timeout = loopsafe::never,
                              .idle_timeout = loopsafe::never - 1ms,
                              .max_lifetime = loopsafe::never - 1ms,
                              .lifetime_jitter = 0.0,
                              .probe_after = loopsafe::never - 1ms}) == "");
}

TEST_CASE("a pool whose options are refused leaves nothing behind")
{
    asio::io_context context;
    const auto script = std::make_shared<connect_script>();
    CHECK_THROWS_AS(loopsafe::connection_pool(context, scripted_connector(script), {.max_size = 0}),
                    boost::system::system_error);
    CHECK(script.use_count() == 1);
    CHECK(number(run_on(
              context, loopsafe::connection_pool(context, scripted_connector(script)).acquire())) ==
          1);
}

} // namespace

} // namespace connection_pool_options_tests
