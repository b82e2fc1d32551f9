// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_WORLD_HPP
#define LOOPSAFE_TESTS_MODEL_WORLD_HPP

#include "bytes.hpp"
#include "reference.hpp"

#include <loopsafe/pool/core/core.hpp>

#include <memory>
#include <string>

namespace model {

using loopsafe::detail::intrusive_list;
using loopsafe::detail::pool_core;
using loopsafe::detail::pool_grant;
using loopsafe::detail::pool_rules;
using loopsafe::detail::pool_shelf;
using loopsafe::detail::pool_slot;
using loopsafe::detail::pool_waiter;
using loopsafe::detail::slot_state;

inline constexpr int most_callers = 3;
inline constexpr int addresses = 2; // of contexts; a dead context's address may be used again
inline constexpr int the_drainer = most_callers;

struct settings {
    const char* name = "";
    limits rules{};
    bool has_home = false;
    int callers = most_callers;
    bool resets = false;  // the connector has a reset
    bool drains = false;  // somebody calls async_close()
    bool whole = true;    // invalidate(), thaw(), fork(), close(), and the pool's end
    bool process = false; // process_thawed(), too
    int ticks = 0;        // how often the clocks may move
};

// The events of a history come first. What follows is how the pool carries them out: one locked
// section each, in every order that threads can bring about. What happens to the whole pool is told
// to one shelf after the other: meanwhile, only the warm path goes on.
enum class act : signed char {
    acquire,
    time_out,
    cancel,
    connect,
    fail_to_connect,
    release,
    discard,
    die,
    fork,
    thaw,
    thaw_process,
    invalidate,
    close,
    destroy_pool,
    drain,
    tick,
    freeze,
    step_back,
    start,
    begin_wait,
    resume,
    look,
    finish_connecting,
    end_reset,
    end_old,
    end_closing,
    end_ticket,
    end_frame,
    sweep,
    context_dies,
    idle_destroyed,
    frames_gone,
    leftover_destroyed,
    tell_next
};
inline constexpr int act_count = 34;
inline constexpr bool is_event(act a)
{
    return a < act::start;
}

struct step {
    act what{};
    signed char who = 0;
    signed char how = 0;
};

// What has been seen: an exploration that shows nothing must not pass.
struct census {
    std::uint64_t acts[act_count]{};
    std::uint64_t granted_places = 0;
    std::uint64_t handed_over = 0;
    std::uint64_t successors = 0;
    std::uint64_t leases_outlived = 0;
    std::uint64_t orphans = 0;
    std::uint64_t drained = 0;
    std::uint64_t pools_freed = 0;
    std::uint64_t closed[loopsafe::close_reason_count]{};
    std::uint64_t queue_full = 0;
    std::uint64_t lent_meanwhile = 0; // while the shelves are told
    std::uint64_t put_back_meanwhile = 0;
};

struct slot : pool_slot {
    using pool_slot::pool_slot;
    bool connection = false;
};

// The life of a context, as residents tell it.
enum class phase : signed char { alive, marked, told, unwinding, sweeping, gone };

struct shelf : pool_shelf {
    int address = 0;
    phase at = phase::alive;
    int pins = 0;
    intrusive_list<pool_slot> dying{}; // being destroyed by context_dying()
    slot* left = nullptr;              // being destroyed by frames_gone()
};

class world;

struct waiter : pool_waiter {
    world* of = nullptr;
    int who = none;
};

// One who acquires: how far its coroutine is, or its lease.
struct caller {
    enum class place : signed char {
        outside,
        entered,   // suspended: the coroutine has not begun
        waiting,   // suspended in the timer
        making,    // suspended in connect
        resetting, // suspended in the connector's reset
        holding,   // a lease
        missed,    // from here on it runs
        granted,
        closing_old,
        closing,
        leaving
    };
    place at = place::outside;
    shelf* where = nullptr;
    slot* got = nullptr;
    slot* old = nullptr;
    bool permit = false;
    bool clean = true;
    bool full = false;
    bool on_home = false; // runs on a thread of its context
    bool pinned = false;
    close_reason why{};
    waiter w;

    bool runs() const { return at >= place::missed; }
    bool is_suspended() const { return at >= place::entered && at <= place::resetting; }
};

// Who goes from shelf to shelf: close(), invalidate() and the end of the pool.
struct sweeper {
    enum class place : signed char { off, picking, destroying, leaving };
    place at = place::off;
    close_reason why{};
    bool ends_pool = false;
    shelf* where = nullptr;
    intrusive_list<pool_slot> evicted{};
};

// One async_close().
struct drainer {
    enum class place : signed char { outside, entered, closing, waiting };
    place at = place::outside;
    shelf* where = nullptr;
    bool waits = false;
    waiter w;
    sweeper closes;

    bool runs() const { return at == place::closing; }
};

// A pool and whoever uses it. It drives the core as pool_state does, and the reference model beside
// it. All memory is inside, so at one address its bytes are a copy of it.
class world {
public:
    explicit world(const settings& s);

    template <class F>
    void each_step(F f) const; // that may come next
    void perform(step s, census& seen);
    void encode(encoding& out) const;

    void poison() const noexcept; // what is not in use
    void unpoison() const noexcept;

private:
    using at = caller::place;
    using slot_list = intrusive_list<pool_slot>;
    static constexpr int most_shelves = 7;
    static constexpr int most_slots = 10;

