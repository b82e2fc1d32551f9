// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LINES_HPP
#define LOOPSAFE_HTTP_LINES_HPP

#include <loopsafe/http/detail/line_splitter.hpp>
#include <loopsafe/http/incoming.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>

namespace loopsafe::http {

/// Reads the body of a response line by line, as it arrives: logs, and JSON in lines.
///
///     co_await client.with_response({"GET", url}, [](auto& incoming) -> asio::awaitable<void> {
///         http::line_reader lines(incoming, 64 * 1024);
///         while (const auto line = co_await lines.next())
///             ...
///     });
///
/// A line ends with LF, or CR LF; a CR elsewhere belongs to it. The last one needs no end. It uses
/// memory for one line and what has arrived behind it, at most about three times the longest line.
class line_reader {
public:
    /// `most`: the longest line, in bytes, without its end. The response must live as long as this.
    line_reader(incoming_response& from, std::size_t most) : from_(from), lines_(most) {}

    line_reader(const line_reader&) = delete;
    line_reader& operator=(const line_reader&) = delete;

    /// The next line, without its end; nothing at the end of the body. It is valid until the next
    /// call.
    ///
    /// Preconditions: one call at a time.
    /// Context: that of the request, otherwise `wrong_context` (as `context_error`); any, with
    /// `thread_offload`. A line that has arrived already is given on any.
    /// Per-operation cancellation: terminal; the connection is closed.
    /// Errors: `error` {`line_too_long`}, once the lines before it have been given; as
    /// `incoming_response::read_some()`. After one, every further call throws the same.
    /// Complexity: linear in the body, however small the parts are in which it arrives.
    boost::asio::awaitable<std::optional<std::string_view>>
    next(std::source_location where = std::source_location::current());

private:
    std::string_view checked(std::string_view line);
    [[noreturn]] void refuse_long() const
    {
        throw error(errc::line_too_long, from_.seen(), "line_reader");
    }

    incoming_response& from_;
    detail::line_splitter lines_;
    bool failed_ = false;
    bool ended_ = false;
};

inline std::string_view line_reader::checked(std::string_view line)
{
    failed_ = lines_.is_too_long(line);
    if (failed_)
        refuse_long();
    return line;
}

inline boost::asio::awaitable<std::optional<std::string_view>>
line_reader::next(std::source_location where)
{
    for (;;) {
        if (failed_)
            refuse_long();
        if (ended_)
            co_return std::nullopt;
        if (const auto line = lines_.next())
            co_return checked(*line);
        failed_ = lines_.is_too_long();
        if (failed_)
            refuse_long();
        const auto n = co_await from_.read_some(lines_.room(), where);
        lines_.came(n);
        if (n != 0)
            continue;
        ended_ = true;
        if (!lines_.rest().empty())
            co_return checked(lines_.rest());
    }
}

} // namespace loopsafe::http

#endif
