// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_FRAMER_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_FRAMER_HPP

#include <loopsafe/http/detail/call.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

// The bytes of a request around the parts of its body, which are not copied: the counterpart of
// `receiver`. It writes nothing itself.
class framer {
public:
    void begin(const call& c)
    {
        out_.clear();
        write_head(out_, c.asked, *c.settings, *c.host_field, c.prefix, c.target, c.authorization,
                   c.foreign);
        left_ = c.asked.body.length();
    }

    // What goes before the next part of the body.
    std::string_view pending() const noexcept { return out_; }
    void consume(std::size_t n) { out_.erase(0, n); }
    void clear() noexcept { out_.clear(); }

    // For a body that is small enough to be copied.
    void append(std::string_view body) { out_.append(body); }

    // False if the part would exceed the length that was announced.
    bool begin_part(std::size_t size)
    {
        if (!left_) {
            write_number(out_, size, 16);
            out_.append("\r\n");
            return true;
        }
        if (size > *left_)
            return false;
        *left_ -= size;
        return true;
    }

    // What ends a part goes with the next one.
    void end_part()
    {
        if (!left_)
            out_.append("\r\n");
    }

    // False if the body is shorter than was announced.
    bool end(const fields& trailers)
    {
        if (left_)
            return *left_ == 0;
        check_trailers(trailers);
        out_.append("0\r\n");
        for (const auto& each : trailers)
            write_field(out_, each.name, each.value);
        out_.append("\r\n");
        return true;
    }

    // How a length that was announced was missed, if by these further bytes.
    std::string describe_miss(const call& c, std::size_t more) const
    {
        const auto announced = *c.asked.body.length();
        return ", " + std::to_string(announced) + " bytes announced, " +
               std::to_string(announced - *left_ + more) + " written";
    }

private:
    std::string out_;
    std::optional<std::uint64_t> left_; // of the body, if its length was announced
};

} // namespace loopsafe::http::detail

#endif
