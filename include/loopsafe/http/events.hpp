// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_EVENTS_HPP
#define LOOPSAFE_HTTP_EVENTS_HPP

#include <loopsafe/http/detail/event_parser.hpp>
#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/http/incoming.hpp>
#include <loopsafe/http/server_sent_event.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http {

/// Whether a response is a stream of server-sent events: 200, and `text/event-stream`.
inline bool is_event_stream(const response_head& head) noexcept
{
    const auto type = head.headers["Content-Type"];
    return head.status == 200 &&
           detail::equal_ignoring_case(detail::trimmed(type.substr(0, type.find(';'))),
                                       "text/event-stream");
}

/// Reads the body of a response as a stream of server-sent events, each as soon as it is there.
///
///     co_await client.with_response({"GET", url}, [](auto& incoming) -> asio::awaitable<void> {
///         http::event_reader events(incoming);
///         while (const auto event = co_await events.next())
///             ...
///     });
///
/// The stream is asked for once: it ends when the server ends it. An event that has no data, or is
/// not whole when the stream ends, is not given.
/// Source: WHATWG HTML, 9.2.6 ("Interpreting an event stream"); but bytes that are no UTF-8 are not
/// replaced.
class event_reader {
public:
    static constexpr std::size_t default_most = 1024 * 1024;

    /// `most`: the largest event, as bytes of its lines without their ends and comments. `last_id`:
    /// where the stream is resumed, the id that it was asked for, which its events have until it
    /// names another. The response must live as long as this.
    explicit event_reader(incoming_response& from, std::size_t most = default_most,
                          std::string last_id = {})
        : from_(from), parser_(most, std::move(last_id))
    {
    }

    event_reader(const event_reader&) = delete;
    event_reader& operator=(const event_reader&) = delete;

    /// The next event; nothing at the end of the stream.
    ///
    /// Preconditions: one call at a time.
    /// Context: that of the request, otherwise `wrong_context` (as `context_error`); any, with
    /// `thread_offload`. An event that has arrived already is given on any.
    /// Per-operation cancellation: terminal; the connection is closed.
    /// Errors: `error` {`no_event_stream`}, at the first call, where the response is none (see
    /// `is_event_stream()`); `error` {`event_too_large`}, once the events before it have been
    /// given; as `incoming_response::read_some()`. After one, every further call throws the same.
    /// Complexity: linear in the stream, however small the parts are in which it arrives.
    boost::asio::awaitable<std::optional<server_sent_event>>
    next(std::source_location where = std::source_location::current());

    /// The id to resume the stream with, in a field `Last-Event-ID`: that of the last event which
    /// was whole, also of one without data. Empty: the stream has named none.
    const std::string& last_id() const noexcept { return parser_.last_id(); }

    /// How long to wait before that, if the stream has said so; at most a day.
    std::optional<std::chrono::milliseconds> retry() const noexcept { return parser_.retry(); }

private:
    [[noreturn]] void refuse(errc why) const
    {
        throw error(why, from_.seen(),
                    "event_reader, status " + std::to_string(from_.head().status));
    }

    static constexpr std::size_t room = 16 * 1024;

    incoming_response& from_;
    detail::event_parser parser_;
    std::unique_ptr<char[]> bytes_;
    std::string_view unused_; // of these
    bool ended_ = false;
};

inline boost::asio::awaitable<std::optional<server_sent_event>>
event_reader::next(std::source_location where)
{
    if (bytes_ == nullptr) {
        if (!is_event_stream(from_.head()))
            refuse(errc::no_event_stream);
        bytes_ = std::make_unique_for_overwrite<char[]>(room);
    }
    for (;;) {
        unused_.remove_prefix(parser_.put(unused_));
        if (parser_.is_ready())
            co_return parser_.take();
        if (parser_.is_too_large())
            refuse(errc::event_too_large);
        if (ended_)
            co_return std::nullopt;
        const auto to = boost::asio::buffer(bytes_.get(), room);
        const auto n = co_await from_.read_some(to, where);
        ended_ = n == 0;
        unused_ = std::string_view(bytes_.get(), n);
    }
}

} // namespace loopsafe::http

#endif
