// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_ENDING_HPP
#define LOOPSAFE_TESTS_MODEL_ENDING_HPP

#include "memory.hpp"
#include "world.hpp"

namespace model {

inline void world::outside(caller& c)
{
    expect(!c.w.linked(), "a waiter that is gone is in no list");
    const int who = c.w.who;
    start_anew(c);
    prepare(c.w, who);
}

// A ticket ends, as in pool_ticket.hpp.

inline void world::end_ticket(caller& c, bool may_touch)
{
    if (c.got != nullptr && c.got->connection) {
        finish(c, c.clean, close_reason::dirty, may_touch);
    } else if (c.permit) {
        const int n = number(c.got);
        if (c.got != nullptr) {
            core_.not_connected(*c.got);
            expect(c.got->state == slot_state::closing, "what is not connected is going");
        }
        core_.return_permit(*c.where);
        if (c.got != nullptr) {
            expected_.given_up(n);
            expected_.free_place(n);
            free_slot(*c.got);
            c.got = nullptr;
        } else {
            expected_.free_promise(number(*c.where));
        }
        c.permit = false;
        c.at = at::leaving;
    } else {
        auto& home = *c.where;
        outside(c);
        leave(home);
    }
}

inline void world::end_old(caller& c)
{
    const int n = number(*c.old);
    destroy_connection(*c.old);
    free_slot(*c.old);
    c.old = nullptr;
    core_.return_permit(*c.where);
    expected_.free_place(n);
    c.at = at::granted;
}

// A connection comes back, as in pool_release.hpp. The pin and the section after it come with the
// first section: where that did not keep the connection it has changed nothing.

inline void world::finish(caller& c, bool clean, close_reason otherwise, bool may_touch)
{
    auto& s = *c.got;
    auto& home = home_of(s);
    const bool warm = clean && c.at == at::holding;
    const bool may_put_back = core_.may_put_back(s, generation_);
    expect(!warm || may_put_back == expected_.is_undisturbed(number(s)),
           "the warm path is open while nothing has happened");
    if (warm && may_put_back) {
        expect(s.state == slot_state::leased && expected_.keep(number(s)),
               "the warm path puts back what may be kept");
        expect(woken_.empty(), "the warm path serves nobody");
        outside(c);
        core_.put_back(s);
        expect(!expected_.leave(number(home)), "a pool that keeps connections keeps its shelf");
        seen_->put_back_meanwhile += untold_ != nullptr;
        return;
    }
    if (untold_ != nullptr) // it waits for the pool's lock
        return;
    sync_generation();
    if (s.state == slot_state::expiring) {
        s.lease_gone = true;
        outside(c);
        return;
    }
    if (s.state == slot_state::expired) {
        ++seen_->leases_outlived;
        outside(c);
        free_slot(s);
        leave(home);
        return;
    }
    if (clean) {
        const bool kept = core_.keep(s);
        expect(kept == expected_.keep(number(s)), "what comes back clean is kept, if it may be");
        if (kept) {
            outside(c);
            expect(!core_.leave(home) && !expected_.leave(number(home)) && !core_.orphaned(home),
                   "a pool that still keeps connections is not freed by a release");
            return;
        }
        otherwise = close_reason::not_kept;
    }
    c.pinned = home.at == phase::alive;
    if (!c.pinned && !may_touch) {
        ++seen_->orphans;
        s.lease_gone = true;
        outside(c);
        return;
    }
    home.pins += c.pinned;
    c.why = core_.begin_close(s, otherwise);
    expect(c.why == expected_.leaves(number(s), otherwise), "a connection is closed for a reason");
    expect(s.state == slot_state::closing, "what is not kept is being closed");
    ++seen_->closed[static_cast<std::size_t>(c.why)];
    c.at = at::closing;
}

inline void world::end_closing(caller& c)
{
    auto& s = *c.got;
    auto& home = home_of(s);
    const int n = number(s);
    const bool pinned = c.pinned;
    destroy_connection(s);
    outside(c);
    free_slot(s);
    core_.return_permit(home);
    expected_.free_place(n);
    home.pins -= pinned;
    leave(home);
}

// References, as in pool_shelves.hpp.

inline void world::leave(shelf& s)
{
    const bool is_free = core_.leave(s);
    expect(is_free == expected_.leave(number(s)), "a shelf goes when nobody refers to it");
    end_with(s, is_free);
}

inline void world::drop(shelf& s)
{
    const bool is_free = core_.drop(s);
    expect(is_free == expected_.let_go(number(s)), "a shelf goes when nobody refers to it");
    end_with(s, is_free);
}

inline void world::end_with(shelf& s, bool shelf_is_free)
{
    if (!shelf_is_free) {
        expect(core_.orphaned(s) == expected_.orphaned(number(s)),
               "a shelf is an orphan when the pool is gone and one refers to it");
        if (core_.orphaned(s) && s.at == phase::alive)
            leave_context(s);
        return;
    }
    freed_ = core_.unreferenced();
    expect(freed_ == expected_.unreferenced(), "a pool goes when nobody refers to it");
    free_shelf(s);
}

inline void world::leave_context(shelf& s)
{
    found_[s.address] = nullptr;
    const bool is_free = core_.drop(s);
    expect(is_free && expected_.context_lets_go(number(s)),
           "a shelf goes when nobody refers to it");
    end_with(s, true);
}

// The whole pool, as in pool_whole.hpp.

inline void world::tell_all()
{
    each_of(core_, [&](shelf& s) { untold_ = untold_ == nullptr ? &s : untold_; });
}

inline void world::tell_next()
{
    auto* const told = untold_;
    core_.tell(*told);
    expected_.tell(number(*told));
    untold_ = nullptr;
    bool after = false;
    each_of(core_, [&](shelf& s) {
        if (after && untold_ == nullptr)
            untold_ = &s;
        after = after || &s == told;
    });
}

inline void world::close(sweeper& w)
{
    sync_generation();
    core_.close();
    expected_.close();
    tell_all();
    w.at = sweeper::place::picking;
    w.why = close_reason::pool_closed;
}

inline void world::sweep(sweeper& w)
{
    if (w.at == sweeper::place::picking) {
        pick(w);
    } else if (w.at == sweeper::place::leaving) {
        leave_next_context(w);
    } else {
        auto& s = *w.where;
        const auto destroyed = destroy_all(w.evicted);
        core_.evicted_destroyed(s, destroyed.size());
        expected_.evicted(number(s), destroyed);
        --s.pins;
        w.where = nullptr;
        w.at = sweeper::place::picking;
        drop(s);
    }
}

inline void world::pick(sweeper& w)
{
    each_of(core_, [&](shelf& s) {
        if (w.where == nullptr && s.idle != nullptr && s.at == phase::alive)
            w.where = &s;
    });
    if (w.where == nullptr) {
        w.at = w.ends_pool ? sweeper::place::leaving : sweeper::place::off;
        return;
    }
    ++w.where->pins;
    core_.retain(*w.where);
    expected_.hold(number(*w.where));
    while (w.where->idle != nullptr)
        core_.evict_one(*w.where, w.evicted, w.why);
    expected_.evict(number(*w.where), w.why);
    ++seen_->closed[static_cast<std::size_t>(w.why)];
    w.at = sweeper::place::destroying;
}

inline void world::leave_next_context(sweeper& w)
{
    shelf* unused = nullptr;
    each_of(core_, [&](shelf& s) {
        if (unused == nullptr && pool_core::unused(s) && s.at == phase::alive)
            unused = &s;
    });
    if (unused != nullptr) {
        leave_context(*unused);
        return;
    }
    start_anew(w);
    core_.handle_gone();
    expected_.owner_gone();
    freed_ = core_.unreferenced();
    expect(freed_ == expected_.unreferenced(), "a pool goes when nobody refers to it");
}

inline void world::drain(int address)
{
    auto* home = find_shelf(address);
    if (home == nullptr)
        home = &new_shelf(address);
    sync_generation();
    core_.retain(*home);
    expected_.hold(number(*home));
    drainer_.where = home;
    drainer_.at = drainer::place::entered;
}

inline void world::start_drain()
{
    close(drainer_.closes);
    drainer_.at = drainer::place::closing;
}

inline void world::wait_for_drain()
{
    drainer_.w.at = drainer_.where;
    drainer_.waits = expected_.wait_until_drained(the_drainer, number(*drainer_.where));
    expect(core_.drained() != drainer_.waits, "a pool is drained when nobody is inside");
    if (drainer_.waits) {
        core_.wait_until_drained(drainer_.w);
        expect(drainer_.w.st == pool_waiter::status::queued, "whoever waits knows that it waits");
    }
    drainer_.at = drainer::place::waiting;
}

inline void world::resume_drain()
{
    const bool gave_up = expected_.stop_draining(the_drainer);
    expect(core_.consume_drained(drainer_.w) == (drainer_.waits && !gave_up),
           "whoever waits for the last lease is told when it has come back");
    expect(drainer_.w.st == pool_waiter::status::done, "whoever waited knows that it is over");
    end_drain();
}

inline void world::end_drain()
{
    auto& home = *drainer_.where;
    expect(!drainer_.w.linked(), "a waiter that is gone is in no list");
    start_anew(drainer_);
    prepare(drainer_.w, the_drainer);
    drop(home);
}

// A context dies, as residents and pool_shelves.hpp do it.

inline void world::context_dies(shelf& s)
{
    sync_generation();
    if (!settings_.has_home)
        found_[s.address] = nullptr;
    core_.context_died(s, s.dying);
    expected_.context_dies(number(s));
    s.at = phase::told;
}

inline void world::idle_destroyed(shelf& s)
{
    const auto destroyed = destroy_all(s.dying);
    core_.evicted_destroyed(s, destroyed.size());
    expected_.evicted(number(s), destroyed);
    s.at = phase::unwinding;
}

inline void world::frames_gone(shelf& s)
{
    s.left = static_cast<slot*>(core_.next_leftover(s));
    expect(expected_.leftover(number(s), number(s.left)),
           "what is left of a context is destroyed, and nothing else");
    if (s.left != nullptr) {
        expect(s.left->state == slot_state::expiring, "a lease learns that its connection goes");
        s.at = phase::sweeping;
        return;
    }
    s.at = phase::gone;
    check_gone(s);
    living_[s.address] = nullptr;
    if (settings_.has_home)
        found_[s.address] = nullptr;
    const bool is_free = core_.drop(s);
    expect(is_free == expected_.context_lets_go(number(s)),
           "a shelf goes when nobody refers to it");
    end_with(s, is_free);
}

inline void world::leftover_destroyed(shelf& s)
{
    auto& left = *s.left;
    const int n = number(left);
    destroy_connection(left);
    const bool lease_gone = core_.leftover_destroyed(left);
    expect(left.state == slot_state::expired && lease_gone == left.lease_gone,
           "a lease learns that its connection is gone");
    core_.return_permit(s);
    expected_.free_place(n);
    s.left = nullptr;
    s.at = phase::unwinding;
    if (!lease_gone)
        return;
    expect(!core_.leave(s) && !expected_.leave(number(s)), "the context refers to its shelf");
    free_slot(left);
}

inline void world::check_gone(const shelf& s)
{
    for (int i = 0; i < most_slots; ++i) {
        if (slot_used_[i] && slots()[i].shelf == &s)
            expect(!slots()[i].connection, "no connection outlives its context");
    }
}

} // namespace model

#endif
