// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_CARRY_TALLY_HPP
#define LOOPSAFE_TESTS_CARRY_TALLY_HPP

#include <loopsafe/pool/stats.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <map>
#include <string>
#include <support/descriptors.hpp>

#if defined(__SANITIZE_ADDRESS__)
#define LOOPSAFE_TESTS_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOOPSAFE_TESTS_ASAN
#endif
#endif
#if defined(LOOPSAFE_TESTS_ASAN)
extern "C" std::size_t __sanitizer_get_current_allocated_bytes(); // whose header GCC 12 lacks
#endif

namespace carry {

/// What came of many invocations.
struct tally {
    std::uint64_t invocations = 0;
    std::uint64_t exchanges = 0;
    std::uint64_t wrong = 0;     ///< answers with a wrong byte
    std::uint64_t errors = 0;    ///< exchanges that failed and should not have
    std::uint64_t refound = 0;   ///< acquires that should have adopted and did not, or the reverse
    std::uint64_t astray = 0;    ///< deaths that left other descriptors than those parked
    std::uint64_t cut_short = 0; ///< connections being made when their context died
    std::map<std::string, std::uint64_t> deaths;
    std::map<std::string, std::uint64_t> while_parked;
    std::string first; ///< that went wrong, with its seed

    void note(std::uint64_t& count, std::uint64_t seed, const std::string& what)
    {
        ++count;
        if (first.empty())
            first = "seed " + std::to_string(seed) + ": " + what;
    }
};

/// After each death: nothing is in use, and what the pool says of parked connections adds up.
inline void check_figures(tally& t, std::uint64_t seed, const loopsafe::pool_stats& s,
                          std::size_t open_descriptors)
{
    if (s.idle + s.leased + s.connecting + s.waiting != 0 ||
        s.times_parked != s.adopted + s.dropped + s.parked)
        t.note(t.astray, seed, "the figures do not add up");
    if (open_descriptors != s.parked)
        t.note(t.astray, seed, "descriptors other than those parked");
}

/// In the end: nothing went wrong, and what the pool says is what its server has counted.
inline void check_end(const tally& t, const loopsafe::pool_stats& s, std::uint64_t accepted,
                      std::uint64_t wrong_at_server)
{
    CHECK(t.wrong == 0);
    CHECK(wrong_at_server == 0);
    CHECK(t.errors == 0);
    CHECK(t.refound == 0);
    CHECK(t.astray == 0);
    CHECK(accepted >= s.connects);
    CHECK(accepted <= s.connects + t.cut_short);
    CHECK(s.connects == s.closed() + s.parked);
}

/// How many invocations: as LOOPSAFE_CARRY says, for all the tests of this program together, of
/// which one has this many parts of `of`.
inline std::uint64_t invocations(std::uint64_t parts, std::uint64_t of)
{
    const char* const wanted = std::getenv("LOOPSAFE_CARRY");
    const auto all = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 2000;
    return all * parts / of;
}

/// The seed of the first invocation; the next has the next. A failure names its seed: to see it
/// again, LOOPSAFE_CARRY_SEED begins a few before it, since those leave the connections.
inline std::uint64_t first_seed()
{
    const char* const wanted = std::getenv("LOOPSAFE_CARRY_SEED");
    return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 1;
}

inline void print(const std::string& what, const tally& t, const loopsafe::pool_stats& s,
                  int accepted, std::chrono::nanoseconds time)
{
    if (std::getenv("LOOPSAFE_CARRY") == nullptr)
        return;
    const auto number = [](auto n) { return static_cast<unsigned long long>(n); };
    std::printf("%s: %llu invocations, %llu exchanges, %llu wrong, %llu failed; accepted %d, "
                "connects %llu, cut short %llu; parked %llu, adopted %llu, dropped %llu; %.1f s\n",
                what.c_str(), number(t.invocations), number(t.exchanges), number(t.wrong),
                number(t.errors), accepted, number(s.connects), number(t.cut_short),
                number(s.times_parked), number(s.adopted), number(s.dropped),
                std::chrono::duration<double>(time).count());
    const auto line = [&](const char* name, const std::map<std::string, std::uint64_t>& counts) {
        std::printf("  %s:", name);
        for (const auto& [each, count] : counts)
            std::printf(" %s %llu,", each.c_str(), number(count));
        std::puts("");
    };
    line("deaths", t.deaths);
    line("while parked", t.while_parked);
    std::printf("  closed:");
    for (std::size_t i = 0; i != loopsafe::close_reason_count; ++i) {
        if (s.closed_because[i] != 0)
            std::printf(" %s %llu,", to_string(static_cast<loopsafe::close_reason>(i)).data(),
                        number(s.closed_because[i]));
    }
    std::puts("");
    std::fflush(stdout);
}

/// What a program has in use: descriptors, and bytes of its heap.
struct belongings {
    std::ptrdiff_t descriptors = open_descriptors();
    std::size_t bytes = bytes_in_use();

#if defined(LOOPSAFE_TESTS_ASAN)
    static constexpr std::size_t precision = 0;
    static std::size_t bytes_in_use() { return __sanitizer_get_current_allocated_bytes(); }
#else
    static constexpr std::size_t precision = 512 * 1024; // glibc counts what its threads cache
    static std::size_t bytes_in_use() { return ::mallinfo2().uordblks; }
#endif
};

constexpr std::uint64_t few = 60;

/// Runs `f(n)` twice, with few and then with many: the second time leaves nothing behind.
template <class F>
void check_leaves_nothing(std::uint64_t many, F f)
{
    f(few);
    const belongings before;
    f(many);
    const belongings after;
    CHECK(after.descriptors == before.descriptors);
    CHECK(after.bytes <= before.bytes + belongings::precision);
}

} // namespace carry

#endif
