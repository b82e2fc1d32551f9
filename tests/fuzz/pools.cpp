// SPDX-License-Identifier: BSL-1.0
// Programs over contexts, pools, leases, waiters, signals, hooks and owners, in any order: each
// byte is a step. Hooks and the ends of connections do steps of their own. No crash, no use of what
// is gone, nothing lost, and no answer that the steps before do not explain. One thread, a clock
// that the program moves, and connections without a peer, so that a program runs the same each
// time.

#include "acting_connector.hpp"
#include "program.hpp"
#include "timers.hpp"

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/context_bound.hpp>
#include <loopsafe/testing/manual_clock.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
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
using io_pointer = std::shared_ptr<asio::io_context>;

template <class Policy>
class world {
    using pool_type = loopsafe::connection_pool<acting_connector, Policy>;
    using lease_type = typename pool_type::lease_type;

    static constexpr bool has_home = Policy::has_home;
    static constexpr std::size_t max_size = 2;
    static constexpr std::size_t max_waiting = 3;

    // What is known of a pool, whatever object holds it.
    struct known {
        int number = 0;
        context_ref home;
        bool closed = false;
        std::size_t asked = 0;
    };
    using known_pointer = std::shared_ptr<known>;

    struct held {
        std::optional<pool_type> pool;
        known_pointer of;
    };

    struct attempt {
        int number = 0;
        known_pointer of;
        context_ref at;
        std::optional<asio::cancellation_signal> signal{std::in_place};
        bool by_asio = false; // the signal belongs to asio::co_spawn, which trusts it to live
        bool impatient = false;
        bool emitted = false;
        int told = 0;
    };
    using attempt_pointer = std::shared_ptr<attempt>;

    struct out {
        lease_type lease;
        known_pointer of;
        int number = 0; // of the attempt that got it
    };

    // What was made and not begun yet. It begins on the context with this number.
    using late = std::function<void(std::size_t)>;

public:
    explicit world(program& steps) : steps_(steps) { manual_clock::reset(); }

