// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_WIRE_HEAD_PARSER_HPP
#define LOOPSAFE_HTTP_DETAIL_WIRE_HEAD_PARSER_HPP

#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/http/error.hpp>
#include <loopsafe/http/limits.hpp>
#include <loopsafe/http/response.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http::detail {

// What the fields say of the length of a body: it counts for nothing in the answer to CONNECT (RFC
// 9110, 9.3.6).
enum class body_fields : bool { understood, ignored };

// Reads one status line and its fields (RFC 9112, 4 and 5). It goes by lines, so that the same
// bytes are taken or refused alike, however they are cut. Where the RFC lets a client be lenient
// with old servers, it is: a status line may end after the code, and a field may be folded.
class head_parser {
public:
    head_parser(const limits& most, response_head& into, body_fields how = body_fields::understood)
        : most_(most), into_(into), body_fields_(how)
    {
        into_.headers.clear();
    }

    bool is_done() const noexcept { return done_; }

    // Consumes whole lines from the front of `in`; a field only with the first byte after it, which
    // may fold it. Returns how much was used.
    std::size_t put_head(std::string_view in, error_code& ec)
    {
        ec = {};
        std::size_t used = 0;
        while (!done_) {
            const auto rest = in.substr(used);
            rest_ = rest.size();
            const auto size = size_of_line(rest, ec);
            if (ec || size == 0)
                break;
            if (const auto wrong = take(rest.substr(0, size - 2)); wrong != errc()) {
                ec = wrong;
                break;
            }
            used += size;
            before_ += size;
        }
        return used;
    }

    bool is_chunked() const noexcept { return chunked_; }
    bool has_length() const noexcept { return length_.has_value(); }
    std::uint64_t length() const noexcept { return length_.value_or(0); }
    bool has_keep_alive_field() const noexcept { return has_keep_alive_field_; }

    // RFC 9112, 9.3: close has priority. A server that is not sure of its version's framing, or
    // whose Connection cannot be read, gets no second request.
    bool keep_alive() const noexcept
    {
        return !closes_ && (!into_.http_1_0 || (keeps_ && !chunked_));
    }

private:
    static constexpr std::string_view version = "HTTP/1.";
    static constexpr std::size_t most_at_once = 4096;

    // With its CR and LF; 0 where more is needed.
    std::size_t size_of_line(std::string_view rest, error_code& ec)
    {
        if (!begun_ && !is_version(rest.substr(0, version.size() + 1))) {
            // At once: who speaks something else may never end a line.
            ec = is_tls_record(rest[0]) ? errc::tls_answer : errc::bad_version;
            return 0;
        }
        for (;;) {
            const auto end = rest.find('\n', looked_at_);
            const bool whole = end != std::string_view::npos;
            const auto size = whole ? end + 1 : rest.size();
            if (before_ + size > most_.head_bytes)
                ec = errc::head_too_large;
            else if (whole && (end == 0 || rest[end - 1] != '\r'))
                ec = errc::bad_head;
            looked_at_ = whole ? end : size;
            if (ec || !whole)
                return 0;
            if (begun_ && size != 2) {
                if (rest.size() == size)
                    return 0;
                if (rest[size] == ' ' || rest[size] == '\t') {
                    folded_ = true;
                    looked_at_ = size;
                    continue;
                }
            }
            looked_at_ = 0;
            return size;
        }
    }

    static bool is_version(std::string_view part) noexcept
    {
        if (part.size() <= version.size())
            return version.starts_with(part);
        return part.starts_with(version) && (part.back() == '0' || part.back() == '1');
    }

    // An alert or a handshake (RFC 8446, 5.1).
    static bool is_tls_record(char first) noexcept { return first == '\x15' || first == '\x16'; }

    errc take(std::string_view line)
    {
        if (!begun_) {
            begun_ = true;
            return take_status_line(line);
        }
        if (line.empty()) {
            done_ = true;
            return errc();
        }
        return take_field(line);
    }

