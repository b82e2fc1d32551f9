// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_JSON_TEXT_HPP
#define LOOPSAFE_LAMBDA_DETAIL_JSON_TEXT_HPP

#include <loopsafe/detail/utf8.hpp>

#include <cstddef>
#include <string>
#include <string_view>

// Strings of JSON (RFC 8259, 7), for what must not need a library for them.
namespace loopsafe::lambda::detail {

enum class charset { utf8, ascii };

inline void append_escape(std::string& out, char32_t unit)
{
    static constexpr char digits[] = "0123456789abcdef";
    out += "\\u";
    for (unsigned shift = 16; shift != 0;) {
        shift -= 4;
        out += digits[unit >> shift & 0xfU];
    }
}

inline void append_in_string(std::string& out, char32_t point, charset in)
{
    const auto byte = [&out](char32_t value) { out += static_cast<char>(value); };
    if (point == U'"' || point == U'\\') {
        out += '\\';
        byte(point);
    } else if (point == U'\n') {
        out += "\\n";
    } else if (point < 0x20 || point == 0x7f) {
        append_escape(out, point);
    } else if (point < 0x80) {
        byte(point);
    } else if (in == charset::ascii && point >= 0x10000) {
        append_escape(out, 0xd800U + ((point - 0x10000U) >> 10U));
        append_escape(out, 0xdc00U + ((point - 0x10000U) & 0x3ffU));
    } else if (in == charset::ascii) {
        append_escape(out, point);
    } else if (point < 0x800) {
        byte(0xc0U | point >> 6U);
        byte(0x80U | (point & 0x3fU));
    } else if (point < 0x10000) {
        byte(0xe0U | point >> 12U);
        byte(0x80U | (point >> 6U & 0x3fU));
        byte(0x80U | (point & 0x3fU));
    } else {
        byte(0xf0U | point >> 18U);
        byte(0x80U | (point >> 12U & 0x3fU));
        byte(0x80U | (point >> 6U & 0x3fU));
        byte(0x80U | (point & 0x3fU));
    }
}

// The text with quotes around it, which takes at most `most` bytes between them: what is too long
// ends with "...". Bytes that are no UTF-8 become replacement characters.
inline void append_json_string(std::string& out, std::string_view text, std::size_t most,
                               charset in)
{
    static constexpr std::string_view cut = "...";
    out += '"';
    const auto begin = out.size();
    auto end_if_cut = begin; // there is room for `cut` behind this
    while (!text.empty()) {
        append_in_string(out,
                         loopsafe::detail::take_code_point(text).value_or(
                             loopsafe::detail::replacement_character),
                         in);
        if (out.size() - begin > most) {
            out.resize(end_if_cut);
            if (most >= cut.size())
                out += cut;
            break;
        }
        if (out.size() - begin + cut.size() <= most)
            end_if_cut = out.size();
    }
    out += '"';
}

} // namespace loopsafe::lambda::detail

#endif
