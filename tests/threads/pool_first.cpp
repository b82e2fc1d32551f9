// SPDX-License-Identifier: BSL-1.0
#include "support.hpp"

#include <barrier>
#include <optional>
#include <thread>

namespace pool_first_tests {

namespace {

using namespace threads;

constexpr unsigned owners = 3;
constexpr unsigned turns = 120;

template <class Policy>
using pool_of = loopsafe::connection_pool<scripted_connector, Policy>;

// A context on which leases are out, callers wait, and a close drains.
template <class Policy>
class household {
public:
    using lease_type = typename pool_of<Policy>::lease_type;

    explicit household(pool_of<Policy>& pool)
    {
        ask(pool);
        while (held_.size() < 2)
            context_.run_one();
    }

    void wait(pool_of<Policy>& pool)
    {
        ask(pool);
        poll();
    }
    void begin_close(pool_of<Policy>& pool)
    {
        pool.async_close(10min, asio::bind_executor(context_.get_executor(),
                                                    [this](error_code) { ++answers_; }));
        poll();
    }

    void leave(lost_property<lease_type>& lost)
    {
        lost.leave(std::move(held_.back()));
        held_.pop_back();
    }
    void end_leases() { held_.clear(); }
    void run() { context_.run(); }
    int answers() const { return answers_; }

private:
    void ask(pool_of<Policy>& pool)
    {
        for (int i = 0; i != 2; ++i) {
            pool.async_acquire(context_.get_executor(), [this](error_code, lease_type lease) {
                if (lease)
                    held_.push_back(std::move(lease));
                ++answers_;
            });
        }
    }
    void poll()
    {
        while (context_.poll_one() != 0) {}
    }

    std::vector<lease_type> held_; // outlives the context
    asio::io_context context_{1};
    int answers_ = 0;
};

} // namespace

TEST_CASE_TEMPLATE("a pool may be destroyed while other threads end leases and destroy contexts",
                   Policy, loopsafe::per_context_pool, loopsafe::null_pool)
{
    const auto script = std::make_shared<connect_script>();
    std::optional<pool_of<Policy>> pool;
    lost_property<typename pool_of<Policy>::lease_type> lost;
    std::barrier gate(owners + 1);
    std::atomic<unsigned> unanswered{0};
    {
        std::vector<std::jthread> all;
        for (unsigned owner = 1; owner <= owners; ++owner) {
            all.emplace_back([&, owner] {
                dice choice(owner);
                for (unsigned turn = 0; turn != turns; ++turn) {
                    gate.arrive_and_wait();
                    {
                        household<Policy> home(*pool);
                        gate.arrive_and_wait();
                        home.wait(*pool);
                        if (choice.below(2) == 0)
                            home.begin_close(*pool);
                        gate.arrive_and_wait();
                        home.leave(lost);
                        switch (choice.below(3)) {
                        case 0:
                            home.end_leases();
                            lost.clear(); // a pending async_close waits for what this one left
                            home.run();
                            unanswered += home.answers() < 4 ? 1 : 0;
                            break;
                        case 1: home.end_leases(); break;
                        default: break; // the leases die with the context, or after it
                        }
                    }
                    lost.clear();
                    gate.arrive_and_wait();
                }
            });
        }
        dice choice(0);
        for (unsigned turn = 0; turn != turns; ++turn) {
            pool.emplace(
                scripted_connector(script),
                typename Policy::options{.max_size = Policy::limit_per_context ? 2 : 2 * owners,
                                         .acquire_timeout = loopsafe::never});
            gate.arrive_and_wait();
            gate.arrive_and_wait();
            gate.arrive_and_wait();
            for (auto n = choice.below(3); n != 0; --n)
                lost.clear();
            pool.reset();
            lost.clear();
            gate.arrive_and_wait();
            lost.clear();
        }
    }
    CHECK(unanswered == 0);
    CHECK(script->opened == script->closed);
    MESSAGE("seed ", seed(), ": ", script->opened.load(), " connections opened, ",
            script->closed.load(), " closed");
}

} // namespace pool_first_tests
