// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_PART_WRITER_HPP
#define LOOPSAFE_HTTP_DETAIL_PART_WRITER_HPP

#include <loopsafe/http/request.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

// Lends the writer of a body to the function that writes one part of it, and holds it to the length
// that was announced for this part: two that are wrong could make a whole that is right.
class part_writer final : public body_writer {
public:
    part_writer(body_writer& whole, std::optional<std::uint64_t> length, const std::string& part)
        : whole_(whole), length_(length), part_(part)
    {
    }

    boost::asio::awaitable<bool> write(std::string_view bytes, std::source_location where) override
    {
        is_too_long_ = is_too_long_ || (length_ && bytes.size() > *length_ - written_);
        require_fitting();
        is_writing_ = true;
        is_wanted_ = co_await whole_.write(bytes, where);
        is_writing_ = false;
        written_ += bytes.size();
        co_return is_wanted_;
    }

    // After the function has ended.
    void require_whole() const
    {
        require_fitting();
        if (is_writing_ || !is_wanted_) // a write failed, or was in vain: the next one will say so
            return;
        if (length_ && written_ != *length_)
            refuse("ends after " + std::to_string(written_) + " bytes");
    }

private:
    void require_fitting() const
    {
        if (is_too_long_)
            refuse("goes on");
    }

    [[noreturn]] void refuse(const std::string& how) const
    {
        throw error(errc::bad_length, {.stage = stage::write},
                    "multipart " + part_ + ", announced with " + std::to_string(*length_) +
                        " bytes, " + how);
    }

    body_writer& whole_;
    const std::optional<std::uint64_t> length_;
    const std::string& part_;
    std::uint64_t written_ = 0;
    bool is_too_long_ = false;
    bool is_writing_ = false;
    bool is_wanted_ = true;
};

} // namespace loopsafe::http::detail

#endif
