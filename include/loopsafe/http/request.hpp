// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_REQUEST_HPP
#define LOOPSAFE_HTTP_REQUEST_HPP

#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/http/fields.hpp>
#include <loopsafe/http/limits.hpp>

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http {

namespace detail {

// Its name stands in the compiler's error.
struct pass_a_coroutine_that_takes_a_body_writer_by_reference_and_can_be_copied {};

} // namespace detail

/// Writes a body while it is being produced. It is lent to the function that produces the body,
/// until that function ends, and belongs to the context of the request. No call may be in progress
/// when the function ends.
class body_writer {
public:
    body_writer(const body_writer&) = delete;
    body_writer& operator=(const body_writer&) = delete;

    /// Sends the next bytes at once. False: the server has gone, or has answered that it does not
    /// want them (with a status other than 2xx, or with a response that closes the connection);
    /// return then, and the response, or its error, shows why.
    ///
    /// Context: that of the request, otherwise `wrong_context`; any, with `thread_offload`.
    /// Per-operation cancellation: terminal. After a write that failed or was cancelled every other
    /// says `broken_write`, and so does the request, whose connection is closed.
    /// Errors: `error` {`timed_out`, `bad_length`, `broken_write`}; the socket's.
    virtual boost::asio::awaitable<bool>
    write(std::string_view bytes, std::source_location where = std::source_location::current()) = 0;

    /// Sent after the body, if its length was not announced. The request should list their names in
    /// a `Trailer` field (RFC 9110, 6.6.2).
    http::fields trailers;

protected:
    body_writer() = default;
    ~body_writer() = default;
};

/// The body of a request: nothing, bytes in memory, or a function that produces them.
class request_body {
public:
    using maker = std::function<boost::asio::awaitable<void>(body_writer&)>;

    request_body() = default;
    request_body(std::string all) : bytes_(std::move(all)), present_(true) {}
    request_body(std::string_view all) : request_body(std::string(all)) {}
    request_body(const char* all) : request_body(std::string(all)) {}

    /// A body that `make` writes, on the context of the request. If `length` is given, it is
    /// announced, and `make` must write exactly that much; otherwise the body is sent in chunks
    /// (RFC 9112, 7.1).
    ///
    /// `again`: `make` may be called a second time if the request is replayed.
    template <class F>
        requires std::constructible_from<maker, F>
    static request_body streamed(F&& make, std::optional<std::uint64_t> length = {},
                                 bool again = false)
    {
        static_assert(loopsafe::detail::safe_as_temporary<F> || std::same_as<F, maker>,
                      "GCC 12 would destroy the captures of this function twice beside a co_await: "
                      "give the lambda a name first and pass that, or capture by reference");
        request_body made;
        made.make_ = std::forward<F>(make);
        made.length_ = length;
        made.again_ = again;
        made.present_ = true;
        return made;
    }

    /// `make` returns an `awaitable<void>`.
    template <class F,
              class Cure =
                  detail::pass_a_coroutine_that_takes_a_body_writer_by_reference_and_can_be_copied>
        requires(!std::constructible_from<maker, F>)
    static request_body streamed(F&&, std::optional<std::uint64_t> = {}, bool = false) = delete;

    bool present() const noexcept { return present_; }
    bool is_streamed() const noexcept { return make_ != nullptr; }

    /// Whether it can be sent twice.
    bool repeatable() const noexcept { return !is_streamed() || again_; }

    /// None if it is sent in chunks.
    std::optional<std::uint64_t> length() const noexcept
    {
        return is_streamed() ? length_ : std::optional<std::uint64_t>(bytes().size());
    }

    const std::string& bytes() const noexcept { return shared_ != nullptr ? *shared_ : bytes_; }
    const maker& make() const noexcept { return make_; }

    /// From now on copies of this body share its bytes.
    void share()
    {
        if (shared_ == nullptr && !bytes_.empty())
            shared_ = std::make_shared<const std::string>(std::move(bytes_));
    }

private:
    std::string bytes_;
    std::shared_ptr<const std::string> shared_;
    maker make_;
    std::optional<std::uint64_t> length_;
    bool again_ = false;
    bool present_ = false;
};

/// Whether a request may be sent a second time, on a new connection, after a kept one broke before
/// the first byte of a response. At most once, and never after a time-out or a cancellation.
///
/// A request of which nothing was sent is sent again whatever this is, except with `never`. A kept
/// connection that has ended, or has something to say, before the request is sent is replaced by
/// another one; that is not a second time.
enum class replay {
    by_method, ///< idempotent methods (RFC 9110, 9.2.2), and requests with an Idempotency-Key
    safe,      ///< this request does no harm if it is carried out twice
    never
};

/// A request. A class with a constructor, since GCC 12 destroys aggregates twice if they are made
/// in the same expression as a `co_await`.
class request {
public:
    request() = default;
    request(std::string how, std::string where, request_body what = {})
        : method(std::move(how)), url(std::move(where)), body(std::move(what))
    {
    }

    std::string method = "GET";
    std::string url; ///< absolute, or appended to the client's base URL
    fields headers;  ///< replace the client's own of the same name
    request_body body;
    http::replay replay = http::replay::by_method;
    std::optional<http::timeouts> timeouts; ///< replaces the client's, except for resolving,
                                            ///< connecting and TLS
};

} // namespace loopsafe::http

#endif
