// SPDX-License-Identifier: BSL-1.0
// Programs over contexts, pools, leases, waiters, signals, hooks and owners, in any order: each
// byte is a step. No crash, no use of what is gone, nothing lost, and no answer that the steps
// before do not explain. One thread, a clock that the program moves, and connections without a
// peer, so that a program runs the same each time.

#include "program.hpp"

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/context_bound.hpp>
#include <loopsafe/testing/manual_clock.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using loopsafe::context_ref;
using loopsafe::errc;
using loopsafe::error_code;
using loopsafe::pool_event;
using loopsafe::testing::connect_script;
using loopsafe::testing::manual_clock;
using loopsafe::testing::scripted_connector;
using io_pointer = std::shared_ptr<asio::io_context>;

void require(bool holds)
{
    if (!holds)
        std::abort();
}

template <class Policy>
class world {
    using pool_type = loopsafe::connection_pool<scripted_connector, Policy>;
    using lease_type = typename pool_type::lease_type;

    static constexpr bool has_home = Policy::has_home;
    static constexpr std::size_t max_size = 2;

    // What is known of a pool, whatever object holds it.
    struct known {
        context_ref home;
        bool closed = false;
        int leased = 0;
    };
    using known_pointer = std::shared_ptr<known>;

    struct held {
        std::optional<pool_type> pool;
        known_pointer of;
    };

    struct attempt {
        known_pointer of;
        context_ref at;
        std::optional<asio::cancellation_signal> signal{std::in_place};
        bool by_asio = false; // the signal belongs to asio::co_spawn, which trusts it to live
        bool closes = false;
        bool emitted = false;
        int told = 0;
    };

    struct out {
        lease_type lease;
        known_pointer of;
    };

    struct late {
        asio::awaitable<lease_type> acquire;
        known_pointer of;
    };

public:
    explicit world(program& steps) : steps_(steps) { manual_clock::reset(); }

    void run()
    {
        for (int step = 0; steps_.more() && step != 400; ++step)
            act(steps_.below(22));
        finish();
    }

private:
    void act(unsigned what)
    {
        switch (what) {
        case 0: renew(steps_.below(contexts)); break;
        case 1: kill(steps_.below(contexts)); break;
        case 2: make_pool(steps_.below(pools), steps_.below(contexts)); break;
        case 3: destroy_pool(steps_.below(pools)); break;
        case 4: move_pool(steps_.below(pools), steps_.below(pools)); break;
        case 5:
        case 6: acquire(steps_.below(pools), steps_.below(contexts)); break;
        case 7:
        case 8: async_acquire(steps_.below(pools), steps_.below(contexts)); break;
        case 9:
        case 10:
        case 11: poll(steps_.below(contexts), steps_.next()); break;
        case 12: emit(steps_.next(), steps_.next()); break;
        case 13: end_signal(steps_.next()); break;
        case 14:
        case 15: end_lease(steps_.next(), steps_.below(5)); break;
        case 16: end_all(steps_.below(pools), steps_.below(4)); break;
        case 17: plan(steps_.below(6)); break;
        case 18: pass(steps_.below(4)); break;
        case 19: stash_or_begin(steps_.below(pools), steps_.below(contexts)); break;
        case 20: close(steps_.below(pools), steps_.below(contexts)); break;
        case 21: own(steps_.below(contexts), steps_.below(2)); break;
        default: break;
        }
    }

    // A hook may do what needs no running context.
    void act_in_hook()
    {
        if (in_hook_ > 2 || !steps_.more())
            return;
        ++in_hook_;
        switch (steps_.below(8)) {
        case 0: destroy_pool(steps_.below(pools)); break;
        case 1: end_all(steps_.below(pools), steps_.below(4)); break;
        case 2: end_lease(steps_.next(), steps_.below(4)); break;
        case 3: end_signal(steps_.next()); break;
        case 4: --in_hook_; throw 1;
        default: break;
        }
        --in_hook_;
    }

    void renew(std::size_t i)
    {
        if (polling_ != 0)
            return;
        io_[i] = std::make_shared<asio::io_context>(1);
    }