    void run()
    {
        for (int step = 0; steps_.more() && step != 400; ++step)
            act(steps_.below(24));
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
        case 17: plan(steps_.below(7)); break;
        case 18: pass(steps_.below(4)); break;
        case 19: make_late(steps_.below(pools)); break;
        case 20: begin_late(steps_.below(contexts)); break;
        case 21: close(steps_.below(pools), steps_.below(contexts)); break;
        case 22: own(steps_.below(contexts), steps_.below(2)); break;
        case 23: own_by_connection(steps_.next()); break;
        default: break;
        }
    }

    // A hook, and a destructor, may do what needs no running context.
    void act_inside(const char* where, bool is_hook)
    {
        if (steps_.depth() > 2 || !steps_.more())
            return;
        const auto what = steps_.below(10);
        if (what > 7)
            return;
        const program::inner deeper(steps_);
        steps_.tell("(", where, ")");
        switch (what) {
        case 0: destroy_pool(steps_.below(pools)); break;
        case 1: end_all(steps_.below(pools), steps_.below(4)); break;
        case 2: end_lease(steps_.next(), steps_.below(4)); break;
        case 3: end_signal(steps_.next()); break;
        case 4: kill(steps_.below(contexts)); break;
        case 5: move_pool(steps_.below(pools), steps_.below(pools)); break;
        case 6:
            if (is_hook) {
                steps_.tell("throw");
                throw 1;
            }
            break;
        case 7:
            if (is_hook && ends_ == 0)
                kill_elsewhere(steps_.below(contexts));
            break;
        default: break;
        }
    }

    // What a connection does last. Its pool may keep the context from being destroyed by other
    // threads meanwhile, which no hook needs to expect.
    void act_at_the_end()
    {
        ++ends_;
        act_inside("a connection ends", false);
        --ends_;
    }

    // Contexts ------------------------------------------------------------------------------------

    void renew(std::size_t i)
    {
        if (polling_)
            return;
        steps_.tell("a new context ", i, io_[i] != nullptr ? "; the one before is destroyed" : "");
        io_[i] = std::make_shared<asio::io_context>(1);
        all_io_.push_back(io_[i]);
    }

    // It may live on: something bound to it may own it.
    void kill(std::size_t i)
    {
        if (polling_ || io_[i] == nullptr)
            return;
        steps_.tell("destroy context ", i,
                    io_[i].use_count() > 1 ? ", which has another owner" : "");
        io_[i].reset();
    }

    // As a hook may that waits for another thread.
    void kill_elsewhere(std::size_t i)
    {
        steps_.tell("on another thread:");
        std::thread([&] { kill(i); }).join();
    }

    void poll(std::size_t i, unsigned handlers)
    {
        if (io_[i] != nullptr && !polling_) {
            steps_.tell("poll context ", i, ", ", handlers + 1, " handlers at most");
            poll(io_[i], handlers);
        }
    }

    void poll(io_pointer kept, unsigned handlers)
    {
        polling_ = true;
        kept->restart();
        for (unsigned n = 0; n <= handlers && kept->poll_one() != 0; ++n) {}
        polling_ = false;
    }

    asio::any_io_executor executor(std::size_t i)
    {
        if (steps_.below(2) == 0)
            return io_[i]->get_executor();
        steps_.tell("    on a strand");
        return asio::make_strand(*io_[i]);
    }

    // A value that owns the context that it is bound to.
    void own(std::size_t i, unsigned how)
    {
        if (polling_)
            return;
        if (how == 0 && !owners_.empty()) {
            steps_.tell("destroy a bound value that owns its context");
            auto one = std::move(owners_.back());
            owners_.pop_back();
            one.reset();
        } else if (io_[i] != nullptr && owners_.size() < 4) {
            steps_.tell("a value bound to context ", i, " that owns it");
            owners_.emplace_back(*io_[i], io_[i]);
        }
    }

    // A leased connection that owns its context.
    void own_by_connection(unsigned which)
    {
        if (leases_.empty() || polling_)
            return;
        auto& one = leases_[which % leases_.size()];
        for (std::size_t i = 0; i != contexts; ++i) {
            if (io_[i] == nullptr || loopsafe::context_of(*io_[i]) != one.lease.home())
                continue;
            steps_.tell("the connection of lease ", one.number, " owns its context ", i);
            one.lease->own(io_[i]);
        }
    }

    // Pools ---------------------------------------------------------------------------------------

    void make_pool(std::size_t p, std::size_t i)
    {
        const auto home = io_[i];
        if (has_home && (home == nullptr || polling_))
            return;
        while (pools_[p].pool) // a hook may move one here
            destroy_pool(p);
        auto& h = pools_[p];
        typename Policy::options options;
        options.max_size = max_size;
        options.max_waiting = max_waiting;
        if constexpr (Policy::keeps_idle)
            options.lifetime_jitter = 0; // which is random
        acting_connector how(script_, connections_act_);
        if constexpr (has_home)
            h.pool.emplace(*home, std::move(how), options);
        else
            h.pool.emplace(std::move(how), options);
        h.of = std::make_shared<known>();
        h.of->number = ++made_;
        if constexpr (has_home)
            h.of->home = loopsafe::context_of(*home);
        const bool hooked = steps_.below(2) != 0;
        if (hooked) {
            h.pool->on_event([this, kept = std::make_shared<int>(1)](const pool_event& e) {
                struct at_the_end {
                    const int& of_the_hook;
                    ~at_the_end() { require(of_the_hook == 1, "a hook is gone while it runs"); }
                } const still_there{*kept};
                act_inside(to_string(e.what).data(), true);
            });
        }
        steps_.tell("pool ", p, has_home ? " on context " : "", has_home ? std::to_string(i) : "",
                    hooked ? ", with a hook" : "");
    }

    void destroy_pool(std::size_t p)
    {
        auto& h = pools_[p];
        if (!h.pool)
            return;
        steps_.tell("destroy pool ", p);
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
        steps_.tell("move pool ", from, " to ", to);
        destroy_pool(to);
        if (!pools_[from].pool || pools_[to].pool) // a hook was faster
            return;
        pools_[to].pool.emplace(std::move(*pools_[from].pool));
        pools_[to].of = std::exchange(pools_[from].of, nullptr);
    }

    void end_all(std::size_t p, unsigned how)
    {
        if (!pools_[p].pool)
            return;
        auto& pool = *pools_[p].pool;
        constexpr const char* names[] = {"close", "invalidate", "thaw", "drop what is parked of"};
        steps_.tell(names[how], " pool ", p);
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

    known_pointer known_of(std::size_t p) const
    {
        return pools_[p].of != nullptr ? pools_[p].of : gone_;
    }

    // Callers -------------------------------------------------------------------------------------

    loopsafe::acquire_options some_options()
    {
        switch (steps_.below(3)) {
        case 0: return {.timeout = 0ms};
        case 1: return {.timeout = 1s};
        default: return {};
        }
    }

    template <class... Parts>
    attempt_pointer begin(const known_pointer& of, std::size_t i, const Parts&... parts)
    {
        auto a = std::make_shared<attempt>();
        a->number = static_cast<int>(attempts_.size());
        a->of = of;
        a->at = loopsafe::context_of(*io_[i]);
        ++of->asked;
        attempts_.push_back(a);
        steps_.tell("caller ", a->number, " on context ", i, ": ", parts...);
        return a;
    }

    // The completion handler of an acquire.
    auto teller(const attempt_pointer& a)
    {
        return [this, a](error_code ec, lease_type lease) { told(*a, ec, std::move(lease)); };
    }

    template <class Handler>
    static auto cancellable(attempt& a, const asio::any_io_executor& on, Handler handler)
    {
        return asio::bind_cancellation_slot(a.signal->slot(),
                                            asio::bind_executor(on, std::move(handler)));
    }

    void told(attempt& a, error_code ec, lease_type lease)
    {
        steps_.tell("    caller ", a.number, " gets ", ec ? ec.message() : "a lease");
        require(++a.told == 1, "a caller is told twice");
        require(a.at.alive(), "a caller is told by a context that is gone");
        if (ec) {
            require(!lease, "an error and a lease");
            explain(a, ec);
            return;
        }
        require(static_cast<bool>(lease), "neither an error nor a lease");
        require(lease.home() == a.at, "a lease of another context");
        lease->own(nullptr);
        leases_.push_back({std::move(lease), a.of, a.number});
        const auto same = [&](const out& each) {
            return each.of == a.of && each.lease.home().alive() &&
                   (!Policy::keeps_idle || each.lease.home() == a.at);
        };
        require(static_cast<std::size_t>(std::ranges::count_if(leases_, same)) <= max_size,
                "more leases than max_size");
    }

    void explain(const attempt& a, error_code ec) const
    {
        if (ec == errc::pool_closed)
            require(a.of->closed, "pool_closed, and it is not");
        else if (ec == errc::wrong_context)
            require(has_home && a.of->home != a.at, "wrong_context, and it is not");
        else if (ec == errc::context_closed)
            require(has_home && !a.of->home.alive(), "context_closed, and it is not");
        else if (ec == asio::error::operation_aborted)
            require(a.emitted, "aborted, and nobody has cancelled it");
        else if (ec == asio::error::connection_refused)
            require(planned_failure_, "a connect that was not to fail");
        else if (ec == errc::connect_timeout)
            require(passed_, "a time-out, and no time has passed");
        else if (ec == errc::acquire_timeout)
            require(passed_ || a.impatient, "a time-out, and no time has passed");
        else if (ec == errc::queue_full)
            require(a.of->asked > max_waiting, "queue_full, and there are not so many");
        else
            require(false, "an error that nothing explains"); // where something was wrong with a
                                                              // connection, another one is made
    }

    void acquire(std::size_t p, std::size_t i)
    {
        if (!pools_[p].pool || io_[i] == nullptr)
            return;
        const auto how = some_options();
        spawn(pools_[p].pool->acquire(how), known_of(p), i, how);
    }

    void spawn(asio::awaitable<lease_type> what, const known_pointer& of, std::size_t i,
               const loopsafe::acquire_options& how)
    {
        const auto a = begin(of, i, "co_await acquire, pool number ", of->number);
        a->impatient = how.timeout == 0ms;
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
        const auto kept =
            io_[i]; // a hook that hears of a refusal must not end the caller's context
        const auto a = begin(known_of(p), i, "async_acquire, pool ", p);
        const auto on = executor(i);
        const auto how = some_options();
        a->impatient = how.timeout == 0ms;
        pools_[p].pool->async_acquire(on, cancellable(*a, on, teller(a)), how);
    }

    // The completion handler of a close.
    auto closed_teller(const attempt_pointer& a)
    {
        return [this, a](error_code ec) {
            steps_.tell("    caller ", a->number, " gets ", ec.message());
            require(++a->told == 1, "a caller is told twice");
            require(a->at.alive(), "a caller is told by a context that is gone");
            if (ec == errc::close_timeout)
                require(passed_, "a time-out, and no time has passed");
            else if (ec)
                explain(*a, ec);
            else
                require(a->of->closed, "async_close has ended, and the pool is open");
        };
    }

    static void closes(const attempt& a)
    {
        if (!has_home || a.of->home == a.at)
            a.of->closed = true;
    }

    void close(std::size_t p, std::size_t i)
    {
        if (!pools_[p].pool || io_[i] == nullptr)
            return;
        const auto kept = io_[i]; // as above
        const auto a = begin(known_of(p), i, "async_close, pool ", p);
        const auto limit = steps_.below(2) != 0 ? 1000ms : loopsafe::never;
        pools_[p].pool->async_close(limit, cancellable(*a, executor(i), closed_teller(a)));
        closes(*a);
    }

    void make_late(std::size_t p)
    {
        if (!pools_[p].pool || late_.size() == 8)
            return;
        auto& pool = *pools_[p].pool;
        const auto of = known_of(p);
        const auto how = some_options();
        switch (steps_.below(3)) {
        case 0: {
            const auto made = std::make_shared<asio::awaitable<lease_type>>(pool.acquire(how));
            late_.push_back([=, this](std::size_t i) { spawn(std::move(*made), of, i, how); });
            break;
        }
        case 1: {
            auto op = pool.async_acquire(asio::deferred, how);
            const auto made = std::make_shared<decltype(op)>(std::move(op));
            late_.push_back([=, this](std::size_t i) {
                const auto a = begin(of, i, "deferred async_acquire, pool number ", of->number);
                a->impatient = how.timeout == 0ms;
                std::move (*made)(cancellable(*a, executor(i), teller(a)));
            });
            break;
        }
        default: {
            auto op = pool.async_close(1000ms, asio::deferred);
            const auto made = std::make_shared<decltype(op)>(std::move(op));
            late_.push_back([=, this](std::size_t i) {
                const auto a = begin(of, i, "deferred async_close, pool number ", of->number);
                std::move (*made)(cancellable(*a, executor(i), closed_teller(a)));
                closes(*a);
            });
            break;
        }
        }
        steps_.tell("an operation on pool ", p, " is made, to be begun later");
    }

    void begin_late(std::size_t i)
    {
        if (late_.empty() || io_[i] == nullptr)
            return;
        const auto one = std::move(late_.back());
        late_.pop_back();
        const auto kept = io_[i]; // as above
        one(i);
    }

    void emit(unsigned which, unsigned how)
    {
        if (attempts_.empty())
            return;
        const auto a = attempts_[which % attempts_.size()];
        if (!a->signal || (a->by_asio && !a->at.alive()))
            return;
        steps_.tell("cancel caller ", a->number);
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
        if (a->by_asio || !a->signal)
            return;
        steps_.tell("destroy the signal of caller ", a->number);
        a->signal.reset();
    }

    // Leases --------------------------------------------------------------------------------------

    void end_lease(unsigned which, unsigned how)
    {
        if (leases_.empty())
            return;
        const auto n = which % leases_.size();
        out one = std::move(leases_[n]);
        leases_.erase(leases_.begin() + static_cast<std::ptrdiff_t>(n));
        constexpr const char* names[] = {"release", "discard", "end by an exception",
                                         "end, not clean,", "use and end"};
        steps_.tell(names[how], " lease ", one.number);
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
            require(expired == !one.lease.home().alive(), "lease_expired without a reason");
            break;
        }
        default: break;
        }
    }

    // The peer, and time --------------------------------------------------------------------------

    void plan(unsigned what)
    {
        constexpr const char* names[] = {"the next connect fails",
                                         "the next connect never ends",
                                         "idle connections turn out dead, or alive again",
                                         "used connections want a reset, or not",
                                         "detaching fails, or works again",
                                         "attaching fails, or works again",
                                         "resets fail, or work again"};
        steps_.tell(names[what]);
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
        case 6: script_->reset_works = !script_->reset_works; break;
        default: break;
        }
    }

    void pass(unsigned how)
    {
        constexpr std::chrono::nanoseconds steps[] = {1ms, 1s, 10s, 1h};
        passed_ = true;
        if (how == 3) {
            steps_.tell("a freeze of ten minutes, and the time of day goes back by an hour");
            manual_clock::move(1ms, 10min, -1h);
            return;
        }
        steps_.tell(steps[how] / 1ms, " ms pass");
        manual_clock::move(steps[how], steps[how], steps[how]);
    }

    // The end -------------------------------------------------------------------------------------

    void finish()
    {
        steps_.tell("the end");
        for (auto& h : pools_) {
            if (h.pool && h.of != nullptr) {
                h.of->closed = true;
                h.pool->close();
            }
        }
        const bool pools_first = steps_.below(2) != 0;
        if (pools_first)
            end_pools();
        late_.clear();
        // Whoever waits on a context that lives is told; a connect that never ends has a deadline.
        for (int round = 0; round != 3; ++round) {
            while (!leases_.empty())
                end_lease(0, steps_.below(2));
            pass(2);
            poll_all();
        }
        for (const auto& a : attempts_)
            require(a->told == 1 || !a->at.alive(), "a caller was never told");
        while (!leases_.empty())
            end_lease(0, 0);
        check_pools();
        while (!owners_.empty())
            own(0, 0);
        for (std::size_t i = 0; i != contexts; ++i)
            kill(i);
        end_pools();
        require(leases_.empty(), "a lease that came when all had ended");
        require(script_->open() == 0, "a connection is left");
        for (const auto& a : attempts_)
            require(a.use_count() == 1 && !a->at.alive(), "a handler or a context is left");
    }

    void poll_all()
    {
        for (const auto& each : all_io_) {
            if (const auto io = each.lock())
                poll(io, 10'000);
        }
    }

    void check_pools() const
    {
        for (const auto& h : pools_) {
            if (!h.pool)
                continue;
            const auto left = h.pool->stats();
            require(left.leased + left.connecting + left.waiting + left.idle == 0,
                    "a pool counts what is gone");
        }
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
    const connection_end::function connections_act_ =
        std::make_shared<const std::function<void()>>([this] { act_at_the_end(); });
    const known_pointer gone_ = [] {
        auto none = std::make_shared<known>();
        none->closed = true;
        return none;
    }();
    std::vector<attempt_pointer> attempts_;
    std::vector<late> late_;
    std::vector<out> leases_;
    std::array<held, pools> pools_;
    std::vector<loopsafe::context_bound<io_pointer>> owners_;
    std::array<io_pointer, contexts> io_;
    std::vector<std::weak_ptr<asio::io_context>> all_io_;
    int made_ = 0;
    int ends_ = 0; // of connections, that have begun and not ended
    bool polling_ = false;
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
