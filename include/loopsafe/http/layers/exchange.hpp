// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_EXCHANGE_HPP
#define LOOPSAFE_HTTP_LAYERS_EXCHANGE_HPP

#include <loopsafe/http/incoming.hpp>
#include <loopsafe/http/request.hpp>
#include <loopsafe/never.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <optional>
#include <source_location>
#include <utility>

namespace loopsafe::http {

/// Whom a response is lent to.
class recipient {
public:
    recipient(const recipient&) = delete;
    recipient& operator=(const recipient&) = delete;

    /// `from` is valid until this ends.
    virtual boost::asio::awaitable<void> take(incoming_response& from) = 0;

protected:
    recipient() = default;
    ~recipient() = default;
};

/// A request on its way through the layers. It stays at its address until the request has ended.
class exchange {
public:
    explicit exchange(request&& what) : asked(std::move(what)) {}
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;

    /// As the next layer gets it; its URL is absolute. It is used up when it is sent: a layer that
    /// may send it again keeps a copy. Layers further out never see what is changed here.
    request asked;

    /// Whom the response is lent to; null in `send()`.
    recipient* to = nullptr;

    /// When all of it must have ended, pauses included; on the steady clock.
    std::optional<std::chrono::nanoseconds> due;

    /// How long that was when it was asked for, for errors.
    std::chrono::milliseconds total = never;

    /// It goes to an origin that the caller has not named: nothing secret may be added. The client
    /// then asks no `authorization`, and sends of its own fields only User-Agent and Accept.
    bool foreign = false;

    int attempts = 1; ///< how often it was sent to this URL, this time included
    int hops = 0;     ///< redirects followed so far

    /// Where it was asked for.
    std::source_location where;
};

} // namespace loopsafe::http

#endif
