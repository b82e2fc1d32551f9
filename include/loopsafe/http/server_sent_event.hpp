// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_SERVER_SENT_EVENT_HPP
#define LOOPSAFE_HTTP_SERVER_SENT_EVENT_HPP

#include <chrono>
#include <optional>
#include <string>
#include <utility>

namespace loopsafe::http {

/// An event of a stream of them; see `event_reader`. A class with constructors, since GCC 12
/// destroys aggregates twice if they are made in the same expression as a `co_await`.
struct server_sent_event {
    server_sent_event() = default;
    server_sent_event(std::string its_id, std::string its_type, std::string its_data,
                      std::optional<std::chrono::milliseconds> its_retry)
        : id(std::move(its_id)),
          type(std::move(its_type)),
          data(std::move(its_data)),
          retry(its_retry)
    {
    }

    std::string id;   ///< the latest that the stream has named, with this event or one before it
    std::string type; ///< "message" where the stream names none
    std::string data; ///< its lines, with LF between them; bytes as they came, mostly UTF-8
    /// How long to wait before the stream is asked for again, if it has said so by now; at most a
    /// day.
    std::optional<std::chrono::milliseconds> retry;
};

} // namespace loopsafe::http

#endif
