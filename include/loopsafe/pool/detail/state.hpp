// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_STATE_HPP
#define LOOPSAFE_POOL_DETAIL_STATE_HPP

#include <loopsafe/context/detail/located_executor.hpp>
#include <loopsafe/context/residents.hpp>
#include <loopsafe/detail/intrusive_list.hpp>
#include <loopsafe/detail/process_generation.hpp>
#include <loopsafe/pool/close_reason.hpp>
#include <loopsafe/pool/connector.hpp>
#include <loopsafe/pool/core/core.hpp>
#include <loopsafe/pool/core/parking.hpp>
#include <loopsafe/pool/detail/context_table.hpp>
#include <loopsafe/pool/detail/life.hpp>
#include <loopsafe/pool/detail/rules.hpp>
#include <loopsafe/pool/error.hpp>
#include <loopsafe/pool/event.hpp>
#include <loopsafe/pool/policy.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace loopsafe::detail {

// How a lease ended.
enum class lease_end : std::uint8_t { destroyed, released, discarded };

// Additional state of a slot in a pool that carries connections over.
template <class Connector>
struct carried_slot {
    std::optional<typename Connector::handle_type> handle; // while parked
    bool released = true; // its last user has guaranteed that it is between messages
};
struct nothing {
    explicit nothing(std::size_t = 0) noexcept {}
};

// A shelf's lock stands beside what the warm path writes, and shares no cache line with another's.
template <class Mutex>
struct alignas(cache_line) shelf_lock {
    Mutex mutex;
};

// The state that a pool, its leases, its acquires and its contexts share. It lives until the last
// of them is gone, and counts them under its own lock.
//
// That lock guards everything but what the warm path of a shelf changes, which the shelf's own lock
// guards, too: so the warm path takes that alone, and all else takes the pool's and then the
// shelf's.
template <class Connector, class Policy>
class pool_state {
public:
    using connection_type = typename Connector::connection_type;
    using options_type = typename Policy::options;
    using clock = typename Policy::clock_type;
    using lease_type = lease<Connector, Policy>;

    static constexpr bool has_home = Policy::has_home;
    // Where the connector cannot, the pool says so, and nothing else does.
    static constexpr bool carries = carries_over<Policy> && can_carry<Connector>;

    struct slot : pool_slot,
                  std::conditional_t<carries, std::type_identity<carried_slot<Connector>>,
                                     std::type_identity<nothing>>::type {
        explicit slot(pool_shelf& s) noexcept : pool_slot(s) {}
        std::optional<connection_type> connection;
    };

    struct shelf final : shelf_lock<typename Policy::mutex_type>, pool_shelf, resident {
        shelf(pool_state& p, context_ref h, residents& r) : pool(p), home(std::move(h)), registry(r)
        {
        }

        void context_dying() noexcept override { pool.on_context_dying(*this); }
        void frames_gone() noexcept override { pool.on_frames_gone(*this); }

        pool_state& pool;
        const context_ref home;
        residents& registry;            // touched only on the context, or with a pin
        asio::any_io_executor executor; // of a home; a strand must not outlive its context
    };

    class ticket;
    class hold;

    pool_state(Connector how, const options_type& limits)
        : connector_(std::move(how)),
          options_(limits),
          name_(limits.name),
          core_(checked_rules(options_, Policy::keeps_idle, Policy::limit_per_context)),
          parking_(most_parked(options_)),
          life_(&pool_life::begin(this))
    {
        watch_forks();
    }
    pool_state(const pool_state&) = delete;
    ~pool_state() { end_life(); }

    const pool_life& life() const noexcept { return *life_; }

    // Finding the shelf of the caller.
    void settle(const located_executor& home);
    ticket enter(const asio::any_io_executor& executor, const char* operation,
                 const std::source_location& where);
    hold retain(const asio::any_io_executor& executor, const char* operation,
                const std::source_location& where);
    [[noreturn]] void refuse(const asio::any_io_executor& executor, const char* operation,
                             const std::source_location& where);

    // A leased slot, from which only a lease is made; or null.
    class loan {
    public:
        explicit operator bool() const noexcept { return slot_ != nullptr; }

    private:
        friend pool_state;
        friend lease_type;
        explicit loan(slot* s) noexcept : slot_(s) {}
        slot* slot_;
    };

    // The warm path.
    bool is_suspect(connection_type& connection) const noexcept;
    bool needs_reset_now(connection_type& connection) const noexcept;
    loan take_fresh(const asio::execution_context* asking,
                    const std::source_location& where) noexcept;

    // The rest of acquire, in a frame of its own.
    asio::awaitable<lease_type> acquire(ticket t, asio::any_io_executor executor,
                                        std::optional<std::chrono::milliseconds> timeout,
                                        std::source_location where);

    static void give_back(slot& s, lease_end how) noexcept;
    static bool usable(const slot& s) noexcept;
    [[noreturn]] static void throw_expired(const slot* s);
    static context_ref home_of(const slot& s) noexcept { return shelf_of(s).home; }

    void invalidate() noexcept;
    void thaw() noexcept;
    void close() noexcept;
    void drop_parked() noexcept;
    void abandon_handle() noexcept; // the pool object is destroyed
    asio::awaitable<void> drain(hold h, asio::any_io_executor executor,
                                std::chrono::milliseconds limit, std::source_location where,
                                const char* operation = "async_close");