    errc take_status_line(std::string_view line)
    {
        line.remove_prefix(std::min(line.size(), version.size()));
        if (line.size() < 2 || line[1] != ' ')
            return errc::bad_version;
        into_.http_1_0 = line[0] == '0';
        line.remove_prefix(2);
        const auto code = line.substr(0, 3);
        if (code.size() != 3 || !all_are(digit_char, code) || (line.size() > 3 && line[3] != ' '))
            return errc::bad_status;
        into_.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
        line.remove_prefix(std::min<std::size_t>(line.size(), 4));
        if (line.find_first_of(std::string_view("\r\0", 2)) != line.npos)
            return errc::bad_head;
        into_.reason.assign(line); // for people only, so what a terminal would obey is blank
        std::replace_if(
            into_.reason.begin(), into_.reason.end(), [](char c) { return !is(field_char, c); },
            ' ');
        return errc();
    }

    errc take_field(std::string_view line)
    {
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
            return errc::bad_head;
        if (into_.headers.size() == most_.fields)
            return errc::too_many_fields;
        auto& text = fields_access::text(into_.headers);
        const auto at = text.size();
        if (at == 0)
            text.reserve(std::min(most_at_once, rest_));
        text.append(line);
        if (std::exchange(folded_, false))
            unfold(text, at);
        const std::string_view all = text;
        const auto name = all.substr(at, colon);
        const auto value = trimmed(all.substr(at + colon + 1));
        if (!all_are(field_char, value))
            return errc::bad_head;
        fields_access::add_part(into_.headers, at, name.size(),
                                static_cast<std::size_t>(value.data() - all.data()), value.size());
        return understand(name, value);
    }

    // RFC 9112, 5.2
    static void unfold(std::string& text, std::size_t from)
    {
        for (auto lf = text.find('\n', from); lf != std::string::npos; lf = text.find('\n', lf))
            text[lf - 1] = text[lf] = ' ';
    }

    errc understand(std::string_view name, std::string_view value)
    {
        switch (name.size()) { // most names are decided by it
        case 10:
            if (equal_ignoring_case(name, "connection"))
                understand_connection(value);
            else if (equal_ignoring_case(name, "keep-alive"))
                has_keep_alive_field_ = true;
            break;
        case 14:
            if (equal_ignoring_case(name, "content-length"))
                return understand_length(value);
            break;
        case 16:
            if (equal_ignoring_case(name, "proxy-connection"))
                understand_connection(value);
            break;
        case 17:
            if (equal_ignoring_case(name, "transfer-encoding"))
                return understand_coding(value);
            break;
        default: break;
        }
        return errc();
    }

    void understand_connection(std::string_view value)
    {
        for_each_member(value, [this](std::string_view member) {
            if (equal_ignoring_case(member, "keep-alive"))
                keeps_ = true;
            else if (equal_ignoring_case(member, "close") || !is_token(member))
                closes_ = true;
        });
    }

    // The same number may be repeated (RFC 9110, 8.6).
    errc understand_length(std::string_view value)
    {
        if (chunked_)
            return wrong_framing(errc::bad_head);
        for (;;) {
            const auto comma = std::min(value.find(','), value.size());
            const auto member = trimmed(value.substr(0, comma));
            std::uint64_t number = 0;
            const auto [end, failed] =
                std::from_chars(member.data(), member.data() + member.size(), number);
            if (failed != std::errc() || end != member.data() + member.size() ||
                length_.value_or(number) != number)
                return wrong_framing(errc::bad_head);
            length_ = number;
            if (comma == value.size())
                return errc();
            value.remove_prefix(comma + 1);
        }
    }

    errc understand_coding(std::string_view value)
    {
        bool other = false;
        bool coded = false;
        for_each_member(value, [&](std::string_view member) {
            other = other || coded || !equal_ignoring_case(member, "chunked");
            coded = true;
        });
        if (other || coded == chunked_)
            return wrong_framing(errc::transfer_coding);
        if (!coded) // another line, with nothing in it
            return errc();
        if (length_)
            return wrong_framing(errc::bad_head);
        chunked_ = true;
        return errc();
    }

    errc wrong_framing(errc what) const noexcept
    {
        return body_fields_ == body_fields::ignored ? errc() : what;
    }

    const limits& most_;
    response_head& into_;
    std::size_t before_ = 0;    // bytes of earlier lines
    std::size_t looked_at_ = 0; // of the line in hand
    std::size_t rest_ = 0;      // what there is from this line on
    std::optional<std::uint64_t> length_;
    const body_fields body_fields_;
    bool begun_ = false;
    bool done_ = false;
    bool folded_ = false;
    bool chunked_ = false;
    bool closes_ = false;
    bool keeps_ = false;
    bool has_keep_alive_field_ = false;
};

} // namespace loopsafe::http::detail

#endif
