// SPDX-License-Identifier: BSL-1.0
// Threads that make and destroy contexts of their own, and hand each other what these leave.
#include "support.hpp"

#include <loopsafe/tls.hpp>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <support/tls_peer.hpp>
#include <thread>

namespace carry_over_tests {

namespace {

using namespace threads;
using loopsafe::carry_over_pool;
using loopsafe::pool_stats;

constexpr unsigned owners = 8;

// Each owner runs `live(owner)` on a thread of its own; `meanwhile` runs here until all have ended.
template <class Live, class Meanwhile>
void on_eight_threads(Live live, Meanwhile meanwhile)
{
    std::atomic<unsigned> present = owners;
    std::vector<std::jthread> all;
    for (unsigned owner = 1; owner <= owners; ++owner) {
        all.emplace_back([&, owner] {
            live(owner);
            --present;
        });
    }
    while (present != 0) {
        meanwhile();
        std::this_thread::yield();
    }
}

void each_was_adopted_or_closed_once(const pool_stats& end)
{
    CHECK(end.parked == 0);
    CHECK(end.times_parked == end.adopted + end.dropped);
    CHECK(end.connects == end.closed());
    MESSAGE("seed ", seed(), ": ", end.times_parked, " parked, ", end.adopted, " adopted, ",
            end.dropped, " dropped, ", end.connects, " connects");
}

} // namespace

TEST_CASE("eight threads that make and destroy contexts adopt or close what is parked exactly once")
{
    using pool_type = loopsafe::connection_pool<scripted_connector, carry_over_pool>;
    const auto script = std::make_shared<connect_script>();
    pool_type pool(scripted_connector(script), {.max_size = 3, .max_parked = 5});
    const auto borrow = [&](dice& choice) -> asio::awaitable<void> {
        auto lease = co_await pool.acquire();
        co_await yield(choice.below(3));
        if (choice.below(8) == 0)
            lease.discard();
    };
    const auto live = [&](unsigned owner) {
        dice choice(owner);
        for (int life = 0; life != 150; ++life) {
            asio::io_context context(1);
            for (auto users = 1 + choice.below(4); users != 0; --users)
                asio::co_spawn(context, borrow(choice), asio::detached);
            if (choice.below(4) != 0) {
                context.run();
            } else {
                for (auto handlers = choice.below(20); handlers != 0; --handlers)
                    context.run_one();
            }
        }
    };
    dice choice(0);
    on_eight_threads(live, [&] {
        switch (choice.below(200)) {
        case 0: pool.drop_parked(); break;
        case 1: pool.invalidate(); break;
        case 2: script->peer_alive = choice.below(2) == 0; break;
        case 3: script->attach_works = choice.below(2) == 0; break;
        case 4: script->detach_works = choice.below(2) == 0; break;
        default: pool.stats();
        }
    });
    script->peer_alive = script->attach_works = script->detach_works = true;
    const auto adopted = pool.stats().adopted;
    for (int last = 0; last != 2; ++last) { // all is as it was
        asio::io_context context(1);
        asio::co_spawn(
            context, [&]() -> asio::awaitable<void> { co_await pool.acquire(); }, asio::detached);
        context.run();
    }
    CHECK(pool.stats().adopted > adopted);
    pool.drop_parked();
    each_was_adopted_or_closed_once(pool.stats());
    CHECK(script->opened == script->closed);
}

TEST_CASE("eight threads carry TLS connections from one's context to another's")
{
    using pool_type = loopsafe::connection_pool<loopsafe::tls_connector, carry_over_pool>;
    tls_peer server;
    server.serve();
    pool_type pool(server.connector(), {.max_parked = 6});
    std::atomic<int> right = 0;
    constexpr int lives = 25;
    const auto exchange = [&](std::string word) -> asio::awaitable<void> {
        auto lease = co_await pool.acquire();
        co_await asio::async_write(*lease, asio::buffer(word), asio::use_awaitable);
        std::string answer(word.size(), '\0');
        co_await asio::async_read(*lease, asio::buffer(answer), asio::use_awaitable);
        right += answer == word ? 1 : 0;
        lease.release();
    };
    const auto live = [&](unsigned owner) {
        for (int life = 0; life != lives; ++life) {
            asio::io_context context(1);
            asio::co_spawn(context, exchange(std::to_string(1000 * static_cast<int>(owner) + life)),
                           asio::detached);
            context.run();
        }
    };
    on_eight_threads(live, [&] { pool.stats(); });
    CHECK(right == owners * lives);
    CHECK(pool.stats().connects < owners * lives);
    pool.drop_parked();
    each_was_adopted_or_closed_once(pool.stats());
}

} // namespace carry_over_tests