    // It may live on: something bound to it may own it.
    void kill(std::size_t i)
    {
        if (polling_ == 0)
            io_[i].reset();
    }

    void make_pool(std::size_t p, std::size_t i)
    {
        auto& h = pools_[p];
        if (has_home && io_[i] == nullptr)
            return;
        destroy_pool(p);
        typename Policy::options options;
        options.max_size = max_size;
        options.max_waiting = 3;
        if constexpr (has_home)
            h.pool.emplace(*io_[i], scripted_connector(script_), options);
        else
            h.pool.emplace(scripted_connector(script_), options);
        h.of = std::make_shared<known>();
        if constexpr (has_home)
            h.of->home = loopsafe::context_of(*io_[i]);
        if (steps_.below(2) != 0)
            h.pool->on_event([this](const pool_event&) { act_in_hook(); });
    }

    void destroy_pool(std::size_t p)
    {
        auto& h = pools_[p];
        if (!h.pool)
            return;
        if (h.of != nullptr)
            h.of->closed = true;
        h.of = nullptr;
        auto gone = std::exchange(h.pool, std::nullopt);
        gone.reset();
    }

    void move_pool(std::size_t from, std::size_t to)
    {
        if (from == to || !pools_[from].pool)
            return;
        destroy_pool(to);
        if (!pools_[from].pool) // a hook was faster
            return;
        pools_[to].pool.emplace(std::move(*pools_[from].pool));
        pools_[to].of = std::exchange(pools_[from].of, nullptr);
    }

    asio::any_io_executor executor(std::size_t i)
    {
        if (steps_.below(2) != 0)
            return asio::make_strand(*io_[i]);
        return io_[i]->get_executor();
    }

    loopsafe::acquire_options some_options()
    {
        switch (steps_.below(3)) {
        case 0: return {.timeout = 0ms};
        case 1: return {.timeout = 1s};
        default: return {};
        }
    }

    std::shared_ptr<attempt> begin(const known_pointer& of, std::size_t i)
    {
        auto a = std::make_shared<attempt>();
        a->of = of != nullptr ? of : gone_;
        a->at = loopsafe::context_of(*io_[i]);
        attempts_.push_back(a);
        return a;
    }

    void told(attempt& a, error_code ec, lease_type lease)
    {
        require(++a.told == 1);
        require(a.at.alive());
        if (!ec) {
            require(static_cast<bool>(lease));
            require(lease.home() == a.at);
            ++a.of->leased;
            if constexpr (has_home)
                require(a.of->leased <= static_cast<int>(max_size));
            leases_.push_back({std::move(lease), a.of});
            return;
        }
        require(!lease);
        explain(a, ec);
    }

    void explain(const attempt& a, error_code ec) const
    {
        if (ec == errc::pool_closed)
            require(a.of->closed);
        else if (ec == errc::wrong_context)
            require(has_home && a.of->home != a.at);
        else if (ec == errc::context_closed)
            require(has_home && !a.of->home.alive());
        else if (ec == asio::error::operation_aborted)
            require(a.emitted);
        else if (ec == asio::error::connection_refused)
            require(planned_failure_);
        else if (ec == asio::error::no_descriptors || ec == asio::error::connection_reset)
            require(false); // the next connection is made instead
        else if (ec == errc::connect_timeout)
            require(passed_);
        else
            require(ec == errc::acquire_timeout || ec == errc::queue_full);
    }

    void acquire(std::size_t p, std::size_t i)
    {
        if (pools_[p].pool && io_[i] != nullptr)
            spawn(pools_[p].pool->acquire(some_options()), pools_[p].of, i);
    }

    void spawn(asio::awaitable<lease_type> what, const known_pointer& of, std::size_t i)
    {
        const auto a = begin(of, i);
        a->by_asio = true;
        asio::co_spawn(
            io_[i]->get_executor(), std::move(what),
            asio::bind_cancellation_slot(
                a->signal->slot(), [this, a](const std::exception_ptr& error, lease_type lease) {
                    told(*a, loopsafe::detail::code_of(error), std::move(lease));
                }));
    }

