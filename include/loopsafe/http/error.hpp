// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_ERROR_HPP
#define LOOPSAFE_HTTP_ERROR_HPP

#include <loopsafe/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace loopsafe::http {

/// How far a request had come when it failed.
enum class stage {
    prepare = 1, ///< the caller's URL, fields or body make no sense; nothing was sent
    wait,        ///< for one of the client's connections
    resolve,     ///< looking the host name up
    connect,     ///< reaching the server
    tls,         ///< agreeing on TLS
    write,       ///< sending the request
    first_byte,  ///< the request is sent; nothing has come back
    head,        ///< some of the status line and fields has come
    body         ///< the head has come
};

/// `prepare`, `wait`, ... Thread safety: safe.
std::string_view to_string(stage s) noexcept;

/// What a request can fail of, apart from what the operating system and TLS report.
enum class errc {
    // What the caller gives: refused before a byte is sent.
    bad_url = 1,     ///< not an absolute http or https URL, and no base URL to complete it
    bad_method,      ///< not a token
    bad_field_name,  ///< not a token
    bad_field_value, ///< CR, LF, NUL or another control character
    framing_field,   ///< a field that the client sets itself, such as Content-Length
    bad_length,      ///< a streamed body that is longer or shorter than it was said to be

    // Deadlines.
    timed_out, ///< the stage says which deadline

    // What the server sends: the connection is closed.
    no_response,          ///< it closed the connection without a word
    incomplete,           ///< it closed the connection in the middle of a response
    bad_head,             ///< a status line or field that is malformed
    bad_version,          ///< neither HTTP/1.1 nor HTTP/1.0
    bad_status,           ///< a status outside 100 to 599
    folded_field,         ///< a field on several lines, which no server may send
    transfer_coding,      ///< a Transfer-Encoding other than "chunked"
    transfer_coding_1_0,  ///< a Transfer-Encoding in HTTP/1.0
    unasked_upgrade,      ///< 101 Switching Protocols, which nobody asked for
    bad_chunk,            ///< malformed chunked framing
    bad_trailer,          ///< a malformed trailer field
    head_too_large,       ///< more than limits::head_bytes
    too_many_fields,      ///< more than limits::fields
    too_many_interim,     ///< more than limits::interim responses
    body_too_large,       ///< more than limits::body_bytes
    extensions_too_large, ///< more than limits::chunk_extension_bytes
    trailers_too_large    ///< more than limits::trailer_bytes
};

/// Groups of errors, for callers who act alike on several of them: `e.code() == condition::...`.
enum class condition {
    bad_request = 1, ///< the caller's mistake
    protocol,        ///< the server's mistake
    limit,           ///< more than `limits` allows
    connection_lost, ///< closed or reset by the server, in whatever stage
    timeout          ///< `timed_out`, and the time-outs of the pool
};

/// The category of `errc`. Thread safety: safe.
const boost::system::error_category& errc_category() noexcept;
/// The category of `condition`. Thread safety: safe.
const boost::system::error_category& condition_category() noexcept;

error_code make_error_code(errc e) noexcept;
boost::system::error_condition make_error_condition(condition c) noexcept;

/// What is known of a request that failed, or that has been answered.
struct evidence {
    http::stage stage = http::stage::prepare;
    std::uint64_t bytes_sent = 0;     ///< of this request, that the operating system took
    std::uint64_t bytes_received = 0; ///< of its responses
    bool reused = false;              ///< the connection had served another request before
    bool replayed = false;            ///< this was the second attempt, on a new connection
};

/// Thrown by every request that fails, except when the context is wrong (`context_error`) and when
/// the pool cannot give a connection (`pool_error`).
///
/// `code()` is an `errc`, or the socket's, the resolver's or OpenSSL's error;
/// `boost::asio::error::operation_aborted` after a cancellation.
class error : public boost::system::system_error {
public:
    error(error_code code, const evidence& seen, const std::string& about)
        : system_error(code, describe(seen, about)), seen_(seen)
    {
    }

    const evidence& seen() const noexcept { return seen_; }
    http::stage stage() const noexcept { return seen_.stage; }

private:
    static std::string describe(const evidence& seen, const std::string& about);

    evidence seen_;
};

} // namespace loopsafe::http

template <>
struct boost::system::is_error_code_enum<loopsafe::http::errc> : std::true_type {};
template <>
struct boost::system::is_error_condition_enum<loopsafe::http::condition> : std::true_type {};

#include <loopsafe/http/impl/error.hpp>

#endif
