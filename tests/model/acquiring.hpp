// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_ACQUIRING_HPP
#define LOOPSAFE_TESTS_MODEL_ACQUIRING_HPP

#include "memory.hpp"
#include "world.hpp"

// As connection_pool::acquire(), pool_acquire.hpp and pool_shelves.hpp do it.
namespace model {

inline const std::source_location& location_of(int caller)
{
    static const std::source_location locations[most_callers] = {
        std::source_location::current(),
        std::source_location::current(),
        std::source_location::current(),
    };
    return locations[caller];
}

inline shelf* world::find_shelf(int address) const
{
    auto* s = found_[address];
    return settings_.has_home && !may_run(s) ? nullptr : s;
}

inline loopsafe::clock_reading world::reading() const
{
    return {one_tick * now_.monotonic, one_tick * now_.boot, one_tick * now_.wall};
}

inline loopsafe::clock_reading world::read_clock(shelf& s)
{
    if (!core_.needs_clock())
        return {};
    pool_core::note(s, reading());
    expected_.notice(number(s), now_);
    return reading();
}

inline void world::acquire(caller& c, int address, bool needs_reset)
{
    auto* home = find_shelf(address);
    if (home == nullptr && settings_.has_home) {
        core_.count_refusal();
        ++expected_.counted.refused;
        return;
    }
    if (home == nullptr) {
        for (int i = 0; i < most_shelves; ++i)
            seen_->successors += shelf_used_[i] && shelves()[i].address == address;
        home = &new_shelf(address);
    }
    if (settings_.rules.keeps_idle && !needs_reset) {
        const auto& here = location_of(c.w.who);
        const auto cheap = core_.needs_clock() ? reading().wall : std::chrono::nanoseconds::zero();
        auto* got = static_cast<slot*>(core_.take_fresh(*home, generation_, cheap, here));
        const auto wanted = expected_.fresh(number(*home), now_.wall);
        expect((got != nullptr) == wanted.any && number(got) == wanted.slot,
               "the warm path gives the newest idle connection that needs no look");
        if (got != nullptr) {
            expect(got->holder.line() == here.line(), "a lease says who holds it");
            expect(!core_.needs_clock() || got->taken_at == cheap, "a lease says since when");
            c.where = home;
            c.got = got;
            c.at = at::holding;
            seen_->lent_meanwhile += untold_ != nullptr;
            return;
        }
    }
    if (untold_ != nullptr) // it waits for the pool's lock
        return;
    c.where = home;
    sync_generation();
    core_.enter(*home);
    expected_.enter(number(*home));
    c.at = at::entered;
}

inline void world::accept(caller& c, const pool_grant& got, const answer& wanted)
{
    expect(static_cast<bool>(got) == wanted.any && number(got.slot) == wanted.slot,
           "each acquirer is granted what is its turn");
    if (!got)
        return;
    expect(got.slot == nullptr || got.slot->shelf == c.where, "a grant never crosses contexts");
    c.got = static_cast<slot*>(got.slot);
    c.permit = true;
}

inline void world::start(caller& c)
{
    c.on_home = true;
    const bool closed = core_.closed();
    expect(closed == expected_.closed(), "a pool knows whether it is closed");
    accept(c, core_.try_acquire(*c.where), expected_.ask(number(*c.where)));
    c.at = closed ? at::leaving : c.permit ? at::granted : at::missed;
}

inline void world::begin_wait(caller& c)
{
    const int home = number(*c.where);
    c.w.at = c.where;
    accept(c, core_.try_acquire(*c.where), expected_.ask(home));
    expect(core_.queue_is_full(*c.where) == expected_.line_is_full(home),
           "as many may wait as max_waiting says");
    c.full = !c.permit && !core_.closed() && core_.queue_is_full(*c.where);
    if (!c.permit && !core_.closed() && !c.full) {
        core_.wait(c.w);
        expected_.join_line(c.w.who, home);
    }
    c.at = at::waiting;
}

inline void world::consume(caller& c)
{
    expected_.leave_line(c.w.who);
    const bool wins = c.w.st == pool_waiter::status::granted;
    const answer wanted{wins, wins ? number(c.w.got) : none};
    accept(c, core_.consume(c.w), wanted);
    seen_->granted_places += wins && c.got == nullptr;
    seen_->handed_over += wins && c.got != nullptr;
}

inline void world::resume(caller& c, bool timed_out)
{
    c.on_home = true;
    bool closed = false;
    if (!c.permit) {
        consume(c);
        closed = core_.closed();
    }
    if (c.full) {
        core_.count_queue_full();
        ++expected_.counted.queue_full;
        ++seen_->queue_full;
    } else if (!c.permit && !closed && timed_out) {
        core_.count_acquire_timeout();
        ++expected_.counted.acquire_timeouts;
    }
    c.at = c.permit ? at::granted : at::leaving;
}

inline void world::end_waiter(caller& c)
{
    using status = pool_waiter::status;
    if (c.w.st == status::queued || c.w.st == status::granted)
        consume(c);
}

inline void world::look(caller& c, bool probe_good, bool needs_reset)
{
    using verdict = pool_core::verdict;
    auto& home = *c.where;
    const auto now = read_clock(home);
    sync_generation();
    close_reason why{};
    close_reason wanted_why{};
    auto* old = static_cast<slot*>(core_.expired_idle(home, now, why));
    const auto wanted = expected_.expired(number(home), now_, wanted_why);
    expect((old != nullptr) == wanted.any && number(old) == wanted.slot && why == wanted_why,
           "whoever acquires closes what has been idle for too long, the oldest first");
    if (old != nullptr) {
        expect(old->state == slot_state::closing, "what is too old is being closed");
        ++seen_->closed[static_cast<std::size_t>(why)];
        c.old = old;
        c.at = at::closing_old;
        return;
    }
    if (c.got == nullptr) {
        c.got = &new_slot(home);
        core_.connecting(*c.got);
        expected_.begin(number(home), number(*c.got));
        c.at = at::making;
        return;
    }
    const auto found = core_.judge(*c.got, now);
    const auto must = expected_.judge(number(*c.got), now_);
    expect(static_cast<int>(found.what) == static_cast<int>(must.what) &&
               (found.what != verdict::close || found.why == must.why),
           "a connection is reused, probed or closed as its age says");
    if (found.what == verdict::close)
        lose(c, found.why);
    else if (found.what == verdict::probe && !probe_good)
        lose(c, close_reason::probe_failed);
    else if (!needs_reset)
        lease(c);
    else {
        c.clean = false;
        c.at = at::resetting;
    }
}

inline void world::lose(caller& c, close_reason why)
{
    sync_generation();
    core_.lost(*c.got, why);
    expected_.lost(number(*c.got), why);
    ++seen_->closed[static_cast<std::size_t>(why)];
    destroy_connection(*c.got);
    c.at = at::making;
    c.on_home = false;
}

inline void world::end_reset(caller& c, bool good)
{
    good ? lease(c) : lose(c, close_reason::reset_failed);
}

inline void world::connect(caller& c)
{
    c.got->connection = true;
    const auto now = read_clock(*c.where);
    core_.connected(*c.got, now, 0.0);
    expected_.connected(number(*c.got), core_.needs_clock() ? now_ : moment{});
}

inline void world::lease(caller& c)
{
    const auto& here = location_of(c.w.who);
    core_.leased(*c.got, here);
    expected_.lease(number(*c.got));
    expect(c.got->holder.line() == here.line(), "a lease says who holds it");
    expect(c.got->taken_at == c.where->cheap_now, "a lease says since when");
    const auto got = c.got;
    const auto where = c.where;
    outside(c);
    c.got = got;
    c.where = where;
    c.at = at::holding;
}

} // namespace model

#endif
