// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_BUFFER_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_BUFFER_HPP

#include <boost/asio/buffer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace loopsafe::http::detail {

// The bytes that have arrived and are still unread, in one piece. It lives as long as its
// connection, starts small and grows when reads fill it, since allocating a buffer again and again
// makes downloads slow.
class buffer {
public:
    static constexpr std::size_t least = 16 * 1024;
    static constexpr std::size_t most = 64 * 1024;

    std::string_view data() const noexcept { return {bytes_.get() + begin_, end_ - begin_}; }
    bool empty() const noexcept { return begin_ == end_; }

    void consume(std::size_t n) noexcept
    {
        begin_ += n;
        if (begin_ == end_)
            begin_ = end_ = 0;
    }

    // Room for the next read. Unread bytes stay.
    boost::asio::mutable_buffer prepare()
    {
        const auto held = end_ - begin_;
        if (size_ == 0 || size_ - held < size_ / 4 || filled_) {
            const auto wanted = held + std::clamp(2 * size_, least, most);
            if (wanted > size_)
                grow(wanted);
        }
        if (begin_ != 0) {
            std::memmove(bytes_.get(), bytes_.get() + begin_, held);
            begin_ = 0;
            end_ = held;
        }
        filled_ = false;
        return {bytes_.get() + end_, size_ - end_};
    }

    void commit(std::size_t n) noexcept
    {
        end_ += n;
        filled_ = end_ == size_ && size_ < most;
    }

private:
    void grow(std::size_t size)
    {
        std::unique_ptr<char[]> larger(new char[size]);
        if (!empty())
            std::memcpy(larger.get(), bytes_.get() + begin_, end_ - begin_);
        bytes_ = std::move(larger);
        end_ -= begin_;
        begin_ = 0;
        size_ = size;
    }

    std::unique_ptr<char[]> bytes_;
    std::size_t size_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool filled_ = false; // by the last read
};

} // namespace loopsafe::http::detail

#endif
