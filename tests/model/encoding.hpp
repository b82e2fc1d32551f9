// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_ENCODING_HPP
#define LOOPSAFE_TESTS_MODEL_ENCODING_HPP

#include "memory.hpp"
#include "world.hpp"

// Everything of a world that can make a difference, and nothing that cannot: no addresses, no
// numbers of contexts, callers and generations, no statistics. Of the reference model, only what
// compare() cannot see in the core: where the core has forgotten it, the history goes on.
namespace model {

// Private members of the core: an explicit instantiation may name them.
template <class Tag, auto Member>
struct reveal {
    friend constexpr auto member(Tag) { return Member; }
};
#define LOOPSAFE_MODEL_REVEAL(name)                                                                \
    struct its_##name {                                                                            \
        friend constexpr auto member(its_##name);                                                  \
    };                                                                                             \
    template struct reveal<its_##name, &pool_core::name##_>
LOOPSAFE_MODEL_REVEAL(epoch);
LOOPSAFE_MODEL_REVEAL(generation);
LOOPSAFE_MODEL_REVEAL(handle);
LOOPSAFE_MODEL_REVEAL(invalidations);
#undef LOOPSAFE_MODEL_REVEAL

inline int how_old(std::uint64_t generation, std::uint64_t now)
{
    return loopsafe::detail::copied_between(generation, now) ? 2 : generation != now;
}

template <class Out>
void world::encode(Out& out, const slot& s) const
{
    out.put(s.state,
            s.lease_gone | s.connection << 1 | s.used_before << 2 |
                (s.epoch == core_.*member(its_epoch{})) << 3 |
                (s.invalidations == core_.*member(its_invalidations{})) << 4 |
                (s.epoch == s.shelf->fresh) << 5,
            how_old(s.generation, core_.*member(its_generation{})) |
                how_old(s.generation, generation_) << 2,
            expected_.known(number(s)));
    if (!settings_.rules.timed())
        return;
    const auto now = reading();
    out.put(ticks(now.monotonic - s.idle_reading.monotonic), ticks(now.boot - s.idle_reading.boot),
            ticks(now.wall - s.idle_reading.wall), ticks(now.monotonic - s.born.monotonic),
            ticks(now.boot - s.born.boot), ticks(now.wall - s.born.wall));
}

template <class Out>
void world::encode(Out& out, const slot_list& list) const
{
    each_of(list, [&](const pool_slot& s) { encode(out, static_cast<const slot&>(s)); });
    out.put(0xff);
}

inline void world::encode(encoding& out, const sweeper& w) const
{
    out.put(w.at, w.why, w.ends_pool, position(w.where));
    encode(out, w.evicted);
}

inline void world::encode(encoding& out, const shelf& s, int first_address) const
{
    out.put(s.address ^ first_address, s.at, s.dead | (found_[s.address] == &s) << 1, s.pins,
            s.users, s.references, s.budget->size, s.budget->waiting,
            (s.fresh == core_.*member(its_epoch{})) | (s.fresh == pool_shelf::nothing) << 1 |
                (&s == untold_) << 2);
    if (settings_.rules.timed()) {
        const auto now = reading();
        out.put(ticks(now.wall - s.cheap_now), ticks(now.monotonic - s.reading.monotonic),
                ticks(now.boot - s.reading.boot), ticks(now.wall - s.reading.wall));
    }
    each_idle(s, [&](const slot& idle) { encode(out, idle); });
    out.put(0xff);
    encode(out, s.dying);
    if (s.left != nullptr)
        encode(out, *s.left);
    each_of(s.slots, [&](const pool_slot& each) {
        const auto& u = static_cast<const slot&>(each);
        if (u.state == slot_state::idle)
            return;
        is_held(u) ? out.put(0xfe) : encode(out, u);
    });
    out.put(0xff);
}

template <class Out>
void world::encode(Out& out, const caller& c) const
{
    const auto position_in = [&](const auto& list, const auto* item) {
        int ahead = 0;
        bool found = false;
        each_of(list, [&](const auto& each) {
            found = found || &each == item;
            ahead += !found;
        });
        out.put(found ? ahead : 0xff);
    };
    out.put(c.at);
    if (c.at == at::outside)
        return;
    const bool granted = c.w.st == pool_waiter::status::granted;
    const auto* got = granted ? static_cast<const slot*>(c.w.got) : c.got;
    out.put(position(c.where), c.w.st, c.why,
            c.permit | c.clean << 1 | c.full << 2 | (c.runs() && c.on_home) << 3 | c.pinned << 4 |
                (got != nullptr) << 5 | (c.old != nullptr) << 6);
    if (c.w.linked())
        position_in(c.where->budget->waiters, static_cast<const pool_waiter*>(&c.w));
    if (got != nullptr) {
        position_in(got->shelf->slots, static_cast<const pool_slot*>(got));
        encode(out, *got);
    }
    if (c.old != nullptr)
        encode(out, *c.old);
}

inline int world::position(const pool_shelf* wanted) const
{
    int ahead = 0;
    bool found = wanted == nullptr;
    each_of(core_, [&](const shelf& s) {
        found = found || &s == wanted;
        ahead += !found;
    });
    return wanted == nullptr ? 0xff : ahead;
}

inline bool world::is_held(const pool_slot& s) const
{
    return std::any_of(callers_, callers_ + most_callers, [&](const caller& c) {
        return c.got == &s || (c.w.st == pool_waiter::status::granted && c.w.got == &s);
    });
}

inline void world::encode(encoding& out) const
{
    out.clear();
    if (freed_)
        return;
    out.put(core_.closed() | core_.*member(its_handle{}) << 1 | owned_ << 2 |
            how_old(core_.*member(its_generation{}), generation_) << 3);
    if (settings_.rules.timed())
        out.put(ticks_left_);
    encode(out, main_);
    if (settings_.drains) {
        out.put(drainer_.at, position(drainer_.where), drainer_.w.st, drainer_.waits);
        encode(out, drainer_.closes);
    }
    int first_address = none; // two contexts of which none is the home are alike
    each_of(core_, [&](const shelf& s) {
        if (first_address == none)
            first_address = settings_.has_home ? 0 : s.address;
        encode(out, s, first_address);
    });
    bytes<64> each[most_callers]; // sorted, since callers are alike, too
    const bytes<64>* sorted[most_callers];
    for (int i = 0; i < settings_.callers; ++i) {
        encode(each[i], callers_[i]);
        int j = i;
        for (; j > 0 && each[i] < *sorted[j - 1]; --j)
            sorted[j] = sorted[j - 1];
        sorted[j] = &each[i];
    }
    for (int i = 0; i < settings_.callers; ++i)
        out.append(*sorted[i]);
}

} // namespace model

#endif
