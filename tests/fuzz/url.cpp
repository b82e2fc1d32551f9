// SPDX-License-Identifier: BSL-1.0
// Whatever a caller takes for a URL: no crash, and what is accepted is the same when it is written
// down and read again, and can end no line.

#include "require.hpp"

#include <loopsafe/http/url.hpp>

#include <cstdint>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace loopsafe::http;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    url parsed;
    try {
        parsed = parse_url(text);
    } catch (const error& e) {
        require(e.code() == errc::bad_url && e.stage() == stage::prepare);
        return 0;
    }
    require(!parsed.origin.host.empty() && parsed.origin.port != 0);
    require(parsed.target.starts_with('/'));
    require(detail::all_are(detail::target_char, parsed.target));
    const auto authority = parsed.origin.authority();
    require(detail::all_are(detail::field_char, authority));
    require(authority.find_first_of("/?#@\\ ") == std::string::npos);
    const auto again = parse_url(parsed.to_string());
    require(again.origin == parsed.origin && again.target == parsed.target);
    const auto view = detail::split_url(text);
    require(view.wrong.empty());
    const detail::origin_view normal{parsed.origin.secure, parsed.origin.host, parsed.origin.port};
    if (!view.origin.bracketed)
        require(detail::hash_of(view.origin) == detail::hash_of(normal));
    return 0;
}
