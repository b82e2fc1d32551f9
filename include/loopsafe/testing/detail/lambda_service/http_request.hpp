// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_HTTP_REQUEST_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_HTTP_REQUEST_HPP

#include <loopsafe/testing/lambda_reply.hpp>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/none.hpp>
#include <boost/optional/optional.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::testing::detail {

inline std::string_view plain(boost::beast::string_view text) noexcept
{
    return {text.data(), text.size()};
}

// The field of that name in any case, or nothing.
inline const std::string* find_field(const lambda_fields& fields, std::string_view name)
{
    for (const auto& [key, value] : fields) {
        if (boost::beast::iequals(key, name))
            return &value;
    }
    return nullptr;
}

inline std::string field_or_empty(const lambda_fields& fields, std::string_view name)
{
    const auto* const found = find_field(fields, name);
    return found != nullptr ? *found : std::string();
}

// A request as it comes in, with its chunks.
class http_request : public boost::beast::http::basic_parser<true> {
    using verb = boost::beast::http::verb;
    using field = boost::beast::http::field;
    using text = boost::beast::string_view;
    using code = boost::beast::error_code;

public:
    http_request()
    {
        eager(true);
        body_limit(boost::none);
        header_limit(4 * 1024 * 1024); // the cause for X-Ray is a header
    }

    std::string method;
    std::string target;
    lambda_fields fields;
    lambda_fields trailers;
    std::string body;
    std::vector<std::string> chunks;

    std::string field_text(std::string_view name) const { return field_or_empty(fields, name); }

private:
    // Not marked as overriding: Boost 1.81 has no on_trailer_field_impl.
    void on_request_impl(verb, text method_text, text target_text, int, code&)
    {
        method = plain(method_text);
        target = plain(target_text);
    }
    void on_response_impl(int, text, int, code&) {}
    void on_field_impl(field, text name, text value, code&)
    {
        // so are trailers, where the function below is never called
        (in_body_ ? trailers : fields).emplace_back(plain(name), plain(value));
    }
    void on_trailer_field_impl(field, text name, text value, code&)
    {
        trailers.emplace_back(plain(name), plain(value));
    }
    void on_header_impl(code&) { in_body_ = true; }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, code&) {}
    std::size_t on_body_impl(text part, code&)
    {
        body += plain(part);
        return part.size();
    }
    void on_chunk_header_impl(std::uint64_t, text, code&) {}
    std::size_t on_chunk_body_impl(std::uint64_t left, text part, code&)
    {
        body += plain(part);
        chunk_ += plain(part);
        if (left == part.size() && !chunk_.empty())
            chunks.push_back(std::exchange(chunk_, {}));
        return part.size();
    }
    void on_finish_impl(code&)
    {
        if (!chunked() && !body.empty())
            chunks.push_back(body);
    }

    std::string chunk_;
    bool in_body_ = false;
};

} // namespace loopsafe::testing::detail

#endif
