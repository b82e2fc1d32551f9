// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_WIRE_CHUNKED_DECODER_HPP
#define LOOPSAFE_HTTP_DETAIL_WIRE_CHUNKED_DECODER_HPP

#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/http/error.hpp>
#include <loopsafe/http/fields.hpp>
#include <loopsafe/http/limits.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

// A part of a decoder's input: how much of it is used up, and the bytes of the body in it.
struct decoded {
    std::size_t used = 0;
    std::string_view body = {};
};

// The chunked coding, to the letter (RFC 9112, 7.1). Trailer fields are kept apart from the head's,
// since nothing after the body may change decisions made before it.
class chunked_decoder {
public:
    chunked_decoder(const limits& most, fields& trailers) noexcept
        : most_(&most), trailers_(&trailers)
    {
    }

    bool done() const noexcept { return at_ == place::done; }

    // Takes the framing at the front of `in`, and the first bytes of a body after it.
    decoded put(std::string_view in, error_code& ec)
    {
        std::size_t used = 0;
        while (used != in.size() && !done()) {
            if (at_ == place::data) {
                const auto size =
                    static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size() - used));
                left_ -= size;
                if (left_ == 0)
                    at_ = place::data_cr;
                return {used + size, in.substr(used, size)};
            }
            const auto failed = take(in[used++]);
            if (failed != errc()) {
                ec = failed;
                return {used};
            }
        }
        return {used};
    }

private:
    enum class place {
        first_digit,
        digits,
        before_semicolon,
        before_name,
        name,
        after_name,
        before_value,
        value,
        quoted,
        escaped,
        after_quoted,
        size_lf,
        data,
        data_cr,
        data_lf,
        trailer_start,
        trailer,
        trailer_lf,
        after_trailer,
        last_lf,
        done
    };

    errc take(char c)
    {
        switch (at_) {
        case place::first_digit:
            count_ = 0;
            at_ = place::digits;
            return digit(c) ? errc() : errc::bad_chunk;
        case place::digits:
            if (digit(c))
                return errc();
            return take_extension(c);
        case place::before_semicolon:
        case place::before_name:
        case place::name:
        case place::after_name:
        case place::before_value:
        case place::value:
        case place::quoted:
        case place::escaped:
        case place::after_quoted: return take_extension(c);
        case place::size_lf:
            return c == '\n' ? go(left_ == 0 ? place::trailer_start : place::data)
                             : errc::bad_chunk;
        case place::data_cr: return c == '\r' ? go(place::data_lf) : errc::bad_chunk;
        case place::data_lf: return c == '\n' ? go(place::first_digit) : errc::bad_chunk;
        case place::after_trailer:
            if (c == ' ' || c == '\t')
                line_ += "  "; // folded: its CR and LF are spaces (RFC 9112, 5.2)
            else if (const auto wrong = end_of_line(); wrong != errc())
                return wrong;
            [[fallthrough]];
        case place::trailer_start:
            if (c == '\r')
                return go(place::last_lf);
            at_ = place::trailer;
            [[fallthrough]];
        case place::trailer:
            if (++trailer_bytes_ > most_->trailer_bytes)
                return errc::trailers_too_large;
            if (c == '\r')
                return go(place::trailer_lf);
            if (c == '\n')
                return errc::bad_trailer; // at once: there may be no CR to wait for
            line_ += c;
            return errc();
        case place::trailer_lf: return c == '\n' ? go(place::after_trailer) : errc::bad_trailer;
        case place::last_lf: return c == '\n' ? go(place::done) : errc::bad_chunk;
        case place::data:
        case place::done: break;
        }
        return errc::bad_chunk;
    }

    // What stands between the size and the end of its line (RFC 9112, 7.1.1), white space included.
    errc take_extension(char c) noexcept
    {
        const bool may_end = at_ == place::digits || at_ == place::name || at_ == place::value ||
                             at_ == place::after_quoted;
        if (c == '\r' && may_end)
            return go(place::size_lf);
        if (++extensions_ > most_->chunk_extension_bytes)
            return errc::extensions_too_large;
        const bool space = c == ' ' || c == '\t';
        switch (at_) {
        case place::quoted:
            if (c == '"')
                return go(place::after_quoted);
            if (c == '\\')
                return go(place::escaped);
            return is(field_char, c) ? errc() : errc::bad_chunk;
        case place::escaped: return is(field_char, c) ? go(place::quoted) : errc::bad_chunk;
        case place::before_name:
            if (space)
                return errc();
            return is(token_char, c) ? go(place::name) : errc::bad_chunk;
        case place::before_value:
            if (space)
                return errc();
            if (c == '"')
                return go(place::quoted);
            return is(token_char, c) ? go(place::value) : errc::bad_chunk;
        default: break;
        }
        const bool in_name = at_ == place::name || at_ == place::after_name;
        if (c == ';')
            return go(place::before_name);
        if (c == '=' && in_name)
            return go(place::before_value);
        if (space)
            return go(in_name ? place::after_name : place::before_semicolon);
        const bool in_token = at_ == place::name || at_ == place::value;
        return in_token && is(token_char, c) ? errc() : errc::bad_chunk;
    }

    errc go(place next) noexcept
    {
        at_ = next;
        return errc();
    }

    // False also if the size overflows, or has too many leading zeros.
    bool digit(char c) noexcept
    {
        const char l = lower(c);
        const bool decimal = l >= '0' && l <= '9';
        if (!(decimal || (l >= 'a' && l <= 'f')) || ++count_ > 16)
            return false;
        left_ = (count_ == 1 ? 0 : left_ * 16) +
                static_cast<unsigned>(decimal ? l - '0' : l - 'a' + 10);
        return true;
    }

    errc end_of_line()
    {
        const std::string_view line = line_;
        const auto name = line.substr(0, line.find(':'));
        if (name.size() == line.size() || !is_token(name))
            return errc::bad_trailer;
        const auto value = trimmed(line.substr(name.size() + 1));
        if (!all_are(field_char, value))
            return errc::bad_trailer;
        if (trailers_->size() == most_->fields)
            return errc::trailers_too_large;
        fields_access::append(*trailers_, name, value);
        line_.clear();
        return errc();
    }

    const limits* most_;
    fields* trailers_;
    place at_ = place::first_digit;
    std::size_t count_ = 0;  // of digits
    std::uint64_t left_ = 0; // of the chunk
    std::size_t extensions_ = 0;
    std::size_t trailer_bytes_ = 0;
    std::string line_;
};

} // namespace loopsafe::http::detail

#endif
