// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_HEAP_HPP
#define LOOPSAFE_TESTS_SUPPORT_HEAP_HPP

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

// Replaces the heap of the program that includes it, in one file: counts what a thread takes while
// it is watched, and fails one of it.
namespace heap {

inline thread_local bool watched = false;
inline thread_local long allocations = 0;
inline thread_local long failing = -1;
inline thread_local long alive = 0; // of operator new

// Of the last allocations while it is watched.
inline thread_local std::size_t size_before = 0;
inline thread_local std::size_t size_asked = 0;
inline thread_local void* latest = nullptr; // that did not fail

// Two sizes: an allocation of the second does not fail directly after one of the first.
struct neighbours {
    std::size_t first = 0;
    std::size_t second = 0;
};
inline neighbours spared;

inline bool fails(std::size_t size) noexcept
{
    if (!watched)
        return false;
    size_before = std::exchange(size_asked, size);
    return allocations++ == failing &&
           (size_before != spared.first || size != spared.second || spared.first == 0);
}

inline void* take(std::size_t size, std::size_t alignment) noexcept
{
    void* place = nullptr;
    if (fails(size) || ::posix_memalign(&place, std::max(alignment, sizeof(void*)), size) != 0)
        return nullptr;
    if (watched)
        latest = place;
    return place;
}

inline void* take_or_throw(std::size_t size, std::size_t alignment)
{
    void* const place = take(size, alignment);
    if (place == nullptr)
        throw std::bad_alloc();
    ++alive;
    return place;
}

inline void give_back(void* place) noexcept
{
    if (place != nullptr)
        --alive;
    std::free(place);
}

// Counts the allocations of this thread, and fails one of them.
class watch {
public:
    explicit watch(long which = -1) noexcept
    {
        allocations = 0;
        failing = which;
        size_before = size_asked = 0;
        watched = true;
    }
    watch(const watch&) = delete;
    ~watch()
    {
        watched = false;
        latest = nullptr; // which would keep a leak from being seen
    }
};

template <class F>
long allocations_of(F f)
{
    const watch on;
    f();
    return allocations;
}

} // namespace heap

// Asio takes memory from the second of these, where operator new does not see it.
void* operator new(std::size_t size)
{
    return heap::take_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept // that of std::stable_sort
{
    void* const place = heap::take(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    heap::alive += place != nullptr ? 1 : 0;
    return place;
}
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size)
{
    return heap::take(size, alignment);
}
void* operator new(std::size_t size, std::align_val_t alignment)
{
    return heap::take_or_throw(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* place) noexcept
{
    heap::give_back(place);
}
void operator delete(void* place, std::size_t) noexcept
{
    heap::give_back(place);
}
void operator delete(void* place, std::align_val_t) noexcept
{
    heap::give_back(place);
}
void operator delete(void* place, std::size_t, std::align_val_t) noexcept
{
    heap::give_back(place);
}

#endif
