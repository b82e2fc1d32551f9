// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_ERROR_HPP
#define LOOPSAFE_HTTP_ERROR_HPP

#include <loopsafe/error.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace loopsafe::http {

/// The stage that a request had reached when it failed.
enum class stage {
    prepare = 1, ///< the caller's URL, fields or body are invalid; nothing was sent
    wait,        ///< waiting for one of the client's connections
    resolve,     ///< looking up the host name
    connect,     ///< connecting to the server
    tls,         ///< the TLS handshake
    write,       ///< sending the request
    first_byte,  ///< the request is sent; no byte of the response has arrived
    head,        ///< part of the status line and fields has arrived
    body,        ///< the head has arrived

    // A later addition, so that the numbers above stay.
    tunnel ///< after `connect`: asking a proxy to connect to the server
};

/// `prepare`, `wait`, ... Thread safety: safe.
std::string_view to_string(stage s) noexcept;

/// Errors of a request, besides those of the operating system and TLS.
enum class errc {
    // The caller's input: rejected before a byte is sent.
    bad_url = 1,     ///< not an absolute http or https URL, and no base URL to complete it
    bad_method,      ///< not a token
    bad_field_name,  ///< not a token
    bad_field_value, ///< CR, LF, NUL or another control character
    framing_field,   ///< a field that the client sets itself, such as Content-Length, or
                     ///< Proxy-Authorization (see `client_options::proxies`)
    bad_length,      ///< a streamed body that is longer or shorter than announced

    // Deadlines.
    timed_out, ///< the stage shows which deadline

    // The server's response: the connection is closed.
    no_response,          ///< the connection was closed without a response
    incomplete,           ///< the connection was closed in the middle of a response
    bad_head,             ///< a malformed status line or field
    bad_version,          ///< neither HTTP/1.1 nor HTTP/1.0
    bad_status,           ///< a status that is not three digits
    folded_field,         ///< not reported any more: such a field is read as one line
    transfer_coding,      ///< a Transfer-Encoding other than "chunked"
    transfer_coding_1_0,  ///< not reported any more: the connection is closed afterwards
    unasked_upgrade,      ///< 101 Switching Protocols, which was not requested
    bad_chunk,            ///< malformed chunked framing
    bad_trailer,          ///< a malformed trailer field
    head_too_large,       ///< more than limits::head_bytes
    too_many_fields,      ///< more than limits::fields
    too_many_interim,     ///< more than limits::interim responses
    body_too_large,       ///< more than limits::body_bytes
    extensions_too_large, ///< more than limits::chunk_extension_bytes
    trailers_too_large,   ///< more than limits::trailer_bytes

    // Later additions, so that the numbers above stay.
    broken_write, ///< nothing can follow a write of the body that failed or was cancelled, nor
                  ///< the end of the function that writes it
    tls_answer,   ///< the server of an http URL answers in TLS

    // Of the layers.
    error_status,       ///< `check_status`: the server answered with a status of 400 or more
    too_many_redirects, ///< more than `redirect_options::most`
    bad_location,       ///< a redirect to what is no http or https URL
    redirect_refused,   ///< a redirect that `redirect_options` do not allow

    // Of readers and makers.
    bad_credentials, ///< a user, password or token that an Authorization field cannot hold
    line_too_long,   ///< more than a `line_reader` was told to take
    no_event_stream, ///< an `event_reader` reads what is not 200, or not text/event-stream
    event_too_large, ///< more than an `event_reader` was told to take
    bad_json,        ///< a body that is no JSON, or not of the type that it is to become
    unwritable_json, ///< a value that JSON cannot hold

    // Of decoding.
    bad_content,      ///< the body breaks the rules of its Content-Encoding, or goes on behind it
    content_cut,      ///< the body ends before the content that is encoded in it
    too_many_codings, ///< more than two in Content-Encoding
    window_too_large, ///< the content cannot be decoded within the memory that its coding allows

    // Of a proxy that is to connect to an https server.
    proxy_refused,   ///< it does not; the error's text has its status
    proxy_sent_more, ///< it does, and sends bytes that nobody has asked for

    // Of signing.
    no_credentials, ///< `sigv4`: no source gives credentials, or theirs cannot be used
    unsigned_body,  ///< `sigv4`: a streamed body over http could be changed on its way

    // Of layers that are not ours.
    bad_layer ///< one broke the rules of `http::layer`
};

/// Groups of errors that callers usually handle alike: `e.code() == condition::...`.
enum class condition {
    bad_request = 1, ///< the caller's mistake
    protocol,        ///< the server's mistake
    limit,           ///< more than `limits` allows
    connection_lost, ///< closed or reset by the server, at any stage
    timeout,         ///< `timed_out`, and the time-outs of the pool
    status           ///< `error_status`, `proxy_refused`
};

/// The category of `errc`. Thread safety: safe.
const boost::system::error_category& errc_category() noexcept;
/// The category of `condition`. Thread safety: safe.
const boost::system::error_category& condition_category() noexcept;

error_code make_error_code(errc e) noexcept;
boost::system::error_condition make_error_condition(condition c) noexcept;

/// What is known about a request that failed, or was answered.
struct evidence {
    http::stage stage = http::stage::prepare;
    std::uint64_t bytes_sent = 0;     ///< of this request, as accepted by the operating system
    std::uint64_t bytes_received = 0; ///< of its responses
    bool reused = false;              ///< the connection had served another request before
    bool replayed = false;            ///< this was the second attempt, on a new connection
    int attempts = 1;                 ///< how often layers have sent it; see `http::retries`
    int hops = 0;                     ///< redirects followed before it; see `http::redirects`
    std::string_view timeout = {};    ///< of a `timed_out`: the member of `timeouts` that fired
    std::chrono::milliseconds allowed = {}; ///< its value
};

/// Thrown by every request that fails, except when the context is wrong (`context_error`) and when
/// the pool cannot provide a connection (`pool_error`).
///
/// `code()` is an `errc`, or the error of the socket, the resolver or OpenSSL;
/// `boost::asio::error::operation_aborted` after a cancellation.
class error : public located_error {
public:
    error(error_code code, const evidence& seen, const std::string& about)
        : located_error(code, describe(seen, about), {}), seen_(seen)
    {
    }

    const evidence& seen() const noexcept { return seen_; }
    http::stage stage() const noexcept { return seen_.stage; }

    /// Called by each chain of layers that the error leaves. The first is that of its request; the
    /// others sent the request in whose midst that one was made.
    void add_attempts(int attempts, int hops);

private:
    static std::string describe(const evidence& seen, const std::string& about);

    evidence seen_;
    bool is_counted_ = false;
};

} // namespace loopsafe::http

template <>
struct boost::system::is_error_code_enum<loopsafe::http::errc> : std::true_type {};
template <>
struct boost::system::is_error_condition_enum<loopsafe::http::condition> : std::true_type {};

#include <loopsafe/http/impl/error.hpp>

#endif
