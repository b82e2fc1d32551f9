// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/http/detail/connection/answer_forecast.hpp>

#include <doctest/doctest.h>

namespace forecast_tests {

namespace {

using loopsafe::http::detail::answer_forecast;

// How many of so many exchanges look for the response early, where each that does finds it or not.
int trials(answer_forecast& forecast, int exchanges, bool in_time)
{
    int tried = 0;
    for (int i = 0; i != exchanges; ++i) {
        if (forecast.is_soon()) {
            ++tried;
            forecast.came(in_time);
        }
    }
    return tried;
}

TEST_CASE("http: a response is looked for early as long as it is there")
{
    answer_forecast forecast;
    CHECK(trials(forecast, 1000, true) == 1000);
}

TEST_CASE("http: a response that is never early is looked for ever more seldom, and never given up")
{
    answer_forecast forecast;
    CHECK(trials(forecast, 1000, false) == 10); // gaps of 0, 2, 6, 14, ... and 254 at most
    CHECK(trials(forecast, 255 * 100, false) == 100);
}

TEST_CASE("http: one that is late once is looked for at the next exchange again")
{
    answer_forecast forecast;
    for (int i = 0; i != 100; ++i) {
        REQUIRE(forecast.is_soon());
        forecast.came(i % 2 == 0);
    }
}

TEST_CASE("http: one that is early again after many that were late is expected from then on")
{
    answer_forecast forecast;
    trials(forecast, 1000, false);
    while (!forecast.is_soon()) {}
    forecast.came(true);
    CHECK(trials(forecast, 100, true) == 100);
}

} // namespace

} // namespace forecast_tests
