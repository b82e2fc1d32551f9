// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CORE_PARTS_HPP
#define LOOPSAFE_POOL_CORE_PARTS_HPP

#include <loopsafe/detail/intrusive_list.hpp>
#include <loopsafe/pool/clock_reading.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <source_location>

// The parts of a pool's state machine.
namespace loopsafe::detail {

struct pool_shelf;

// What different threads write does not share one: each would wait for the other's.
inline constexpr std::size_t cache_line = 64;

enum class slot_state : std::uint8_t {
    connecting, // an acquire makes, probes or resets its connection
    leased,
    idle,
    closing,  // off the shelf; whatever took it out destroys it
    expiring, // its context is gone and is destroying the connection
    expired   // its context is gone, and the connection with it
};

struct alignas(cache_line) pool_slot : list_node {
    explicit pool_slot(pool_shelf& s) noexcept : shelf(&s) {}

    pool_shelf* shelf;
    pool_slot* below = nullptr; // while idle or parked: the next in the stack
    slot_state state = slot_state::connecting;
    bool lease_gone = false; // the dying context frees the slot
    bool used_before = false;
    std::uint64_t epoch = 0;
    std::uint64_t invalidations = 0;
    std::uint64_t generation = 0;
    std::chrono::nanoseconds taken_at{}; // by the cheap clock, which is the wall clock
    clock_reading idle_reading;
    clock_reading born;
    std::chrono::nanoseconds lifetime{};
    std::source_location holder;
};

struct pool_waiter : list_node {
    enum class status : std::uint8_t { idle, queued, granted, closed, done };

    pool_shelf* at = nullptr;
    status st = status::idle;
    pool_slot* got = nullptr;                      // granted: a connection, or null for a permit
    void (*wake)(pool_waiter&) noexcept = nullptr; // called under the lock
};

// What limits the number of connections: one for each shelf, or one for the whole pool.
struct pool_budget {
    std::size_t size = 0; // permits out: connections of every state
    std::size_t waiting = 0;
    intrusive_list<pool_waiter> waiters;
};

// The connections of one context. What comes first is all that its warm path writes, but for the
// slot.
struct pool_shelf : list_node {
    static constexpr std::uint64_t nothing = ~std::uint64_t{};

    pool_slot* idle = nullptr;     // a stack: the most recently used on top
    std::uint64_t fresh = nothing; // the epoch of what may be lent and put back without a look
    std::size_t users = 0;         // acquires and leases
    std::uint64_t reused = 0;      // leases with an existing connection
    std::chrono::nanoseconds cheap_now{};
    clock_reading reading;

    intrusive_list<pool_slot> slots;
    pool_budget own_budget;
    pool_budget* budget = &own_budget;
    std::size_t references = 1; // the context, and everything else that keeps the shelf
    bool dead = false;
};

struct pool_rules {
    std::size_t max_size = 1;
    std::size_t max_waiting = 0;
    bool keeps_idle = true;
    bool limit_per_context = true;
    std::chrono::nanoseconds idle_timeout = std::chrono::nanoseconds::max();
    std::chrono::nanoseconds max_lifetime = std::chrono::nanoseconds::max();
    std::chrono::nanoseconds probe_after = std::chrono::nanoseconds::max();
};

// A connection to reuse, or the right to make one, or neither.
struct pool_grant {
    pool_slot* slot = nullptr;
    bool permit = false;

    explicit operator bool() const noexcept { return permit; }
};

} // namespace loopsafe::detail

#endif
