// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CORE_MACHINE_HPP
#define LOOPSAFE_POOL_CORE_MACHINE_HPP

#include <loopsafe/detail/process_generation.hpp>
#include <loopsafe/pool/close_reason.hpp>
#include <loopsafe/pool/core/parts.hpp>
#include <loopsafe/pool/stats.hpp>

#include <cstdint>
#include <source_location>

// The state machine of every pool, without I/O. Nothing here allocates or throws; the one thing
// called from here is waiter::wake.
//
// A pool has a lock, and each of its shelves another, which is taken second. The warm path holds
// the lock of its shelf, and changes nothing else. Every other call holds the pool's; one that is
// given a shelf, or a slot or a waiter of one, holds that shelf's, too. What happens to the whole
// pool is told to one shelf after the other, while the pool's lock is held.
namespace loopsafe::detail {

class pool_core {
public:
    explicit pool_core(const pool_rules& rules) noexcept;

    // Contexts come and go.
    void add(pool_shelf& shelf) noexcept;
    void retain(pool_shelf& shelf) noexcept { ++shelf.references; }
    bool drop(pool_shelf& shelf) noexcept; // true: no reference to the shelf is left, free it
    void enter(pool_shelf& shelf) noexcept { ++shelf.users; } // an acquirer or a lease
    bool leave(pool_shelf& shelf) noexcept;                   // as drop()
    void context_died(pool_shelf& shelf, intrusive_list<pool_slot>& evicted) noexcept;
    pool_slot* next_leftover(pool_shelf& shelf) noexcept;
    bool leftover_destroyed(pool_slot& slot) noexcept; // true: its lease is gone, free the slot

    // The warm path, whole: take_fresh() also enters, put_back() leaves. Both know by themselves of
    // a fork or a thaw, since either may come this way first.
    pool_slot* take_fresh(pool_shelf& shelf, std::uint64_t generation, std::chrono::nanoseconds now,
                          const std::source_location& holder) const noexcept;
    bool may_put_back(const pool_slot& slot, std::uint64_t generation) const noexcept;
    void put_back(pool_slot& slot) const noexcept;

    // Acquiring.
    pool_grant try_acquire(pool_shelf& shelf) noexcept;
    bool queue_is_full(const pool_shelf& shelf) const noexcept;
    void wait(pool_waiter& waiter) noexcept;
    void wait_until_drained(pool_waiter& waiter) noexcept;
    pool_grant consume(pool_waiter& waiter) noexcept;
    bool consume_drained(pool_waiter& waiter) noexcept;
    pool_slot* expired_idle(pool_shelf& shelf, const clock_reading& now,
                            close_reason& why) noexcept;

    enum class verdict : std::uint8_t { fresh, probe, close };
    struct judgement {
        verdict what;
        close_reason why{};
    };
    judgement judge(const pool_slot& slot, const clock_reading& now) const noexcept;

    void connecting(pool_slot& slot) noexcept;
    void not_connected(pool_slot& slot) noexcept; // leaves the shelf; the permit is still out
    void connected(pool_slot& slot, const clock_reading& now, double jitter) noexcept;
    void lost(pool_slot& slot, close_reason why) noexcept; // its connection; it may get another
    void connect_failed() noexcept { ++stats_.connect_failures; }
    void leased(pool_slot& slot, const std::source_location& holder) noexcept;

    // Releasing. If it is not kept: begin_close(), destroy the connection, return_permit().
    bool keep(pool_slot& slot) noexcept;
    close_reason begin_close(pool_slot& slot, close_reason why) noexcept;
    void return_permit(pool_shelf& shelf) noexcept;

    // The whole pool. After each of the first three, tell() every shelf.
    void close() noexcept;
    void invalidate() noexcept;
    void thaw() noexcept { ++epoch_; }
    void tell(pool_shelf& shelf) const noexcept;
    void process_is(std::uint64_t generation) noexcept { generation_ = generation; }
    void evict(pool_shelf& shelf, intrusive_list<pool_slot>& evicted, close_reason why) noexcept;
    // The one used last. Preconditions: one is idle.
    void evict_one(pool_shelf& shelf, intrusive_list<pool_slot>& evicted,
                   close_reason why) noexcept;
    void evicted_destroyed(pool_shelf& shelf, std::size_t count) noexcept;

    void handle_gone() noexcept { handle_ = false; }
    bool unreferenced() const noexcept { return !handle_ && shelves_.empty(); }
    // The pool is gone, and so are all users of the shelf: only its context still refers to it.
    bool orphaned(const pool_shelf& shelf) const noexcept { return !handle_ && unused(shelf); }
    bool closed() const noexcept { return closed_; }
    static bool unused(const pool_shelf& shelf) noexcept
    {
        return shelf.users == 0 && shelf.references == 1;
    }
    // Linear in the number of shelves. Preconditions: those that are there have been told that the
    // pool is closed, so that no warm path changes their users.
    bool drained() const noexcept;
    bool needs_clock() const noexcept { return needs_clock_; }
    // Every release then goes the long way, and every use is timed.
    void watch() noexcept
    {
        needs_clock_ = true;
        watched_ = true;
    }

    // A shelf keeps the readings of the clocks that are taken at each acquire; release() takes
    // none. The shelf's lock is enough.
    static bool reading_is_old(const pool_shelf& shelf, std::chrono::nanoseconds now) noexcept;
    static void note(pool_shelf& shelf, const clock_reading& now) noexcept;

    pool_stats stats() const noexcept; // but for what each shelf adds
    static void add_to(pool_stats& stats, const pool_shelf& shelf) noexcept;
    void count_refusal() noexcept { ++stats_.refused; }
    void count_acquire_timeout() noexcept { ++stats_.acquire_timeouts; }
    void count_queue_full() noexcept { ++stats_.queue_full; }
    intrusive_list<pool_shelf>& shelves() noexcept { return shelves_; }

private:
    void hand_on(pool_budget& budget) noexcept;
    void push_idle(pool_slot& slot) const noexcept;
    void note_idle(pool_slot& slot) const noexcept;
    static void grant(pool_waiter& waiter, pool_slot* slot) noexcept;
    bool inherited(const pool_slot& slot) const noexcept
    {
        return copied_between(slot.generation, generation_);
    }
    void count_closed(close_reason why) noexcept;
    void stamp(pool_slot& slot) const noexcept;
    bool free_if_left(pool_shelf& shelf) noexcept;
    static void forget_waiters(intrusive_list<pool_waiter>& waiters, const pool_shelf& shelf,
                               std::size_t& count) noexcept;

    pool_rules rules_;
    std::chrono::nanoseconds fresh_for_;
    bool needs_clock_;
    bool watched_ = false;
    // The warm path reads only what comes before.
    alignas(cache_line) bool keeps_; // returned connections, until the pool is closed
    bool closed_ = false;
    bool handle_ = true;
    std::uint64_t epoch_ = 0; // invalidations and thaws together
    std::uint64_t invalidations_ = 0;
    std::uint64_t generation_ = 0;
    std::uint64_t first_uses_ = 0;
    pool_stats stats_;
    pool_budget shared_budget_;
    intrusive_list<pool_shelf> shelves_;
    intrusive_list<pool_waiter> drainers_;
};

} // namespace loopsafe::detail

#endif