    shelf& new_shelf(int address);
    void free_shelf(shelf& s);
    slot& new_slot(shelf& s);
    void free_slot(slot& s);
    void destroy_connection(slot& s);
    few<int, 4> destroy_all(slot_list& list);
    void prepare(waiter& w, int who);
    static void on_wake(pool_waiter& w) noexcept;

    void acquire(caller& c, int address, bool needs_reset);
    void start(caller& c);
    void begin_wait(caller& c);
    void resume(caller& c, bool timed_out);
    void end_waiter(caller& c);
    void accept(caller& c, const pool_grant& got, const answer& wanted);
    void consume(caller& c);
    loopsafe::clock_reading read_clock(shelf& s);
    void look(caller& c, bool probe_good, bool needs_reset);
    void lose(caller& c, close_reason why);
    void connect(caller& c);
    void end_reset(caller& c, bool good);
    void lease(caller& c);

    void end_ticket(caller& c, bool may_touch);
    void end_old(caller& c);
    void finish(caller& c, bool clean, close_reason otherwise, bool may_touch);
    void end_closing(caller& c);
    void outside(caller& c);
    void leave(shelf& s);
    void drop(shelf& s);
    void end_with(shelf& s, bool shelf_is_free);
    void leave_context(shelf& s);

    void tell_all();
    void tell_next();
    void close(sweeper& w);
    void sweep(sweeper& w);
    void pick(sweeper& w);
    void leave_next_context(sweeper& w);
    void drain(int address);
    void start_drain();
    void wait_for_drain();
    void resume_drain();
    void end_drain();

    void context_dies(shelf& s);
    void idle_destroyed(shelf& s);
    void frames_gone(shelf& s);
    void leftover_destroyed(shelf& s);
    void check_gone(const shelf& s);

    template <class Tell>
    void steps_of(const caller& c, Tell tell) const;
    template <class Tell>
    void steps_of(const shelf& s, Tell tell) const;
    template <class Tell>
    void steps_of_drainer(Tell tell) const;
    template <class Tell>
    void steps_of_outside(int who, Tell tell) const;
    template <class Tell>
    void steps_meanwhile(Tell tell) const;

    void compare() const;
    void compare(const pool_shelf& s) const;

    template <class Out>
    void encode(Out& out, const slot& s) const;
    template <class Out>
    void encode(Out& out, const slot_list& list) const;
    void encode(encoding& out, const shelf& s, int first_address) const;
    template <class Out>
    void encode(Out& out, const caller& c) const;
    void encode(encoding& out, const sweeper& w) const;
    int position(const pool_shelf* s) const;
    bool is_held(const pool_slot& s) const;

    void sync_generation() { core_.process_is(generation_); }
    shelf* find_shelf(int address) const;
    bool is_running(const shelf& s) const; // somebody, on a thread of that context
    bool has_frames(const shelf& s) const;
    bool may_run(const shelf* s) const { return s != nullptr && s->at == phase::alive; }
    bool unwinds(const shelf* s) const
    {
        return s != nullptr && s->at > phase::alive && s->at < phase::gone && !is_running(*s);
    }

    const shelf* shelves() const { return reinterpret_cast<const shelf*>(shelf_memory_); }
    const slot* slots() const { return reinterpret_cast<const slot*>(slot_memory_); }
    int number(const pool_shelf& s) const
    {
        return static_cast<int>(static_cast<const shelf*>(&s) - shelves());
    }
    int number(const pool_slot& s) const
    {
        return static_cast<int>(static_cast<const slot*>(&s) - slots());
    }
    int number(const pool_slot* s) const { return s == nullptr ? none : number(*s); }
    static shelf& home_of(const pool_slot& s) { return static_cast<shelf&>(*s.shelf); }
    pool_core& core() const { return const_cast<pool_core&>(core_); }
    loopsafe::clock_reading reading() const;

    const settings& settings_;
    pool_core core_;
    reference expected_;
    census* seen_ = nullptr;
    caller callers_[most_callers];
    sweeper main_;
    drainer drainer_;
    shelf* untold_ = nullptr;       // and those after it; whoever tells them has the pool's lock
    shelf* found_[addresses] = {};  // by whoever acquires on the context at that address
    shelf* living_[addresses] = {}; // of the context at that address, if it has one
    std::uint64_t generation_ = 0;
    moment now_;
    int ticks_left_;
    bool owned_ = true;
    bool freed_ = false;
    few<wakening, 8> woken_;
    const char* wrong_wake_ = nullptr;
    bool shelf_used_[most_shelves] = {};
    bool slot_used_[most_slots] = {};
    alignas(shelf) std::byte shelf_memory_[most_shelves * sizeof(shelf)];
    alignas(slot) std::byte slot_memory_[most_slots * sizeof(slot)];
};

template <class F>
void each_of(const pool_core& core, F f)
{
    for (auto& s : const_cast<pool_core&>(core).shelves())
        f(static_cast<shelf&>(s));
}

template <class T, class F>
void each_of(const intrusive_list<T>& list, F f)
{
    for (auto& item : const_cast<intrusive_list<T>&>(list))
        f(item);
}

template <class F>
void each_idle(const pool_shelf& s, F f)
{
    for (const auto* item = s.idle; item != nullptr; item = item->below)
        f(static_cast<const slot&>(*item));
}

} // namespace model

#include "acquiring.hpp"
#include "compare.hpp"
#include "encoding.hpp"
#include "ending.hpp"
#include "memory.hpp"
#include "steps.hpp"

#endif
