// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_INCOMING_HPP
#define LOOPSAFE_HTTP_INCOMING_HPP

#include <loopsafe/http/response.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>

namespace loopsafe::http {

/// A response whose body is still arriving. It is lent to the function passed to `with_response()`,
/// until that function ends, and belongs to the context of the request. No call may be in progress
/// when the function ends.
class incoming_response {
public:
    incoming_response(const incoming_response&) = delete;
    incoming_response& operator=(const incoming_response&) = delete;

    /// Status and fields.
    virtual const response_head& head() const noexcept = 0;

    /// The announced length of the body.
    virtual std::optional<std::uint64_t> length() const noexcept = 0;

    /// Reads some bytes of the body; returns 0 at its end.
    ///
    /// Preconditions: the buffer is not empty; one call at a time.
    /// Context: that of the request, otherwise `wrong_context` (as `context_error`); any, with
    /// `thread_offload`.
    /// Per-operation cancellation: terminal; the connection is closed.
    /// Errors: `error`; after one, every further call throws the same. A bare `system_error`
    /// {`operation_aborted`} if the reader was cancelled between two waits.
    virtual boost::asio::awaitable<std::size_t>
    read_some(boost::asio::mutable_buffer to,
              std::source_location where = std::source_location::current()) = 0;

    /// The rest of the body, in one string. Errors: as `read_some()`; `body_too_large` beyond
    /// `most` bytes.
    boost::asio::awaitable<std::string>
    read_all(std::size_t most, std::source_location where = std::source_location::current());

    /// The fields after the body. Empty until `read_some()` has returned 0.
    virtual const fields& trailers() const noexcept = 0;

    /// Facts about the request and its connection.
    virtual const evidence& seen() const noexcept = 0;

protected:
    incoming_response() = default;
    ~incoming_response() = default;
};

inline boost::asio::awaitable<std::string> incoming_response::read_all(std::size_t most,
                                                                       std::source_location where)
{
    // What arrives is copied from here: a string would be filled with zeros before each read.
    constexpr std::size_t first_room = 16 * 1024;
    constexpr std::size_t most_room = 64 * 1024;
    constexpr std::uint64_t most_on_trust = 1024 * 1024;
    const auto announced = length();
    auto room = std::min(most, first_room - 1) + 1;
    if (announced && *announced < room)
        room = std::max<std::size_t>(static_cast<std::size_t>(*announced), 1);
    auto arrived = std::make_unique_for_overwrite<char[]>(room);
    std::string all;
    for (;;) {
        const auto got = co_await read_some(boost::asio::buffer(arrived.get(), room), where);
        if (got == 0)
            co_return all;
        if (got > most - all.size())
            throw error(errc::body_too_large, seen(), "read_all");
        if (all.empty() && announced) // a HEAD has a length, and no body
            all.reserve(static_cast<std::size_t>(
                std::min({*announced, most_on_trust, std::uint64_t{most}})));
        all.append(arrived.get(), got);
        if (got == room && room == first_room) { // so more is there
            room = most_room;
            arrived = std::make_unique_for_overwrite<char[]>(room);
        }
    }
}

} // namespace loopsafe::http

#endif
