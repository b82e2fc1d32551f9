// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_AWS_CANONICAL_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_AWS_CANONICAL_HPP

#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/http/detail/url_view.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

// The form of a request that AWS's services sign (Signature Version 4), without I/O.
//
// A client may write a byte of a URL in several ways, and services differ in what they make of the
// less usual ones. So what is sent is brought into the one form that all understand alike, and what
// is signed is made of that.
namespace loopsafe::http::detail {

constexpr bool is_unreserved(char c) noexcept
{
    return is(host_char, c) || c == '~';
}

inline void encode_byte(std::string& out, char c)
{
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    out.append({'%', digits[byte / 16], digits[byte % 16]});
}

// Every byte but the unreserved ones and `kept`; also the percent signs of what is encoded already.
inline std::string encode_all(std::string_view text, char kept)
{
    std::string out;
    for (const char c : text) {
        if (is_unreserved(c) || c == kept)
            out += c;
        else
            encode_byte(out, c);
    }
    return out;
}

// The same for text that may be encoded, in part: what it says stays.
inline std::string encode_once(std::string_view text)
{
    std::string out;
    for (; !text.empty(); text.remove_prefix(1)) {
        char c = text.front();
        unsigned byte = 0;
        if (const auto end = text.data() + std::min<std::size_t>(text.size(), 3);
            c == '%' && text.size() >= 3 &&
            std::from_chars(text.data() + 1, end, byte, 16).ptr == end) {
            c = static_cast<char>(byte);
            text.remove_prefix(2);
        }
        if (is_unreserved(c))
            out += c;
        else
            encode_byte(out, c);
    }
    return out;
}

// Calls `use` with what is between these, also where that is nothing.
template <class Use>
void for_each_between(std::string_view text, char mark, Use use)
{
    for (std::size_t end = 0; end != std::string_view::npos; text.remove_prefix(end + 1)) {
        end = text.find(mark);
        use(text.substr(0, end));
        if (end == std::string_view::npos)
            return;
    }
}

inline std::string with_single_slashes(std::string_view path)
{
    std::string out;
    for (const char c : path) {
        if (c != '/' || !out.ends_with('/'))
            out += c;
    }
    return out;
}

// Whether a service takes a path as the name of an object, whatever is in it.
inline bool is_object_store(std::string_view service) noexcept
{
    return service == "s3" || service == "s3-outposts" || service == "s3-object-lambda";
}

// A path of a URL as it is sent.
inline std::string aws_path(std::string_view text, bool object_store, bool keep_dot_segments)
{
    auto path = std::string(text.starts_with('/') ? "" : "/").append(text);
    if (!object_store || !keep_dot_segments)
        path = without_dot_segments(path);
    if (!object_store)
        path = with_single_slashes(path);
    std::string sent;
    for_each_between(std::string_view(path).substr(1), '/', [&sent](std::string_view segment) {
        sent += '/';
        const auto once = encode_once(segment);
        if ((once == "." || once == "..") && once != segment) // it would become a dot segment
            sent += once == "." ? "%2E" : "%2E%2E";
        else
            sent += once;
    });
    return sent;
}

// A query as it is sent, without its "?". A plus sign is one, as in every URL; no space.
inline std::string aws_query(std::string_view text)
{
    std::string sent;
    for_each_between(text, '&', [&sent](std::string_view each) {
        if (each.empty())
            return;
        if (!sent.empty())
            sent += '&';
        const auto equals = each.find('=');
        sent += encode_once(each.substr(0, equals));
        if (equals != std::string_view::npos)
            sent.append("=").append(encode_once(each.substr(equals + 1)));
    });
    return sent;
}

// Of a path that is sent. A service that decodes it before it looks signs what it has then.
inline std::string canonical_path(std::string_view sent, bool object_store)
{
    if (!object_store)
        return encode_all(sent, '/');
    std::string path;
    for_each_between(sent.substr(1), '/', [&path](std::string_view segment) {
        path.append("/").append(encode_once(segment));
    });
    return path;
}

inline std::string canonical_query(std::string_view sent)
{
    std::vector<std::pair<std::string, std::string>> all;
    for_each_between(sent, '&', [&all](std::string_view each) {
        const auto equals = std::min(each.find('='), each.size());
        if (!each.empty())
            all.emplace_back(encode_once(each.substr(0, equals)),
                             encode_once(each.substr(std::min(equals + 1, each.size()))));
    });
    std::sort(all.begin(), all.end());
    std::string text;
    for (const auto& [name, value] : all)
        text.append(text.empty() ? "" : "&").append(name).append("=").append(value);
    return text;
}

// The fields that are signed.
class canonical_fields {
public:
    void add(std::string_view name, std::string_view value)
    {
        std::string lowered(name);
        std::transform(lowered.begin(), lowered.end(), lowered.begin(), lower);
        all_.emplace_back(std::move(lowered), with_single_spaces(value));
    }

    // Those of one name are one, in their order.
    void sort()
    {
        std::stable_sort(all_.begin(), all_.end(),
                         [](const auto& a, const auto& b) { return a.first < b.first; });
        for (const auto& [name, value] : all_) {
            if (last_ == name) {
                lines_.back() = ',';
                lines_.append(value).append("\n");
                continue;
            }
            last_ = name;
            names_.append(names_.empty() ? "" : ";").append(name);
            lines_.append(name).append(":").append(value).append("\n");
        }
    }

    const std::string& names() const noexcept { return names_; }
    const std::string& lines() const noexcept { return lines_; }

private:
    static std::string with_single_spaces(std::string_view value)
    {
        std::string out;
        for (const char c : trimmed(value)) {
            const bool space = c == ' ' || c == '\t';
            if (!space)
                out += c;
            else if (!out.ends_with(' '))
                out += ' ';
        }
        return out;
    }

    std::vector<std::pair<std::string, std::string>> all_;
    std::string_view last_; // a part of `all_`
    std::string names_;
    std::string lines_;
};

inline std::string canonical_request(std::string_view method, std::string_view path,
                                     std::string_view query, const canonical_fields& fields,
                                     std::string_view body_hash)
{
    std::string text(method);
    for (const auto part : {path, query, std::string_view(fields.lines()),
                            std::string_view(fields.names()), body_hash})
        text.append("\n").append(part);
    return text;
}

} // namespace loopsafe::http::detail

#endif
