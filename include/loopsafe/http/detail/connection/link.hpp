// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_LINK_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_LINK_HPP

#include <loopsafe/http/detail/call.hpp>
#include <loopsafe/http/detail/connection/lazy_deadline.hpp>
#include <loopsafe/http/detail/connection/standing.hpp>
#include <loopsafe/http/detail/connection/transport.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace loopsafe::http::detail {

// One connection to one server: whether it can take another exchange, how it moves between
// contexts, and how an exchange fails on it.
template <class Timer>
class link {
public:
    link(transport carrier, const asio::any_io_executor& executor)
        : transport_(std::move(carrier)), deadline_(executor, transport_.native_handle())
    {
    }

    // Between messages, as far as can be known, and reusable.
    bool is_clean() const noexcept { return clean_; }

    bool probe() noexcept { return clean_ && known_.is_welcome() && transport_.is_silent(); }

    void mute() noexcept { transport_.mute(); }

    // The connection between two contexts.
    struct parked {
        transport::parked carrier;
        standing<Timer> known;
    };

    // Preconditions: is_clean().
    std::optional<parked> detach() noexcept
    {
        auto carrier = transport_.detach();
        if (!carrier)
            return std::nullopt;
        return parked{*std::move(carrier), known_};
    }

    link(parked& from, const asio::any_io_executor& executor)
        : link(transport::attach(from.carrier, executor), executor)
    {
        known_ = from.known;
    }

protected:
    ~link() = default;

    // For one exchange.
    void take(call& c)
    {
        clean_ = false;
        auto& seen = c.answer.seen;
        seen.stage = stage::write;
        seen.reused = known_.is_used();
        seen.bytes_sent = seen.bytes_received = 0;
        c.failure = {};
        c.failed = c.refused_more = c.done = c.writing = false;
        encrypted_before_ = transport_.encrypted_bytes_sent();
        const bool was_idle = known_.is_used() || made_ < c.sought;
        c.stale = was_idle && !transport_.is_silent();
    }

    [[noreturn]] void fail(call& c, error_code ec, const std::string& detail = {})
    {
        if (deadline_.expired()) {
            ec = errc::timed_out;
            const bool total = deadline_.option().empty();
            c.answer.seen.timeout = total ? "total" : deadline_.option();
            c.answer.seen.allowed = total ? c.times->total : deadline_.limit();
        }
        c.failure = ec;
        c.failed = true;
        c.answer.seen.bytes_sent = sent(c);
        deadline_.clear();
        leave(c);
        throw failure_of(c, ec, detail);
    }

    // For TLS, the bytes that the operating system accepted count: a record in memory was not sent.
    std::uint64_t sent(const call& c) const noexcept
    {
        return transport_.is_secure() ? transport_.encrypted_bytes_sent() - encrypted_before_
                                      : c.answer.seen.bytes_sent;
    }

    // Once for each exchange.
    void leave(call& c) noexcept
    {
        if (std::exchange(c.begun, false) && c.is_watched())
            c.tell({.what = event::kind::returned,
                    .origin = *c.origin,
                    .kept = clean_,
                    .status = c.answer.status});
    }

    transport transport_;
    lazy_deadline<Timer> deadline_; // shuts the descriptor down, so it is destroyed first
    standing<Timer> known_;
    bool clean_ = true;

private:
    std::uint64_t encrypted_before_ = 0;
    const std::chrono::nanoseconds made_ = Timer::clock_type::now().time_since_epoch();
};

} // namespace loopsafe::http::detail

#endif
