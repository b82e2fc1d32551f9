// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/pool/clock.hpp>

#include <doctest/doctest.h>

#include <support/run_until.hpp>

namespace clock_tests {

namespace {

using namespace support;
using loopsafe::clock_reading;
using loopsafe::pool_clock;

TEST_CASE("the age between two readings is the largest of the three differences")
{
    const clock_reading start{100s, 200s, 300s};
    CHECK(clock_reading{109s, 201s, 301s}.since(start) == 9s);
    CHECK(clock_reading{101s, 208s, 301s}.since(start) == 8s);
    CHECK(clock_reading{101s, 201s, 307s}.since(start) == 7s);
}

TEST_CASE("an age is never negative, though an administrator may set the wall clock back")
{
    const clock_reading start{100s, 200s, 300s};
    CHECK(clock_reading{101s, 201s, 0s}.since(start) == 1s);
    CHECK(clock_reading{0s, 0s, 0s}.since(start) == 0s);
}

TEST_CASE("the machine's clocks go forward, and a reading holds the cheap one")
{
    const auto before = pool_clock::cheap();
    const auto first = pool_clock::read();
    const auto second = pool_clock::read();
    CHECK(before > 0s);
    CHECK(first.monotonic > 0s);
    CHECK(first.boot >= first.monotonic);
    CHECK(first.wall >= before);
    CHECK(second.monotonic >= first.monotonic);
    CHECK(second.boot >= first.boot);
}

} // namespace

} // namespace clock_tests
