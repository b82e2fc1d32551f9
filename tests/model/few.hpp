// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_FEW_HPP
#define LOOPSAFE_TESTS_MODEL_FEW_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <stdexcept>

namespace model {

// What the pool did is not what the reference model says.
struct violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

[[noreturn]] inline void fail(const char* claim)
{
    throw violation(claim);
}

inline void expect(bool holds, const char* claim)
{
    if (!holds) [[unlikely]]
        fail(claim);
}

// A vector of at most N, whose bytes are its value.
template <class T, std::size_t N>
class few {
public:
    T* begin() noexcept { return items_.data(); }
    T* end() noexcept { return items_.data() + size_; }
    const T* begin() const noexcept { return items_.data(); }
    const T* end() const noexcept { return items_.data() + size_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    T& operator[](std::size_t i) noexcept { return items_[i]; }
    const T& operator[](std::size_t i) const noexcept { return items_[i]; }
    void clear() noexcept { size_ = 0; }

    void push_back(const T& item)
    {
        expect(size_ < N, "the model is large enough for this history");
        items_[size_++] = item;
    }
    void erase(T* where) noexcept
    {
        std::move(where + 1, end(), where);
        --size_;
    }

private:
    std::array<T, N> items_{};
    std::size_t size_ = 0;
};

template <class T, std::size_t N, class Is>
std::size_t how_many(const few<T, N>& items, Is is)
{
    return static_cast<std::size_t>(std::count_if(items.begin(), items.end(), is));
}

template <class T, std::size_t N, class Is>
T* first_of(few<T, N>& items, Is is)
{
    const auto found = std::find_if(items.begin(), items.end(), is);
    return found == items.end() ? nullptr : found;
}

template <class T, std::size_t N, class Is>
bool any_of(const few<T, N>& items, Is is)
{
    return std::any_of(items.begin(), items.end(), is);
}

} // namespace model

#endif
