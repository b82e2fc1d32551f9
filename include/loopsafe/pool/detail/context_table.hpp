// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_CONTEXT_TABLE_HPP
#define LOOPSAFE_POOL_DETAIL_CONTEXT_TABLE_HPP

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace loopsafe::detail {

// What a pool has for each living context, found without a lock and without writing anything.
//
// Whoever changes the table holds a lock. Whoever looks something up runs on that context, so what
// is there was put there before, or is not seen and counts as missing; and it is not taken out
// meanwhile. A new context at the address of a dead one begins after the dead one was taken out.
template <class T>
class context_table {
public:
    context_table() noexcept = default;
    context_table(const context_table&) = delete;

    T* find(const void* context) const noexcept
    {
        if (context == nullptr)
            return nullptr;
        const places& all = *all_.load(std::memory_order_acquire);
        auto at = all.first_for(context);
        for (auto left = all.size; left != 0; --left) {
            const place& p = all.at[at];
            if (p.context.load(std::memory_order_acquire) == context)
                return p.found.load(std::memory_order_relaxed);
            at = (at + 1) & (all.size - 1);
        }
        return nullptr;
    }

    // For one more.
    void make_room()
    {
        if (2 * (count_ + 1) > all_.load(std::memory_order_relaxed)->size)
            grow();
    }

    // Preconditions: there is room, and nothing for that context.
    void put(const void* context, T& found) noexcept
    {
        put_into(*all_.load(std::memory_order_relaxed), context, &found);
        ++count_;
    }

    void take_out(const void* context) noexcept
    {
        const places& all = *all_.load(std::memory_order_relaxed);
        for (place* p = all.at; p != all.at + all.size; ++p) {
            if (p->context.load(std::memory_order_relaxed) == context) {
                p->context.store(nullptr, std::memory_order_relaxed);
                --count_;
            }
        }
    }

private:
    struct place {
        std::atomic<const void*> context{nullptr}; // null: free
        std::atomic<T*> found{nullptr};
    };

    struct places {
        places(place* first, std::size_t n) noexcept
            : at(first), size(n), shift(64 - static_cast<int>(std::bit_width(n - 1)))
        {
        }

        std::size_t first_for(const void* context) const noexcept
        {
            const std::uint64_t address = reinterpret_cast<std::uintptr_t>(context);
            return static_cast<std::size_t>(address * 0x9e37'79b9'7f4a'7c15u >> shift);
        }

        place* const at;
        const std::size_t size; // a power of 2
        const int shift;
        std::unique_ptr<place[]> owned;
        std::unique_ptr<places> smaller; // somebody may still look there, and finds its own context
    };

    static void put_into(const places& all, const void* context, T* found) noexcept
    {
        auto at = all.first_for(context);
        while (all.at[at].context.load(std::memory_order_relaxed) != nullptr)
            at = (at + 1) & (all.size - 1);
        all.at[at].found.store(found, std::memory_order_relaxed);
        all.at[at].context.store(context, std::memory_order_release);
    }

    void grow()
    {
        const places& all = *all_.load(std::memory_order_relaxed);
        auto memory = std::make_unique<place[]>(2 * all.size);
        auto larger = std::make_unique<places>(memory.get(), 2 * all.size);
        for (const place* p = all.at; p != all.at + all.size; ++p) {
            if (const void* context = p->context.load(std::memory_order_relaxed))
                put_into(*larger, context, p->found.load(std::memory_order_relaxed));
        }
        larger->owned = std::move(memory);
        larger->smaller = std::move(larger_);
        larger_ = std::move(larger);
        all_.store(larger_.get(), std::memory_order_release);
    }

    place first_places_[8]{};
    places first_{first_places_, 8};
    std::atomic<const places*> all_{&first_};
    std::unique_ptr<places> larger_;
    std::size_t count_ = 0;
};

} // namespace loopsafe::detail

#endif
