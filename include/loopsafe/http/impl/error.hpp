// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_ERROR_HPP
#define LOOPSAFE_HTTP_IMPL_ERROR_HPP

#include <loopsafe/detail/error_category.hpp>

#include <cerrno>
#include <utility>

namespace loopsafe::http {
namespace detail {

struct errc_table {
    using value_type = errc;
    static constexpr auto id = 0x6c6f6f7068747401u;
    static constexpr auto name = "loopsafe.http";

    static std::string message(value_type value)
    {
        switch (value) {
        case errc::bad_url: return "not a valid request URL";
        case errc::bad_method: return "the method is not a token (RFC 9110, 9.1)";
        case errc::bad_field_name: return "the name of a field is not a token (RFC 9110, 5.1)";
        case errc::bad_field_value:
            return "the value of a field holds a control character (RFC 9110, 5.5)";
        case errc::framing_field: return "the client sets this field itself";
        case errc::broken_write:
            return "an earlier write of the request body failed or was cancelled, or the function "
                   "that writes it has ended";
        case errc::tls_answer:
            return "the server speaks TLS here: use an https URL, or another port of the proxy";
        case errc::bad_length: return "the streamed body does not have the announced length";
        case errc::timed_out: return "a deadline has passed";
        case errc::no_response: return "the server closed the connection without a response";
        case errc::incomplete: return "the connection was closed in the middle of a response";
        case errc::bad_head: return "a status line or a field is malformed (RFC 9112, 4 and 5)";
        case errc::bad_version:
            return "the answer is neither HTTP/1.1 nor HTTP/1.0 (RFC 9112, 2.3)";
        case errc::bad_status: return "a status is not three digits (RFC 9112, 4)";
        case errc::folded_field: return "a field on several lines (RFC 9112, 5.2)";
        case errc::transfer_coding_1_0: return "a Transfer-Encoding in HTTP/1.0 (RFC 9112, 6.1)";
        case errc::transfer_coding:
            return "a Transfer-Encoding other than chunked, which was not requested (RFC 9112, "
                   "6.1)";

        case errc::unasked_upgrade: return "an upgrade that was not requested (RFC 9110, 15.2.2)";
        case errc::bad_chunk: return "chunked framing is malformed (RFC 9112, 7.1)";
        case errc::bad_trailer: return "a trailer field is malformed (RFC 9112, 7.1.2)";
        case errc::head_too_large: return "the head is larger than limits::head_bytes";
        case errc::too_many_fields: return "there are more fields than limits::fields";
        case errc::too_many_interim: return "there are more 1xx responses than limits::interim";
        case errc::body_too_large:
            return "the body is larger than limits::body_bytes; with_response() reads it in parts";
        case errc::extensions_too_large:
            return "chunk extensions are larger than limits::chunk_extension_bytes";
        case errc::error_status: return "the server answered with an error status";
        case errc::too_many_redirects:
            return "there are more redirects than redirect_options::most";
        case errc::bad_location: return "a redirect to what is no http or https URL";
        case errc::redirect_refused: return "a redirect that redirect_options do not allow";
        case errc::no_credentials: return "there are no credentials to sign the request with";
        case errc::unsigned_body:
            return "a streamed body cannot be signed, so it must be sent over https";
        case errc::trailers_too_large: return "trailers are larger than limits::trailer_bytes";
        case errc::bad_credentials:
            return "an Authorization field cannot hold this user, password or token (RFC 7617, 2; "
                   "RFC 6750, 2.1)";
        case errc::line_too_long: return "a line is longer than its line_reader takes";
        case errc::no_event_stream:
            return "this is no stream of events: it is not 200, or not text/event-stream";
        case errc::event_too_large: return "an event is larger than its event_reader takes";
        case errc::bad_json: return "the body is not the JSON that was asked for";
        case errc::unwritable_json: return "JSON cannot hold this value (RFC 8259, 6 and 8.1)";
        case errc::bad_content:
            return "the body breaks the rules of its Content-Encoding, or does not end with it";
        case errc::content_cut:
            return "the body ends before the content that is encoded in it does";
        case errc::too_many_codings: return "there are more than two codings in Content-Encoding";
        case errc::window_too_large:
            return "the content needs more memory to decode than its coding allows (RFC 9659; "
                   "brotli, RFC 7932)";
        case errc::proxy_refused: return "the proxy does not connect to the server";
        case errc::proxy_sent_more: return "bytes follow the proxy's answer to CONNECT";
        case errc::bad_layer:
            return "http::layer::lend() must call inner.lend(x), lend to x.to, or throw, and lends "
                   "to a reader once";
        }
        return "unknown";
    }
};

inline condition group_of(errc e) noexcept
{
    switch (e) {
    case errc::bad_url:
    case errc::bad_method:
    case errc::bad_field_name:
    case errc::bad_field_value:
    case errc::framing_field:
    case errc::bad_length:
    case errc::broken_write:
    case errc::bad_credentials:
    case errc::bad_layer:
    case errc::unwritable_json:
    case errc::no_credentials:
    case errc::unsigned_body: return condition::bad_request;
    case errc::timed_out: return condition::timeout;
    case errc::no_response:
    case errc::incomplete: return condition::connection_lost;
    case errc::error_status:
    case errc::proxy_refused: return condition::status;
    case errc::too_many_redirects:
    case errc::head_too_large:
    case errc::too_many_fields:
    case errc::too_many_interim:
    case errc::body_too_large:
    case errc::extensions_too_large:
    case errc::trailers_too_large:
    case errc::line_too_long:
    case errc::event_too_large:
    case errc::too_many_codings:
    case errc::window_too_large: return condition::limit;
    default: return condition::protocol;
    }
}

struct condition_table {
    using value_type = condition;
    static constexpr auto id = 0x6c6f6f7068747402u;
    static constexpr auto name = "loopsafe.http.condition";

