// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_COMPARE_HPP
#define LOOPSAFE_TESTS_MODEL_COMPARE_HPP

#include "memory.hpp"
#include "world.hpp"

// After each step the pool must look as the reference model says.
namespace model {

inline bool is_at(const loopsafe::clock_reading& is, const moment& must)
{
    return is.monotonic == one_tick * must.monotonic && is.boot == one_tick * must.boot &&
           is.wall == one_tick * must.wall;
}

inline void world::compare() const
{
    if (freed_) {
        for (const bool used : slot_used_)
            expect(!used, "a pool that is freed has no slots");
        for (const bool used : shelf_used_)
            expect(!used, "a pool that is freed has no shelves");
        return;
    }
    auto is_woken = woken_;
    auto must_wake = expected_.woken;
    if (any_of(must_wake, [](const wakening& w) { return w.why == wakening::cause::closed; })) {
        std::sort(is_woken.begin(), is_woken.end()); // no order is promised between contexts
        std::sort(must_wake.begin(), must_wake.end());
    }
    expect(std::equal(is_woken.begin(), is_woken.end(), must_wake.begin(), must_wake.end()),
           "those who wait are woken in the order in which they came, and nobody else is");

    std::size_t i = 0;
    each_of(core_, [&](const shelf& s) {
        expect(i < expected_.homes() && number(s) == expected_.home(i++),
               "a pool has the shelves that somebody refers to");
        compare(s);
    });
    expect(i == expected_.homes(), "a pool has the shelves that somebody refers to");
    expect(expected_.no_budget_is_exceeded(), "there are never more than max_size connections");
    expect(expected_.nobody_waits_in_vain(), "nobody waits while something is free");
    expect(core_.drained() == expected_.drained(), "a pool is drained when nobody is inside");

    auto is = core_.stats();
    each_of(core_, [&](const shelf& s) { pool_core::add_to(is, s); });
    const auto must = expected_.stats();
    expect(is.idle == must.idle, "stats: idle");
    expect(is.leased == must.leased, "stats: leased");
    expect(is.connecting == must.connecting, "stats: connecting");
    expect(is.waiting == must.waiting, "stats: waiting");
    expect(is.acquired == must.acquired, "stats: acquired");
    expect(is.reused == must.reused, "stats: reused");
    expect(is.connects == must.connects, "stats: connects");
    expect(is.connect_failures == must.connect_failures, "stats: connect_failures");
    expect(is.refused == must.refused, "stats: refused");
    expect(is.acquire_timeouts == must.acquire_timeouts, "stats: acquire_timeouts");
    expect(is.queue_full == must.queue_full, "stats: queue_full");
    expect(is.closed_because == must.closed_because, "stats: closed_because");
}

inline void world::compare(const pool_shelf& constant) const
{
    auto& s = const_cast<pool_shelf&>(constant);
    const int home = number(s);
    expect(s.dead == expected_.dead(home), "a shelf knows that its context is dead");
    expect(is_at(s.reading, expected_.reading(home)) &&
               s.cheap_now == one_tick * expected_.cheaply(home),
           "a shelf knows what was last read from the clocks there");
    expect(static_cast<int>(s.users) == expected_.users(home),
           "a shelf counts who acquires and who holds a lease");
    expect(static_cast<int>(s.references) == expected_.references(home),
           "a shelf counts who refers to it");
    expect(static_cast<int>(s.budget->size) == expected_.taken(home),
           "a budget counts the connections of every state");
    expect(static_cast<int>(s.budget->waiting) == expected_.waiting(home),
           "a budget counts those who wait");

    auto waiting = s.budget->waiters.begin();
    const auto nobody = s.budget->waiters.end();
    expected_.each_waiting(home, [&](int who) {
        expect(waiting != nobody && &*waiting == &callers_[who].w &&
                   waiting->st == pool_waiter::status::queued,
               "those who wait do so in the order in which they came");
        ++waiting;
    });
    expect(waiting == nobody, "nobody else waits");

    few<const slot*, most_slots> idle;
    each_idle(s, [&](const slot& each) { idle.push_back(&each); });
    std::size_t idle_left = idle.size();
    std::size_t there_should_be = 0;
    expected_.each_place([&](const place& p) {
        if (p.home != home || p.slot == none)
            return;
        using is = slot_state;
        const auto& there = slots()[p.slot];
        expect(slot_used_[p.slot] && there.shelf == &s, "a place has its slot");
        expect(there.connection == p.made || p.at == stage::leaving, "a slot has its connection");
        switch (p.at) {
        case stage::idle:
            expect(idle_left > 0 && idle[--idle_left] == &there && there.state == is::idle,
                   "the idle ones are in order");
            if (core_.needs_clock()) {
                expect(is_at(there.idle_reading, p.kept) && is_at(there.born, p.born),
                       "an idle one knows since when");
            }
            ++there_should_be;
            break;
        case stage::readying:
        case stage::leased:
            expect(there.state == (p.at == stage::leased ? is::leased : is::connecting),
                   "a shelf knows what is in use");
            ++there_should_be;
            break;
        case stage::leaving:
            expect(there.state == is::closing, "what is closed is on no shelf");
            break;
        case stage::expiring:
            expect(there.state == is::expiring, "what is left over expires");
            break;
        case stage::promised: break;
        }
    });
    expect(idle_left == 0, "nothing else is idle");
    std::size_t there_are = 0;
    each_of(s.slots, [&](const pool_slot&) { ++there_are; });
    expect(there_are == there_should_be, "nothing else is on the shelf");
}

} // namespace model

#endif
