// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_MULTIPART_HPP
#define LOOPSAFE_HTTP_IMPL_MULTIPART_HPP

#include <loopsafe/http/detail/part_writer.hpp>
#include <loopsafe/http/detail/percent.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>

namespace loopsafe::http {
namespace detail {

// In quotes, so that no reader finds the end of it where there is none.
inline std::string quoted_name(std::string_view name)
{
    std::string quoted = "\"";
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f || c == '"' || c == '\\')
            append_percent(quoted, c);
        else
            quoted += c;
    }
    return quoted + '"';
}

// Not to be foreseen by whoever supplies a part, which might hold it.
inline std::string new_boundary()
{
    std::random_device random;
    std::string boundary = "loopsafe-";
    for (int word = 0; word != 4; ++word) {
        auto bits = static_cast<std::uint32_t>(random());
        for (int digit = 0; digit != 8; ++digit, bits >>= 4U)
            boundary += "0123456789abcdef"[bits & 0xfU];
    }
    return boundary;
}

// What is written in one go, and a content of which there should be no copy.
struct multipart_piece {
    std::string text;
    request_body content;
    std::string part; // whose content it is, for errors
};

inline std::vector<multipart_piece> pieces_of(std::vector<form_part> parts,
                                              std::string_view boundary)
{
    static constexpr std::size_t most_copied = 64 * 1024;
    std::vector<multipart_piece> pieces;
    std::string text;
    for (auto& each : parts) {
        text.append("--").append(boundary).append("\r\n").append(each.head).append("\r\n\r\n");
        auto& content = each.content;
        if (content.is_streamed() || content.bytes().size() > most_copied) {
            pieces.push_back({std::move(text), std::move(content), std::move(each.name)});
            text.clear();
        } else {
            text += content.bytes();
        }
        text += "\r\n";
    }
    text.append("--").append(boundary).append("--\r\n");
    pieces.push_back({std::move(text), {}, {}});
    return pieces;
}

inline boost::asio::awaitable<void>
write_pieces(std::shared_ptr<const std::vector<multipart_piece>> pieces, body_writer& to)
{
    for (const auto& each : *pieces) {
        if (!co_await to.write(each.text))
            co_return;
        const auto& content = each.content;
        if (content.is_streamed()) {
            part_writer part(to, content.length(), each.part);
            co_await content.make()(part);
            part.require_whole();
        } else if (content.present()) {
            if (!co_await to.write(content.bytes()))
                co_return;
        }
    }
}

inline request_body body_of(std::vector<multipart_piece> pieces)
{
    if (pieces.size() == 1)
        return std::move(pieces.front().text);
    std::optional<std::uint64_t> length = 0;
    bool again = true;
    for (const auto& [text, content, part] : pieces) {
        const auto own = content.length();
        if (length && own)
            *length += text.size() + *own;
        else
            length.reset();
        again = again && content.repeatable();
    }
    const auto write = [all = std::make_shared<const std::vector<multipart_piece>>(
                            std::move(pieces))](body_writer& to) { return write_pieces(all, to); };
    return request_body::streamed(write, length, again);
}

} // namespace detail

inline multipart& multipart::text(std::string_view name, std::string value) &
{
    auto head = "Content-Disposition: form-data; name=" + detail::quoted_name(name);
    parts_.push_back({std::move(head), std::move(value), detail::printable(name)});
    return *this;
}

inline multipart multipart::text(std::string_view name, std::string value) &&
{
    return std::move(text(name, std::move(value)));
}

inline multipart& multipart::file(std::string_view name, std::string_view filename,
                                  std::string_view type, request_body content) &
{
    if (type.empty() || !detail::all_are(detail::field_char, type))
        detail::refuse(errc::bad_field_value,
                       "multipart, the type of a file: " +
                           (type.empty() ? "it is empty" : detail::where_wrong(type)));
    auto head = "Content-Disposition: form-data; name=" + detail::quoted_name(name) +
                "; filename=" + detail::quoted_name(filename) + "\r\nContent-Type: ";
    head += type;
    parts_.push_back({std::move(head), std::move(content), detail::printable(name)});
    return *this;
}

inline multipart multipart::file(std::string_view name, std::string_view filename,
                                 std::string_view type, request_body content) &&
{
    return std::move(file(name, filename, type, std::move(content)));
}

inline request with_parts(request asked, multipart parts)
{
    const auto boundary = detail::new_boundary();
    asked.headers.set("Content-Type", "multipart/form-data; boundary=" + boundary);
    asked.body = detail::body_of(detail::pieces_of(std::move(parts.parts_), boundary));
    return asked;
}

} // namespace loopsafe::http

#endif