    static std::string message(value_type value)
    {
        switch (value) {
        case condition::bad_request: return "a request that cannot be sent";
        case condition::protocol: return "a response that breaks the protocol";
        case condition::limit: return "a response that exceeds a limit";
        case condition::connection_lost: return "a connection that the server closed";
        case condition::timeout: return "a deadline that has passed";
        case condition::status: return "an error status, of the server or of a proxy";
        }
        return "unknown";
    }

    static bool covers(const error_code& code, value_type value) noexcept
    {
        const auto wanted = value;
        if (code.category() == errc_category())
            return group_of(static_cast<errc>(code.value())) == wanted;
        if (wanted == condition::timeout)
            return code == loopsafe::condition::timeout;
        if (wanted == condition::connection_lost &&
            code.category() == boost::system::system_category())
            return code.value() == ECONNRESET || code.value() == EPIPE ||
                   code.value() == ECONNABORTED || code.value() == ENOTCONN;
        return false;
    }
};

inline constexpr loopsafe::detail::category_of<errc_table> errc_category_instance{};
inline constexpr loopsafe::detail::category_of<condition_table> condition_category_instance{};

} // namespace detail

inline std::string_view to_string(stage s) noexcept
{
    switch (s) {
    case stage::prepare: return "prepare";
    case stage::wait: return "wait";
    case stage::resolve: return "resolve";
    case stage::connect: return "connect";
    case stage::tls: return "tls";
    case stage::write: return "write";
    case stage::first_byte: return "first byte";
    case stage::head: return "head";
    case stage::body: return "body";
    case stage::tunnel: return "tunnel";
    }
    return "unknown";
}

inline const boost::system::error_category& errc_category() noexcept
{
    return detail::errc_category_instance;
}

inline const boost::system::error_category& condition_category() noexcept
{
    return detail::condition_category_instance;
}

inline error_code make_error_code(errc e) noexcept
{
    return {static_cast<int>(e), errc_category()};
}

inline boost::system::error_condition make_error_condition(condition c) noexcept
{
    return {static_cast<int>(c), condition_category()};
}

inline std::string error::describe(const evidence& seen, const std::string& about)
{
    std::string text = "http";
    if (!about.empty())
        text += ' ' + about;
    text += ", stage ";
    text += to_string(seen.stage);
    if (seen.bytes_sent + seen.bytes_received != 0)
        text += ", " + std::to_string(seen.bytes_sent) + " bytes sent, " +
                std::to_string(seen.bytes_received) + " received";
    if (seen.reused)
        text += ", reused connection";
    if (seen.replayed)
        text += ", second attempt";
    if (!seen.timeout.empty())
        text += ", timeouts." + std::string(seen.timeout) + " of " +
                std::to_string(seen.allowed.count()) + " ms";
    return text;
}

inline void error::add_attempts(int attempts, int hops)
{
    if (std::exchange(is_counted_, true))
        return;
    seen_.attempts = attempts;
    seen_.hops = hops;
    if (attempts == 1 && hops == 0)
        return;
    std::string line = "tried: " + std::to_string(attempts) + (attempts == 1 ? " time" : " times");
    if (hops != 0)
        line += ", after " + std::to_string(hops) + (hops == 1 ? " redirect" : " redirects");
    add_line(line);
}

} // namespace loopsafe::http

#endif
