// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/pool/error.hpp>

#include <doctest/doctest.h>

#include <support/run_until.hpp>
#include <support/texts.hpp>

namespace pool_error_tests {

namespace {

using namespace support;
using loopsafe::errc;
using loopsafe::pool_error;
using loopsafe::pool_report;

pool_report report_of(errc code)
{
    pool_report report;
    report.code = code;
    report.max_size = 4;
    report.max_waiting = 9;
    report.stats.leased = 3;
    report.stats.connecting = 1;
    report.stats.waiting = 5;
    report.operation = "acquire";
    return report;
}

TEST_CASE("a pool_error says what the pool looks like and who holds what, from where")
{
    auto report = report_of(errc::acquire_timeout);
    const auto place = next_line();
    report.used = std::source_location::current();
    report.pool = "db";
    report.holders = {{report.used, 1500ms, 7}, {report.used, 20ms, 9}};
    report.last_connect_error = "tcp connect 127.0.0.1:1: refused";
    report.advice = "do less";
    const pool_error error(report);
    CHECK(text_of(error) ==
          "connection pool \"db\": no connection became free in time"
          "\n  used:  acquire at " +
              place +
              "\n  state: max_size 4, max_waiting 9, leased 3, connecting 1, idle 0, waiting 5"
              "\n  held:  by " +
              place +
              " in context #7 for 1500 ms"
              "\n  held:  by " +
              place +
              " in context #9 for 20 ms"
              "\n  held:  and 1 more"
              "\n  last connect error: tcp connect 127.0.0.1:1: refused"
              "\n  cure:  do less");
    CHECK(error.code() == errc::acquire_timeout);
    CHECK(error.report().holders.size() == 2);
}

TEST_CASE("a pool_error leaves out what is not known")
{
    const pool_error error(report_of(errc::pool_closed));
    CHECK(text_of(error) ==
          std::string(
              "connection pool: the pool is closed"
              "\n  used:  acquire"
              "\n  state: max_size 4, max_waiting 9, leased 3, connecting 1, idle 0, waiting 5"));
}

TEST_CASE("a pool_error that lists every holder speaks of no more")
{
    auto report = report_of(errc::queue_full);
    report.stats.leased = 1;
    report.holders = {{{}, 0ms, 1}};
    CHECK(report.to_string().find("more") == std::string::npos);
}

TEST_CASE("copies of a pool_error share one report")
{
    const pool_error error(report_of(errc::queue_full));
    const pool_error copy = error; // NOLINT: the copy is what is tested
    CHECK(&copy.report() == &error.report());
    CHECK(text_of(copy) == error.what());
}

TEST_CASE("every reason to close a connection has a name of its own")
{
    names all;
    for (std::size_t i = 0; i != loopsafe::close_reason_count; ++i) {
        const std::string name(to_string(static_cast<loopsafe::close_reason>(i)));
        CHECK(std::find(all.begin(), all.end(), name) == all.end());
        all.push_back(name);
    }
    CHECK(all.front() == "discarded");
    CHECK(all.back() == "parked_dropped");
    CHECK(to_string(static_cast<loopsafe::close_reason>(99)) == "unknown");
}

TEST_CASE("the closed connections of all reasons add up")
{
    loopsafe::pool_stats stats;
    for (std::size_t i = 0; i != loopsafe::close_reason_count; ++i)
        stats.closed_because[i] = i + 1;
    CHECK(stats.closed(loopsafe::close_reason::discarded) == 1);
    CHECK(stats.closed(loopsafe::close_reason::forked) == 11);
    CHECK(stats.closed() == 136);
}

} // namespace

} // namespace pool_error_tests
