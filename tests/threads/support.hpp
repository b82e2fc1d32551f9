// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_THREADS_SUPPORT_HPP
#define LOOPSAFE_TESTS_THREADS_SUPPORT_HPP

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace threads {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using loopsafe::error_code;
using loopsafe::testing::connect_script;
using loopsafe::testing::scripted_connector;

/// LOOPSAFE_SEED=... makes the same choices again, though not the same interleaving.
inline unsigned seed()
{
    static const unsigned value = [] {
        const char* given = std::getenv("LOOPSAFE_SEED");
        return given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
    }();
    return value;
}

/// Choices of one participant.
class dice {
public:
    explicit dice(unsigned who) : engine_(seed() ^ (who * 2654435761u)) {}
    unsigned below(unsigned n) { return static_cast<unsigned>(engine_()) % n; }

private:
    std::mt19937 engine_;
};

/// Leases that anybody may end, on any thread.
template <class Lease>
class lost_property {
public:
    void leave(Lease lease)
    {
        const std::lock_guard lock(mutex_);
        leases_.push_back(std::move(lease));
    }

    /// Ends what was left. True where there was something.
    bool clear()
    {
        std::vector<Lease> taken;
        {
            const std::lock_guard lock(mutex_);
            taken.swap(leases_);
        }
        return !taken.empty();
    }

private:
    std::mutex mutex_;
    std::vector<Lease> leases_;
};

/// What all participants have seen.
struct ledger {
    std::atomic<std::uint64_t> given{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> unexpected{0};
    std::atomic<unsigned> present{0};

    void count(const error_code& ec)
    {
        using loopsafe::errc;
        const bool known = ec == errc::acquire_timeout || ec == errc::connect_timeout ||
                           ec == errc::queue_full || ec == errc::pool_closed ||
                           ec == asio::error::operation_aborted ||
                           ec == asio::error::connection_refused;
        ++(known ? refused : unexpected);
    }
};

inline asio::awaitable<void> yield(unsigned times)
{
    const auto executor = co_await asio::this_coro::executor;
    for (; times != 0; --times)
        co_await asio::post(executor, asio::use_awaitable);
}

/// Emits after some handlers of the executor have run.
inline void cancel_later(asio::any_io_executor executor,
                         std::shared_ptr<asio::cancellation_signal> signal, unsigned handlers)
{
    asio::post(executor, [=] {
        if (handlers == 0)
            signal->emit(asio::cancellation_type::total);
        else
            cancel_later(executor, signal, handlers - 1);
    });
}

/// Somebody who uses the pool, in every way there is. Each has an executor on which nothing else
/// of it runs at the same time.
template <class Pool>
asio::awaitable<void> use(Pool& pool, lost_property<typename Pool::lease_type>& lost, ledger& seen,
                          unsigned who, unsigned rounds)
{
    using lease_type = typename Pool::lease_type;
    dice choice(who);
    const auto executor = co_await asio::this_coro::executor;
    for (; rounds != 0; --rounds) {
        try {
            lease_type lease;
            switch (choice.below(8)) {
            case 0:
                lease =
                    co_await pool.acquire({.timeout = std::chrono::milliseconds(choice.below(2))});
                break;
            case 1: {
                auto signal = std::make_shared<asio::cancellation_signal>();
                cancel_later(executor, signal, choice.below(6));
                lease = co_await pool.async_acquire(
                    executor, asio::bind_cancellation_slot(signal->slot(), asio::use_awaitable));
                break;
            }
            case 2: {
                lease = pool.try_acquire(executor);
                if (!lease)
                    continue;
                break;
            }
            default: lease = co_await pool.acquire();
            }
            ++seen.given;
            co_await yield(choice.below(4));
            switch (choice.below(6)) {
            case 0: lease.discard(); break;
            case 1: lease.release(); break;
            case 2: lost.leave(std::move(lease)); break;
            case 3: lease->clean = false; break;
            default: break;
            }
        } catch (const boost::system::system_error& e) {
            seen.count(e.code());
        }
    }
}

/// What main does meanwhile.
template <class Pool>
void meddle(Pool& pool, lost_property<typename Pool::lease_type>& lost, connect_script& script,
            dice& choice)
{
    using outcome = connect_script::outcome;
    switch (choice.below(9)) {
    case 0: pool.invalidate(); break;
    case 1: pool.thaw(); break;
    case 2: pool.stats(); break;
    case 3: pool.holders(); break;
    case 4: script.plan({outcome::fail}); break;
    case 5: script.plan({outcome::never}); break;
    case 6: script.wants_reset = choice.below(2) == 0; break;
    case 7: script.reset_works = choice.below(4) != 0; break;
    default: script.peer_alive = choice.below(4) != 0; break;
    }
    lost.clear();
}

template <class Pool>
void nothing_is_left(const Pool& pool, const connect_script& script, const ledger& seen)
{
    const auto end = pool.stats();
    CHECK(end.leased == 0);
    CHECK(end.connecting == 0);
    CHECK(end.waiting == 0);
    CHECK(end.idle == 0);
    CHECK(script.opened == script.closed);
    CHECK(seen.unexpected == 0);
    MESSAGE("seed ", seed(), ": ", end.acquired, " leases (", end.reused, " reused), ",
            seen.refused.load(), " refused, ", script.opened.load(), " connections opened, ",
            script.closed.load(), " closed");
}

} // namespace threads

#endif
