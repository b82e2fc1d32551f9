// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_RESPONSE_WRITER_HPP
#define LOOPSAFE_LAMBDA_RESPONSE_WRITER_HPP

#include <loopsafe/http/fields.hpp>
#include <loopsafe/lambda/detail/response_stream.hpp>

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::lambda {

/// Writes the response of an invocation while it is being made. Lambda streams it to callers who
/// asked for that, as function URLs with the invoke mode RESPONSE_STREAM do.
///
/// A handle: copies write to the same response. It may be kept longer than that; then it says so.
/// Thread safety: none; it is used on the executor of the handler.
class response_writer {
public:
    /// The type of the response; "application/octet-stream" if nobody says anything. With an
    /// `http_response()`, before or after it, this is its field `content-type` if it has none.
    /// Preconditions: nothing was written.
    /// Errors: `bad_response` (as `system_error`) otherwise, or if it is no value of a field.
    void content_type(std::string_view type) { stream_->content_type(type); }

    /// For function URLs: status (200 to 599), fields and cookies of the HTTP response, taken as
    /// those of a `lambda::http_response` are. It is sent with the first bytes of the body, or at
    /// the end.
    /// Preconditions: as `content_type()`. Errors: `bad_response` (as `system_error`), which says
    /// what cannot be sent.
    void http_response(int status, const http::fields& headers = {},
                       const std::vector<std::string>& cookies = {})
    {
        stream_->http_response(status, headers, cookies);
    }

    /// Writes some of the response. When this ends, the operating system has all of it: there is
    /// nothing that flushes.
    ///
    /// Until the first write the response has not begun, and a handler that throws fails the
    /// invocation as any does; after it, the error goes behind what was written.
    ///
    /// Preconditions: the bytes live until it ends.
    /// Errors: `stream_ended` when the handler has ended, `stream_broken` after a write that failed
    /// or was cancelled, or beside one that has not ended, and when the service takes no more; each
    /// as `system_error`.
    /// Cancellation: terminal; what was written until then cannot be taken back, so nothing can
    /// follow.
    boost::asio::awaitable<void> write(std::string_view bytes)
    {
        return detail::response_stream::write(stream_, bytes);
    }

    /// Whether anything was written.
    bool has_begun() const noexcept { return stream_->has_begun(); }

private:
    friend struct detail::response_writer_access;
    explicit response_writer(std::shared_ptr<detail::response_stream> stream) noexcept
        : stream_(std::move(stream))
    {
    }

    std::shared_ptr<detail::response_stream> stream_;
};

namespace detail {

struct response_writer_access {
    static response_writer make(std::shared_ptr<response_stream> stream) noexcept
    {
        return response_writer(std::move(stream));
    }
};

} // namespace detail

} // namespace loopsafe::lambda

#endif
