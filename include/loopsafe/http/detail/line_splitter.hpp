// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LINE_SPLITTER_HPP
#define LOOPSAFE_HTTP_DETAIL_LINE_SPLITTER_HPP

#include <boost/asio/buffer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>

namespace loopsafe::http::detail {

// Takes bytes, in parts of any size, and gives lines. It reads nothing itself. Each byte is looked
// at once, and moved a bounded number of times.
class line_splitter {
public:
    explicit line_splitter(std::size_t most)
        : most_(std::min(most, std::numeric_limits<std::size_t>::max() - end_bytes))
    {
    }

    // The next line that is whole, without its end.
    std::optional<std::string_view> next() noexcept
    {
        const auto unseen = filled_ - seen_;
        const void* const found =
            unseen == 0 ? nullptr : std::memchr(bytes_.get() + seen_, '\n', unseen);
        if (found == nullptr) {
            seen_ = filled_;
            return std::nullopt;
        }
        const auto end = static_cast<std::size_t>(static_cast<const char*>(found) - bytes_.get());
        std::string_view line(bytes_.get() + begin_, end - begin_);
        begin_ = seen_ = end + 1;
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        return line;
    }

    // Whether a line is longer than it may be: one that next() gave, or the one that has begun.
    bool is_too_long(std::string_view line) const noexcept { return line.size() > most_; }
    bool is_too_long() const noexcept
    {
        const auto begun = rest();
        return begun.size() > most_ + (begun.ends_with('\r') ? 1U : 0U);
    }

    // What came behind the last end of a line.
    std::string_view rest() const noexcept { return {bytes_.get() + begin_, filled_ - begin_}; }

    // Where the next bytes go. Precondition: next() has none, and none is too long.
    boost::asio::mutable_buffer room()
    {
        const auto begun = filled_ - begin_;
        if (begin_ != 0 && begun <= begin_) { // else a byte might be moved again and again
            if (begun != 0)
                std::memcpy(bytes_.get(), bytes_.get() + begin_, begun);
            begin_ = 0;
            seen_ = filled_ = begun;
        }
        if (filled_ == size_)
            grow();
        return boost::asio::buffer(bytes_.get() + filled_, size_ - filled_);
    }

    void came(std::size_t n) noexcept { filled_ += n; }

private:
    static constexpr std::size_t end_bytes = 2;
    static constexpr std::size_t least = 4096;

    void grow()
    {
        const auto begun = filled_ - begin_;
        const auto size = std::max(least, begun + std::min(begun, most_ + end_bytes));
        auto bytes = std::make_unique_for_overwrite<char[]>(size);
        if (begun != 0)
            std::memcpy(bytes.get(), bytes_.get() + begin_, begun);
        bytes_ = std::move(bytes);
        size_ = size;
        begin_ = 0;
        seen_ = filled_ = begun;
    }

    std::size_t most_;
    std::unique_ptr<char[]> bytes_;
    std::size_t size_ = 0;
    std::size_t begin_ = 0; // of the line
    std::size_t seen_ = 0;  // up to here there is no end of a line
    std::size_t filled_ = 0;
};

} // namespace loopsafe::http::detail

#endif
