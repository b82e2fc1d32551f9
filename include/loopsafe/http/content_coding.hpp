// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_CONTENT_CODING_HPP
#define LOOPSAFE_HTTP_CONTENT_CODING_HPP

#include <loopsafe/http/detail/coding/content_decoder.hpp>
#include <loopsafe/http/detail/text.hpp>

#include <memory>
#include <string_view>

namespace loopsafe::http {

/// A content coding (RFC 9110, 8.4.1) that `decoding()` can ask for and undo: `gzip`, `deflate`,
/// `brotli` or `zstd`, each from the header of its library in `<loopsafe/http/layers/>`.
///
/// Thread safety: safe; it is a constant.
class content_coding {
public:
    using maker = std::unique_ptr<detail::content_decoder> (*)();

    constexpr content_coding(std::string_view name, maker made_by, std::string_view alias = {})
        : name_(name), alias_(alias), make_(made_by)
    {
    }

    /// As it stands in Accept-Encoding.
    constexpr std::string_view name() const noexcept { return name_; }

    /// Whether a Content-Encoding of that name is this one.
    constexpr bool is_called(std::string_view name) const noexcept
    {
        return detail::equal_ignoring_case(name, name_) ||
               (!alias_.empty() && detail::equal_ignoring_case(name, alias_));
    }

    std::unique_ptr<detail::content_decoder> make() const { return make_(); }

private:
    std::string_view name_;
    std::string_view alias_;
    maker make_;
};

} // namespace loopsafe::http

#endif
