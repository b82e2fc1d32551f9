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

// What a ratio should not exceed, or fall short of.
struct limit {
    double bound;
    bool at_least = false;
};

// One JSON object. Without a ratio, the limit is one of the value.
inline void row(const std::string& name, double value, const char* unit, double baseline,
                std::optional<double> ratio, std::optional<limit> wanted)
{
    std::printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"baseline\": %.6g, ",
                name.c_str(), value, unit, baseline);
    if (ratio)
        std::printf("\"ratio\": %.4g", *ratio);
    else
        std::printf("\"ratio\": null");
    if (wanted) {
        const auto seen = ratio.value_or(value);
        const bool held = wanted->at_least ? seen >= wanted->bound : seen <= wanted->bound;
        std::printf(", \"%s\": %.4g, \"held\": %s", wanted->at_least ? "least" : "limit",
                    wanted->bound, held ? "true" : "false");
    }
    std::printf("}\n");
    std::fflush(stdout);
}

inline void row(const std::string& name, double value, const char* unit, double baseline,
                std::optional<double> most = {})
{
    row(name, value, unit, baseline,
        baseline != 0.0 ? std::optional(value / baseline) : std::nullopt,
        most ? std::optional(limit{*most}) : std::nullopt);
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

inline double median(std::vector<double> of)
{
    const auto middle = of.begin() + static_cast<std::ptrdiff_t>(of.size() / 2);
    std::nth_element(of.begin(), middle, of.end());
    return *middle;
}

// Medians of pairs: which of the two comes first alternates. The ratio is that of the ratios of the
// pairs, since what slows the machine down for a while slows both of a pair.
struct pairs {
    double value;
    double baseline;
    double ratio;
};

template <class Subject, class Beside>
pairs alternate(int count, Subject subject, Beside beside)
{
    std::vector<double> values;
    std::vector<double> baselines;
    std::vector<double> ratios;
    for (int i = 0; i != count; ++i) {
        const bool first = i % 2 == 0;
        const double before = first ? subject() : 0;
        const double baseline = beside();
        const double value = first ? before : subject();
        values.push_back(value);
        baselines.push_back(baseline);
        ratios.push_back(value / baseline);
    }
    return {median(values), median(baselines), median(ratios)};
}

} // namespace bench

#endif