    void async_acquire(std::size_t p, std::size_t i)
    {
        if (!pools_[p].pool || io_[i] == nullptr)
            return;
        const auto a = begin(pools_[p].of, i);
        const auto on = executor(i);
        pools_[p].pool->async_acquire(
            on,
            asio::bind_cancellation_slot(
                a->signal->slot(), asio::bind_executor(on,
                                                       [this, a](error_code ec, lease_type lease) {
                                                           told(*a, ec, std::move(lease));
                                                       })),
            some_options());
    }

    void close(std::size_t p, std::size_t i)
    {
        if (!pools_[p].pool || io_[i] == nullptr)
            return;
        const auto a = begin(pools_[p].of, i);
        a->closes = true;
        pools_[p].pool->async_close(
            steps_.below(2) != 0 ? 1000ms : loopsafe::never,
            asio::bind_cancellation_slot(a->signal->slot(),
                                         asio::bind_executor(executor(i), [this, a](error_code ec) {
                                             require(++a->told == 1);
                                             require(a->at.alive());
                                             if (ec == errc::close_timeout)
                                                 require(passed_);
                                             else if (ec)
                                                 explain(*a, ec);
                                             else
                                                 require(a->of->closed);
                                         })));
        const bool elsewhere = has_home && a->of->home != a->at;
        if (!elsewhere || a->of == gone_)
            a->of->closed = true;
    }

    void stash_or_begin(std::size_t p, std::size_t i)
    {
        if (steps_.below(2) != 0 || late_.empty()) {
            if (pools_[p].pool)
                late_.push_back({pools_[p].pool->acquire(some_options()),
                                 pools_[p].of != nullptr ? pools_[p].of : gone_});
            return;
        }
        if (io_[i] == nullptr)
            return;
        auto some = std::move(late_.back());
        late_.pop_back();
        spawn(std::move(some.acquire), some.of, i);
    }

    void poll(std::size_t i, unsigned handlers)
    {
        if (polling_ != 0 || io_[i] == nullptr)
            return;
        ++polling_;
        const auto kept = io_[i];
        kept->restart();
        for (unsigned n = 0; n <= handlers && kept->poll_one() != 0; ++n) {}
        --polling_;
    }

    void emit(unsigned which, unsigned how)
    {
        if (attempts_.empty() || in_hook_ != 0)
            return;
        const auto a = attempts_[which % attempts_.size()];
        if (!a->signal || (a->by_asio && !a->at.alive()))
            return;
        a->emitted = true;
        constexpr asio::cancellation_type kinds[] = {asio::cancellation_type::terminal,
                                                     asio::cancellation_type::partial,
                                                     asio::cancellation_type::total};
        a->signal->emit(kinds[how % 3]);
    }

    void end_signal(unsigned which)
    {
        if (attempts_.empty())
            return;
        const auto a = attempts_[which % attempts_.size()];
        if (!a->by_asio)
            a->signal.reset();
    }

    void end_lease(unsigned which, unsigned how)
    {
        if (leases_.empty())
            return;
        const auto n = which % leases_.size();
        out one = std::move(leases_[n]);
        leases_.erase(leases_.begin() + static_cast<std::ptrdiff_t>(n));
        --one.of->leased;
        switch (how) {
        case 0: one.lease.release(); break;
        case 1: one.lease.discard(); break;
        case 2:
            try {
                const lease_type ends = std::move(one.lease);
                throw 1;
            } catch (int) {
            }
            break;
        case 3:
            if (one.lease.home().alive())
                one.lease->clean = false;
            break;
        case 4: {
            bool expired = false;
            try {
                expired = one.lease->number() == 0;
            } catch (const loopsafe::context_error& e) {
                expired = e.code() == errc::lease_expired;
            }
            require(expired == !one.lease.home().alive());
            break;
        }
        default: break;
        }
    }