    pool_stats stats();
    std::vector<lease_holder> holders(std::size_t most);
    const context_ref& home() const noexcept { return home_; }
    // The caller's executor, for a token with this one: itself, else the home's, else none.
    asio::any_io_executor asking(asio::any_io_executor associated);
    std::string resource() const;
    void on_event(std::function<void(const pool_event&)> hook)
    {
        on_event_ = std::move(hook);
        if (on_event_)
            core_.watch();
    }
    [[noreturn]] void fail(errc code, const char* operation, const std::source_location& where);

private:
    using lock_guard = std::lock_guard<typename Policy::mutex_type>;
    using unique_lock = std::unique_lock<typename Policy::mutex_type>;

    // The pool's lock and that of a shelf.
    class both_locks {
    public:
        explicit both_locks(shelf& s) : pool_(s.pool.mutex_), shelf_(s.mutex) {}
        void unlock()
        {
            shelf_.unlock();
            pool_.unlock();
        }

    private:
        unique_lock pool_;
        unique_lock shelf_;
    };

    static shelf& shelf_of(const pool_slot& s) noexcept { return static_cast<shelf&>(*s.shelf); }

    static std::size_t most_parked([[maybe_unused]] const options_type& o) noexcept
    {
        if constexpr (carries)
            return o.max_parked;
        else
            return 0;
    }

    // By a caller on that context: it finds the shelf as long as there is one, without a lock.
    shelf* find_shelf(const asio::execution_context* context) const noexcept;
    void forget(const shelf& s) noexcept; // under the lock
    template <class Use>
    shelf& use_shelf(const asio::any_io_executor& executor, const char* operation,
                     const std::source_location& where, Use use);
    shelf& add_shelf(std::unique_ptr<shelf> fresh); // under the pool's lock

    void on_context_dying(shelf& s) noexcept;
    void on_frames_gone(shelf& s) noexcept;
    // With its handle: a pool that nobody can free is then a leak that LeakSanitizer sees.
    void end_life() noexcept
    {
        if (auto* const life = std::exchange(life_, nullptr); life != nullptr)
            life->end();
    }
    void leave(shelf& s) noexcept;
    void drop(shelf& s) noexcept;
    void end_with(both_locks& lock, shelf& s, bool shelf_is_free) noexcept;
    bool put_back(slot& s) noexcept;
    void finish(slot& s, bool clean, close_reason otherwise) noexcept;
    void destroy_connection(slot& s, close_reason why) noexcept;
    void end_turn([[maybe_unused]] slot& s) const noexcept // under the lock
    {
        if constexpr (can_end_turn<Connector>)
            connector_.returned(*s.connection);
    }
    void tell_closed(close_reason why) noexcept;
    void tell_returned(const slot& s) noexcept;
    // Of the steady clock, for what a hook is told; 0 without one.
    std::chrono::nanoseconds stopwatch() const noexcept
    {
        return on_event_ ? clock::read().monotonic : std::chrono::nanoseconds::zero();
    }
    void close_now() noexcept;
    void drop_all_parked(close_reason why) noexcept;
    template <class Change>
    void change_all(Change change) noexcept;
    void close_idle(close_reason why) noexcept;
    template <class Lock>
    void leave_context(Lock& lock, shelf& s) noexcept;
    void destroy_all(intrusive_list<pool_slot>& evicted, shelf& s, close_reason why) noexcept;
    void forget_all(intrusive_list<pool_slot>& evicted, close_reason why) noexcept;
    void close_expired(shelf& s, const clock_reading& now) noexcept;

    // If the policy carries connections over.
    void park_all(pool_slot* idle) noexcept;
    std::optional<close_reason> reason_to_drop(const slot& s,
                                               const clock_reading& now) const noexcept;
    std::optional<close_reason> detach(slot& s, const clock_reading& now) noexcept;
    bool adopt(ticket& t, const asio::any_io_executor& executor);
    std::optional<close_reason> attach(slot& s, const asio::any_io_executor& executor) noexcept;
    void drop_expired(const clock_reading& now) noexcept;
    void drop_one(slot& s, close_reason why) noexcept;
    void destroy_slot(slot& s, close_reason why) noexcept;

    asio::awaitable<void> wait_for_turn(ticket& t, asio::any_io_executor executor,
                                        std::optional<std::chrono::milliseconds> timeout,
                                        std::source_location where);
    asio::awaitable<void> make_ready(ticket& t, asio::any_io_executor executor,
                                     std::source_location where);
    asio::awaitable<void> connect_into(slot& s, asio::any_io_executor executor,
                                       std::source_location where);

    static std::uint64_t generation() noexcept
    {
        return process_generation.load(std::memory_order_relaxed);
    }
    void sync_generation() noexcept { core_.process_is(generation()); }
    static bool inherited(const pool_slot& s) noexcept
    {
        return copied_between(s.generation, generation());
    }
    clock_reading read_clock(shelf& s) noexcept;
    double jitter(const slot& s, const clock_reading& now) const noexcept;
    void emit(pool_event event) noexcept;

    // Keeps the pool in memory while a hook or the end of a connection may destroy it.
    class visit;
    bool is_free() const noexcept { return core_.unreferenced() && visits_ == 0; } // under the lock

    struct waiter;

    Connector connector_;
    const options_type options_;
    const std::string name_;
    std::function<void(const pool_event&)> on_event_;
    context_ref home_;
    const asio::execution_context* home_address_ = nullptr;
    shelf* home_shelf_ = nullptr; // changes where the home begins and where it dies
    [[no_unique_address]] std::conditional_t<Policy::has_home, nothing, context_table<shelf>>
        by_context_;

    pool_core core_; // of which the warm path reads the beginning
    typename Policy::mutex_type mutex_;
    std::size_t visits_ = 0;
    [[no_unique_address]] std::conditional_t<carries, pool_parking, nothing> parking_;
    std::shared_ptr<const std::string> last_connect_error_;
    pool_life* life_; // begins last: what throws before has nothing to end
};

} // namespace loopsafe::detail

#endif
