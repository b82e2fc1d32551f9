// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/offloaded_connection_pool.hpp>

#include <boost/asio/detached.hpp>

#include <array>
#include <thread>
#include <threads/support.hpp>

namespace offloaded_pool_tests {

namespace {

using namespace threads;
using loopsafe::on_cancel;

using pool_type = loopsafe::connection_pool<scripted_connector, loopsafe::keep_alive_pool,
                                            loopsafe::thread_offload>;
using connection = pool_type::lease_type::connection_type;

// One function at a time may have a connection.
struct occupancy {
    std::array<std::atomic<int>, 4096> of{};
    std::atomic<unsigned> overlaps{0};
    std::atomic<unsigned> calls{0};
};

class visitor {
public:
    visitor(occupancy& o, unsigned turns) : seen_(&o), turns_(turns) {}

    void operator()(connection& c) const
    {
        ++seen_->calls;
        auto& here = seen_->of[static_cast<std::size_t>(c->number()) % seen_->of.size()];
        if (++here != 1)
            ++seen_->overlaps;
        for (unsigned i = 0; i != turns_; ++i)
            c.wait(asio::post(c.get_executor(), asio::use_awaitable));
        if (turns_ == 7)
            c->clean = false;
        --here;
    }

private:
    occupancy* seen_;
    unsigned turns_;
};

asio::awaitable<void> use(pool_type& pool, occupancy& seen, ledger& told, unsigned who)
{
    dice choice(who);
    for (unsigned round = 0; round != 4; ++round) {
        try {
            auto lease = co_await pool.acquire({.timeout = 2ms * choice.below(500)});
            ++told.given;
            const auto mode = choice.below(2) == 0 ? on_cancel::wait : on_cancel::abandon;
            const visitor visit(seen, choice.below(8));
            co_await lease.run(visit, mode);
            if (choice.below(4) == 0)
                lease.discard();
        } catch (const boost::system::system_error& e) {
            told.count(e.code());
        }
    }
}

TEST_SUITE_BEGIN("threads");

TEST_CASE("contexts on four threads share a pool of worker threads, and die in the middle of it")
{
    const auto script = std::make_shared<connect_script>();
    const auto seen = std::make_unique<occupancy>();
    ledger told;
    loopsafe::worker_threads workers({.max_threads = 4});
    pool_type pool(scripted_connector(script), {.max_size = 3}, &workers);
    {
        std::vector<std::jthread> threads;
        for (unsigned thread = 0; thread != 4; ++thread) {
            threads.emplace_back([&, thread] {
                dice choice(thread);
                for (unsigned life = 0; life != 40; ++life) {
                    asio::io_context context(1);
                    std::vector<std::shared_ptr<asio::cancellation_signal>> signals;
                    for (unsigned i = 0; i != 4; ++i) {
                        signals.push_back(std::make_shared<asio::cancellation_signal>());
                        asio::co_spawn(
                            context, use(pool, *seen, told, (thread * 40 + life) * 4 + i),
                            asio::bind_cancellation_slot(signals.back()->slot(), asio::detached));
                        if (choice.below(4) == 0)
                            cancel_later(context.get_executor(), signals.back(), choice.below(9));
                    }
                    if (choice.below(2) == 0)
                        context.run();
                    else
                        for (auto handlers = choice.below(30);
                             handlers != 0 && context.run_one() != 0; --handlers) {}
                }
            });
        }
        dice choice(1000);
        for (int i = 0; i != 50; ++i) {
            if (choice.below(4) == 0)
                pool.invalidate();
            pool.stats();
            pool.holders();
            std::this_thread::yield();
        }
    }
    CHECK(workers.join(loopsafe::never));
    pool.close();
    const auto end = pool.stats();
    CHECK(seen->overlaps == 0);
    CHECK(seen->calls > 0);
    CHECK(end.leased == 0);
    CHECK(end.connecting == 0);
    CHECK(end.waiting == 0);
    CHECK(end.idle == 0);
    CHECK(script->opened == script->closed);
    CHECK(told.unexpected == 0);
    MESSAGE("seed ", seed(), ": ", told.given.load(), " leases, ", seen->calls.load(), " calls, ",
            told.refused.load(), " refused, ", script->opened.load(), " connections opened");
}

} // namespace

} // namespace offloaded_pool_tests