    void end_all(std::size_t p, unsigned how)
    {
        if (!pools_[p].pool)
            return;
        auto& pool = *pools_[p].pool;
        switch (how) {
        case 0:
            if (pools_[p].of != nullptr)
                pools_[p].of->closed = true;
            pool.close();
            break;
        case 1: pool.invalidate(); break;
        case 2: pool.thaw(); break;
        case 3:
            if constexpr (loopsafe::carries_over<Policy>)
                pool.drop_parked();
            break;
        default: break;
        }
    }

    void plan(unsigned what)
    {
        switch (what) {
        case 0:
            planned_failure_ = true;
            script_->plan({connect_script::outcome::fail});
            break;
        case 1: script_->plan({connect_script::outcome::never}); break;
        case 2: script_->peer_alive = !script_->peer_alive; break;
        case 3: script_->wants_reset = !script_->wants_reset; break;
        case 4: script_->detach_works = !script_->detach_works; break;
        case 5: script_->attach_works = !script_->attach_works; break;
        default: break;
        }
    }

    void pass(unsigned how)
    {
        constexpr std::chrono::nanoseconds steps[] = {1ms, 1s, 10s, 1h};
        passed_ = true;
        if (how == 3) {
            manual_clock::move(1ms, 10min, -1h); // a freeze, and an administrator
            return;
        }
        manual_clock::move(steps[how], steps[how], steps[how]);
        for (const auto& io : io_) {
            if (io != nullptr)
                manual_clock::advance(*io, 0ns);
        }
    }

    // A value that owns the context that it is bound to.
    void own(std::size_t i, unsigned how)
    {
        if (polling_ != 0)
            return;
        if (how == 0 && !owners_.empty()) {
            auto one = std::move(owners_.back());
            owners_.pop_back();
            one.reset();
        } else if (io_[i] != nullptr && owners_.size() < 4) {
            owners_.emplace_back(*io_[i], io_[i]);
        }
    }

    void finish()
    {
        for (auto& h : pools_) {
            if (h.pool && h.of != nullptr) {
                h.of->closed = true;
                h.pool->close();
            }
        }
        // Whoever waits on a context that runs is told, unless a connect never ends.
        for (std::size_t i = 0; i != contexts; ++i)
            poll(i, 10'000);
        const bool pools_first = steps_.below(2) != 0;
        if (pools_first)
            end_pools();
        late_.clear();
        while (!leases_.empty())
            end_lease(0, steps_.below(2));
        while (!owners_.empty())
            own(0, 0);
        for (auto& io : io_)
            io.reset();
        if (!pools_first)
            end_pools();
        require(leases_.empty());
        require(script_->open() == 0);
        for (const auto& a : attempts_)
            require(a->told <= 1 && !a->at.alive());
    }

    void end_pools()
    {
        for (std::size_t p = 0; p != pools; ++p)
            destroy_pool(p);
    }

    static constexpr std::size_t contexts = 3;
    static constexpr std::size_t pools = 2;

    program& steps_;
    const std::shared_ptr<connect_script> script_ = std::make_shared<connect_script>();
    const known_pointer gone_ = [] {
        auto none = std::make_shared<known>();
        none->closed = true;
        return none;
    }();
    std::vector<std::shared_ptr<attempt>> attempts_;
    std::vector<late> late_;
    std::vector<out> leases_;
    std::array<held, pools> pools_;
    std::vector<loopsafe::context_bound<io_pointer>> owners_;
    std::array<io_pointer, contexts> io_;
    int polling_ = 0;
    int in_hook_ = 0;
    bool planned_failure_ = false;
    bool passed_ = false;
};

template <template <class, class> class Policy>
using timed = Policy<loopsafe::pool_mutex, manual_clock>;

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    program steps(data, size);
    switch (steps.below(4)) {
    case 0: world<timed<loopsafe::basic_keep_alive_pool>>(steps).run(); break;
    case 1: world<timed<loopsafe::basic_null_pool>>(steps).run(); break;
    case 2: world<timed<loopsafe::basic_per_context_pool>>(steps).run(); break;
    default: world<timed<loopsafe::basic_carry_over_pool>>(steps).run(); break;
    }
    return 0;
}
