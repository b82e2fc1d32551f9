// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_RACE_HPP
#define LOOPSAFE_TESTS_LIFETIMES_RACE_HPP

#include <boost/asio/io_context.hpp>

#include <array>
#include <barrier>
#include <cstddef>
#include <optional>
#include <thread>
#include <vector>

namespace race {

struct contexts {
    boost::asio::io_context& operator[](std::size_t i) { return *all[i]; }

    void make()
    {
        for (auto& each : all)
            each.emplace(1);
    }
    void destroy()
    {
        for (auto& each : all)
            each.reset();
    }

    static constexpr std::size_t size = 4;
    std::array<std::optional<boost::asio::io_context>, size> all;
};

inline constexpr std::size_t owners = 2; // threads that make contexts and destroy them
inline constexpr int rounds = 150;       // of `owners * contexts::size` contexts each

// In each round `begin()`; then every owner makes contexts and does `prepare(owner, contexts)`;
// then the owners destroy their contexts while this thread does `intrude()`; then `end()`.
template <class Begin, class Prepare, class Intrude, class End>
void run(Begin begin, Prepare prepare, Intrude intrude, End end)
{
    std::barrier gate(owners + 1);
    std::vector<std::jthread> threads;
    for (std::size_t owner = 0; owner != owners; ++owner) {
        threads.emplace_back([&, owner] {
            contexts mine;
            for (int round = 0; round != rounds; ++round) {
                gate.arrive_and_wait();
                mine.make();
                prepare(owner, mine);
                gate.arrive_and_wait();
                mine.destroy();
                gate.arrive_and_wait();
            }
        });
    }
    for (int round = 0; round != rounds; ++round) {
        begin();
        gate.arrive_and_wait();
        gate.arrive_and_wait();
        intrude();
        gate.arrive_and_wait();
        end();
    }
}

} // namespace race

#endif
