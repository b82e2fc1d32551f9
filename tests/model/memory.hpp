// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_MEMORY_HPP
#define LOOPSAFE_TESTS_MODEL_MEMORY_HPP

#include "world.hpp"

#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#define LOOPSAFE_MODEL_POISON
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOOPSAFE_MODEL_POISON
#endif
#endif
#ifdef LOOPSAFE_MODEL_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(where, size) static_cast<void>(where)
#define ASAN_UNPOISON_MEMORY_REGION(where, size) static_cast<void>(where)
#endif

namespace model {

inline constexpr std::chrono::milliseconds one_tick{500};

inline int ticks(std::chrono::nanoseconds t)
{
    return static_cast<int>(t / one_tick);
}

inline pool_rules rules_of(const limits& l)
{
    const auto time = [](int t) -> std::chrono::nanoseconds {
        return t == never ? std::chrono::nanoseconds::max() : one_tick * t;
    };
    pool_rules r;
    r.max_size = static_cast<std::size_t>(l.max_size);
    r.max_waiting = static_cast<std::size_t>(l.max_waiting);
    r.keeps_idle = l.keeps_idle;
    r.limit_per_context = l.limit_per_context;
    r.idle_timeout = time(l.idle_timeout);
    r.max_lifetime = time(l.max_lifetime);
    r.probe_after = time(l.probe_after);
    return r;
}

inline world::world(const settings& s)
    : settings_(s), core_(rules_of(s.rules)), expected_(s.rules), ticks_left_(s.ticks)
{
    for (int i = 0; i < most_callers; ++i)
        prepare(callers_[i].w, i);
    prepare(drainer_.w, the_drainer);
    if (s.has_home)
        new_shelf(0);
}

template <class T>
void start_anew(T& object)
{
    std::destroy_at(&object);
    std::construct_at(&object);
}

inline void world::prepare(waiter& w, int who)
{
    start_anew(w);
    w.of = this;
    w.who = who;
    w.wake = on_wake;
}

// What is freed must be seen to be touched.
template <class T>
void trample(T& object)
{
    std::destroy_at(&object);
    std::memset(static_cast<void*>(&object), 0xdd, sizeof object);
    ASAN_POISON_MEMORY_REGION(&object, sizeof object);
}

template <class T, class... Args>
T& construct(const T* where, Args&... args)
{
    ASAN_UNPOISON_MEMORY_REGION(where, sizeof(T));
    return *std::construct_at(const_cast<T*>(where), args...);
}

inline void world::poison() const noexcept
{
    for (int i = 0; i < most_shelves; ++i) {
        if (!shelf_used_[i])
            ASAN_POISON_MEMORY_REGION(shelves() + i, sizeof(shelf));
    }
    for (int i = 0; i < most_slots; ++i) {
        if (!slot_used_[i])
            ASAN_POISON_MEMORY_REGION(slots() + i, sizeof(slot));
    }
}

inline void world::unpoison() const noexcept
{
    ASAN_UNPOISON_MEMORY_REGION(shelf_memory_, sizeof shelf_memory_);
    ASAN_UNPOISON_MEMORY_REGION(slot_memory_, sizeof slot_memory_);
}

inline shelf& world::new_shelf(int address)
{
    int i = 0;
    while (shelf_used_[i])
        expect(++i < most_shelves, "the model is large enough for this history");
    shelf_used_[i] = true;
    auto& fresh = construct(shelves() + i);
    fresh.address = address;
    found_[address] = living_[address] = &fresh;
    core_.add(fresh);
    expected_.open(i);
    return fresh;
}

inline void world::free_shelf(shelf& s)
{
    expect(!s.linked() && s.idle == nullptr && s.slots.empty() && s.left == nullptr &&
               s.dying.empty() && s.own_budget.waiters.empty(),
           "a shelf that is freed is empty");
    expect(found_[s.address] != &s, "a shelf that is freed is not found by anybody");
    if (living_[s.address] == &s)
        living_[s.address] = nullptr;
    shelf_used_[number(s)] = false;
    trample(s);
}

inline slot& world::new_slot(shelf& s)
{
    int i = 0;
    while (slot_used_[i])
        expect(++i < most_slots, "the model is large enough for this history");
    slot_used_[i] = true;
    return construct(slots() + i, s);
}

inline void world::free_slot(slot& s)
{
    expect(!s.linked() && !s.connection, "a slot that is freed is in no list, and empty");
    slot_used_[number(s)] = false;
    trample(s);
}

inline void world::destroy_connection(slot& s)
{
    expect(s.connection, "a connection is closed once");
    expect(home_of(s).at != phase::gone, "a connection is closed before its context is gone");
    s.connection = false;
}

inline few<int, 4> world::destroy_all(slot_list& list)
{
    few<int, 4> destroyed;
    while (auto* base = list.pop_front()) {
        auto& s = static_cast<slot&>(*base);
        expect(s.state == slot_state::closing, "what is evicted is being closed");
        destroyed.push_back(number(s));
        destroy_connection(s);
        free_slot(s);
    }
    return destroyed;
}

inline void world::on_wake(pool_waiter& base) noexcept
{
    auto& w = static_cast<waiter&>(base);
    auto& all = *w.of;
    if (w.at == nullptr || static_cast<shelf*>(w.at)->at > phase::marked)
        all.wrong_wake_ = "nobody is woken whose context is dead";
    if (w.got != nullptr && w.got->shelf != w.at)
        all.wrong_wake_ = "a grant never crosses contexts";
    const auto why = w.st == pool_waiter::status::closed ? wakening::cause::closed
                     : w.who == the_drainer              ? wakening::cause::drained
                                                         : wakening::cause::granted;
    all.woken_.push_back({w.who, why, all.number(w.got)});
}

} // namespace model

#endif
