// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_WIRE_HEAD_PARSER_HPP
#define LOOPSAFE_HTTP_DETAIL_WIRE_HEAD_PARSER_HPP

#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/http/limits.hpp>
#include <loopsafe/http/response.hpp>

#include <boost/beast/http/basic_parser.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <string_view>

namespace loopsafe::http::detail {

namespace beast_http = boost::beast::http;

// Reads one status line and its fields with Beast's parser, and rejects what that parser accepts
// wrongly. It never sees a body: its length is decided here, and its end is found elsewhere.
class head_parser final : public beast_http::basic_parser<false> {
public:
    head_parser(const limits& most, response_head& into) : most_(most), into_(into)
    {
        into_.headers.clear();
        skip(true);
        header_limit(static_cast<std::uint32_t>(
            std::min<std::size_t>(most.head_bytes, std::numeric_limits<std::uint32_t>::max())));
    }

    // Consumes the whole head from the front of `in`, or nothing of the last part and needs more.
    // Returns how much was used.
    std::size_t put_head(std::string_view in, error_code& ec)
    {
        ec = {};
        std::size_t used = 0;
        while (!is_header_done()) {
            auto& text = fields_access::text(into_.headers);
            given_ = in.substr(used);
            given_at_ = text.size();
            const auto step = put(boost::asio::buffer(given_), ec);
            text.append(given_.data(), step);
            used += step;
            if (ec)
                break;
        }
        if (ec && ec.category() != errc_category())
            ec = ec == beast_http::error::need_more ? error_code() : in_our_words(ec);
        return used;
    }

    bool is_chunked() const noexcept { return coded_; }
    bool has_length() const { return !coded_ && content_length().has_value(); }
    std::uint64_t length() const { return content_length().value_or(0); }
    bool has_keep_alive_field() const noexcept { return has_keep_alive_field_; }

private:
    // Beast unfolds such fields, as user agents once had to; other parsers read a field of their
    // own. In that case Beast passes a copy, or has skipped a line end before the value.
    bool is_folded(std::string_view name, std::string_view value) const noexcept
    {
        const std::less<> before;
        const char* const end_of_name = name.data() + name.size();
        if (value.data() == end_of_name + 2 && end_of_name[1] == ' ')
            return false; // "name: value", as nearly always
        if (before(value.data(), end_of_name) ||
            before(given_.data() + given_.size(), value.data()))
            return true;
        return std::find(end_of_name, value.data(), '\n') != value.data();
    }

    static error_code in_our_words(const error_code& ec) noexcept
    {
        if (ec == beast_http::error::header_limit)
            return errc::head_too_large;
        if (ec == beast_http::error::bad_version)
            return errc::bad_version;
        if (ec == beast_http::error::bad_status)
            return errc::bad_status;
        return errc::bad_head;
    }

    void on_response_impl(int code, boost::beast::string_view reason, int version,
                          error_code& ec) override
    {
        if (code < 100 || code > 599) {
            ec = errc::bad_status;
            return;
        }
        into_.status = code;
        into_.reason.assign(reason.data(), reason.size());
        into_.http_1_0 = version == 10;
    }

    void on_field_impl(beast_http::field name, boost::beast::string_view name_text,
                       boost::beast::string_view value, error_code& ec) override
    {
        const std::string_view text(value.data(), value.size());
        const std::string_view name_as_sent(name_text.data(), name_text.size());
        if (is_folded(name_as_sent, text)) {
            ec = errc::folded_field;
            return;
        }
        if (into_.headers.size() == most_.fields) {
            ec = errc::too_many_fields;
            return;
        }
        if (name == beast_http::field::transfer_encoding) {
            if (into_.http_1_0)
                ec = errc::transfer_coding_1_0;
            else if (coded_ || !equal_ignoring_case(text, "chunked"))
                ec = errc::transfer_coding;
            if (ec)
                return;
            coded_ = true;
        } else if (name == beast_http::field::keep_alive) {
            has_keep_alive_field_ = true;
        }
        const auto at = [this](std::string_view part) {
            return given_at_ + static_cast<std::size_t>(part.data() - given_.data());
        };
        fields_access::add_part(into_.headers, at(name_as_sent), name_as_sent.size(), at(text),
                                text.size());
    }

    void on_header_impl(error_code&) override {}
    void on_finish_impl(error_code&) override {}

    // Not called for a parser that skips bodies; the last overload came with Boost 1.90.
    void on_request_impl(beast_http::verb, boost::beast::string_view, boost::beast::string_view,
                         int, error_code&) override
    {
    }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(boost::beast::string_view, error_code&) override { return 0; }
    void on_chunk_header_impl(std::uint64_t, boost::beast::string_view, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, boost::beast::string_view, error_code&) override
    {
        return 0;
    }
#if BOOST_VERSION >= 109000
    void on_trailer_field_impl(beast_http::field, boost::beast::string_view,
                               boost::beast::string_view, error_code&) override
    {
    }
#endif

    const limits& most_;
    response_head& into_;
    std::string_view given_;   // the parser's input, at present
    std::size_t given_at_ = 0; // in the text of the fields
    bool coded_ = false;
    bool has_keep_alive_field_ = false;
};

} // namespace loopsafe::http::detail

#endif
