// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_ALLOCATIONS_HPP
#define LOOPSAFE_TESTS_BENCH_ALLOCATIONS_HPP

#include <atomic>
#include <cstdlib>
#include <new>

// Counts what comes from the heap: operator new, and aligned_alloc, which Asio prefers.
namespace bench {

inline std::atomic<long> allocations{0};

inline void* allocate(std::size_t size, std::size_t alignment)
{
    allocations.fetch_add(1, std::memory_order_relaxed);
    void* place = nullptr;
    if (::posix_memalign(&place, alignment, size) != 0)
        return nullptr;
    return place;
}

inline void* allocate_or_throw(std::size_t size, std::size_t alignment)
{
    if (void* place = allocate(size, alignment))
        return place;
    throw std::bad_alloc();
}

} // namespace bench

extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size)
{
    return bench::allocate(size, alignment);
}

void* operator new(std::size_t size)
{
    return bench::allocate_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t size, std::align_val_t alignment)
{
    return bench::allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* place) noexcept
{
    std::free(place);
}
void operator delete(void* place, std::size_t) noexcept
{
    std::free(place);
}
void operator delete(void* place, std::align_val_t) noexcept
{
    std::free(place);
}
void operator delete(void* place, std::size_t, std::align_val_t) noexcept
{
    std::free(place);
}

#endif
