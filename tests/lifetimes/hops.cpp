// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/context_bound.hpp>
#include <loopsafe/scopes.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <optional>
#include <thread>

namespace hops_tests {

namespace {

namespace asio = boost::asio;
using loopsafe::errc;
using loopsafe::hop_to;

// Where a context dies: before the call is posted, while it waits at the home, while its function
// runs, and when its result is on its way back.
enum class stage { before_post, queued, running, posted_back };

struct books {
    std::atomic<int> posted{0};    // calls that have begun
    std::atomic<int> run{0};       // functions that have ended
    std::atomic<int> destroyed{0}; // functions or frames that were destroyed before that
    std::atomic<int> values{0};
    std::atomic<int> closed{0};
    std::atomic<int> other{0};
};

// Counts once, on whichever thread, whether the function has ended.
class call_mark {
public:
    explicit call_mark(books& all) : shared_(std::make_shared<shared>(all)) { ++all.posted; }
    void ended() const { shared_->has_ended = true; }

private:
    struct shared {
        explicit shared(books& b) : all(b) {}
        ~shared() { ++(has_ended ? all.run : all.destroyed); }
        books& all;
        std::atomic<bool> has_ended{false};
    };
    std::shared_ptr<shared> shared_;
};

asio::awaitable<int> at_home(call_mark mark, int turns)
{
    const auto executor = co_await asio::this_coro::executor;
    for (; turns != 0; --turns)
        co_await asio::post(executor, asio::use_awaitable);
    mark.ended();
    co_return 7;
}

asio::awaitable<void> call(asio::awaitable<int> there, books& all)
{
    try {
        const int value = co_await std::move(there);
        CHECK(value == 7);
        ++all.values;
    } catch (const boost::system::system_error& e) {
        ++(e.code() == errc::context_closed ? all.closed : all.other);
    }
}

constexpr int rounds = 1250; // of each kind

// The two contexts run on threads of their own, which meet before one of them lets its context die.
void race(stage when, bool home_dies, books& all)
{
    std::barrier meet(2);
    std::optional<asio::io_context> home;
    std::optional<asio::io_context> away;
    const auto run_some = [&](asio::io_context& context, int steps) {
        context.restart();
        for (int i = 0; i != steps && context.poll_one() != 0; ++i) {}
    };
    const auto run_to_end = [&](asio::io_context& context) {
        context.restart();
        context.run();
    };
    std::thread homes([&] {
        for (int round = 0; round != rounds; ++round) {
            home.emplace(1);
            meet.arrive_and_wait(); // both contexts are there
            meet.arrive_and_wait(); // the call is made
            if (when == stage::running || when == stage::posted_back)
                run_some(*home, when == stage::running ? 1 + round % 3 : 100);
            if (!home_dies)
                run_to_end(*home);
            else if (when == stage::before_post && round % 2 == 0)
                run_to_end(*home);
            if (home_dies)
                home.reset();
            meet.arrive_and_wait(); // that one is dead, the other has heard of it
            if (!home_dies) {
                run_to_end(*home);
                home.reset();
            }
        }
    });
    for (int round = 0; round != rounds; ++round) {
        away.emplace(1);
        meet.arrive_and_wait();
        {
            const loopsafe::context_bound<int> lives_there(*home, 1);
            const auto to = home->get_executor();
            auto there = round % 2 == 0 ? hop_to(to, at_home, call_mark(all), round % 4)
                                        : hop_to(
                                              to,
                                              [](const call_mark& mark) {
                                                  mark.ended();
                                                  return 7;
                                              },
                                              call_mark(all));
            asio::co_spawn(*away, call(std::move(there), all), asio::detached);
        }
        if (when != stage::before_post)
            run_some(*away, 1);
        meet.arrive_and_wait();
        if (home_dies) {
            run_to_end(*away);
        } else {
            if (when == stage::before_post)
                run_some(*away, round % 3);
            if (when == stage::posted_back)
                run_some(*away, round % 2);
        }
        away.reset();
        meet.arrive_and_wait();
    }
    homes.join();
}

TEST_CASE("hop_to: ten thousand hops, with either side dying at each stage, on two threads")
{
    for (const auto when :
         {stage::before_post, stage::queued, stage::running, stage::posted_back}) {
        for (const bool home_dies : {true, false}) {
            CAPTURE(static_cast<int>(when));
            CAPTURE(home_dies);
            books all;
            race(when, home_dies, all);
            CHECK(all.posted == rounds);
            CHECK(all.posted == all.run + all.destroyed);
            CHECK(all.other == 0);
            if (home_dies)
                CHECK(all.values + all.closed == rounds);
            CHECK(all.values <= all.run);
        }
    }
}

} // namespace

} // namespace hops_tests
