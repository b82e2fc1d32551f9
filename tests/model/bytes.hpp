// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_BYTES_HPP
#define LOOPSAFE_TESTS_MODEL_BYTES_HPP

#include "few.hpp"

#include <cstdint>
#include <cstring>

namespace model {

template <std::size_t N>
class bytes {
public:
    template <class... T>
    void put(T... values)
    {
        expect(size_ + sizeof...(values) <= N, "a state fits its encoding");
        ((data_[size_++] = static_cast<std::uint8_t>(values)), ...);
    }
    template <std::size_t M>
    void append(const bytes<M>& other)
    {
        expect(size_ + other.size() <= N, "a state fits its encoding");
        std::memcpy(data_ + size_, other.data(), other.size());
        size_ += other.size();
    }
    void clear() { size_ = 0; }
    const std::uint8_t* data() const { return data_; }
    std::size_t size() const { return size_; }
    friend bool operator<(const bytes& a, const bytes& b)
    {
        return a.size_ != b.size_ ? a.size_ < b.size_ : std::memcmp(a.data_, b.data_, a.size_) < 0;
    }

private:
    std::uint8_t data_[N];
    std::size_t size_ = 0;
};

using encoding = bytes<400>;

} // namespace model

#endif
