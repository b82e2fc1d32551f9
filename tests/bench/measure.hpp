// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_MEASURE_HPP
#define LOOPSAFE_TESTS_BENCH_MEASURE_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace bench {

namespace asio = boost::asio;

// Makes the compiler believe that `x` is looked at, and may be changed, here.
template <class T>
void keep(T& x)
{
    asm volatile("" : : "r"(&x) : "memory");
}

// One JSON object. The limit is one of the ratio, or of the value where the baseline is zero.
inline void row(const std::string& name, double value, const char* unit, double baseline,
                std::optional<double> limit = {})
{
    std::printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"baseline\": %.6g, ",
                name.c_str(), value, unit, baseline);
    if (baseline != 0.0)
        std::printf("\"ratio\": %.4g", value / baseline);
    else
        std::printf("\"ratio\": null");
    if (limit) {
        const bool held = (baseline != 0.0 ? value / baseline : value) <= *limit;
        std::printf(", \"limit\": %.4g, \"held\": %s", *limit, held ? "true" : "false");
    }
    std::printf("}\n");
    std::fflush(stdout);
}

template <class Body>
double nanoseconds(Body body)
{
    const auto begin = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin)
        .count();
}

// Runs a coroutine to its end on the calling thread.
template <class Coroutine>
void run(asio::io_context& context, Coroutine coroutine)
{
    asio::co_spawn(context, std::move(coroutine), [](const std::exception_ptr& error) {
        if (error != nullptr)
            std::rethrow_exception(error);
    });
    context.restart();
    context.run();
}

// The least nanoseconds of one call of each subject. A subject makes the given number of calls and
// gives the nanoseconds of all. The subjects take turns, so that what disturbs one disturbs all.
template <class... Subjects>
std::vector<double> least(int calls, int turns, Subjects... subjects)
{
    std::vector<double> best(sizeof...(Subjects), std::numeric_limits<double>::max());
    for (int turn = 0; turn != turns; ++turn) {
        std::size_t i = 0;
        ((best[i] = std::min(best[i], subjects(calls) / calls), ++i), ...);
    }
    return best;
}

} // namespace bench

#endif
