// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_LIFE_HPP
#define LOOPSAFE_POOL_DETAIL_LIFE_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <mutex>
#include <utility>

// For an operation that begins late: its pool may be gone by then, or have moved.
namespace loopsafe::detail {

// Says whether a pool still exists. It is used again, but never freed, and asking writes nothing.
// The first ones need no heap, so that a program ends with as much of it as it began with.
class pool_life {
public:
    constexpr pool_life() noexcept = default;

    static pool_life& begin(void* pool)
    {
        {
            const std::lock_guard lock(unused_mutex);
            if (auto* life = unused; life != nullptr) {
                unused = std::exchange(life->next_, nullptr);
                life->pool_ = pool;
                return *life;
            }
        }
        static std::atomic<std::size_t> taken = 0;
        static pool_life first[64];
        if (const auto at = taken.fetch_add(1, std::memory_order_relaxed); at < std::size(first)) {
            first[at].pool_ = pool;
            return first[at];
        }
        auto* const life = new pool_life;
        life->pool_ = pool;
        return *life;
    }

    void end() noexcept
    {
        turn_.fetch_add(1, std::memory_order_relaxed);
        const std::lock_guard lock(unused_mutex);
        pool_ = nullptr;
        next_ = std::exchange(unused, this);
    }

    static pool_life& of_none() noexcept
    {
        static constinit pool_life none;
        return none;
    }

    std::uint64_t turn() const noexcept { return turn_.load(std::memory_order_relaxed); }
    void* pool() const noexcept { return pool_; }

private:
    static inline constinit std::mutex unused_mutex;
    static inline constinit pool_life* unused = nullptr;

    std::atomic<std::uint64_t> turn_{0};
    void* pool_ = nullptr;
    pool_life* next_ = nullptr;
};

// Trivially copyable, so that GCC 12 does not destroy it twice where it is made beside a
// `co_await`.
template <class State>
class late_pool {
public:
    explicit late_pool(const pool_life& life) noexcept : life_(&life), turn_(life.turn()) {}

    // Null if the pool is gone, or was by then.
    State* get() const noexcept
    {
        return life_->turn() == turn_ ? static_cast<State*>(life_->pool()) : nullptr;
    }

private:
    const pool_life* life_;
    std::uint64_t turn_;
};

} // namespace loopsafe::detail

#endif
