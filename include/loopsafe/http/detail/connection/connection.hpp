// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_CONNECTION_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_CONNECTION_HPP

#include <loopsafe/http/detail/call.hpp>
#include <loopsafe/http/detail/connection/answer_forecast.hpp>
#include <loopsafe/http/detail/connection/framer.hpp>
#include <loopsafe/http/detail/connection/link.hpp>
#include <loopsafe/http/detail/connection/receiver.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace loopsafe::http::detail {

inline bool is_cancelled(const asio::cancellation_state& state) noexcept
{
    return state.cancelled() != asio::cancellation_type::none;
}

// A connection, with the exchange in progress on it.
template <class Timer>
class connection : public link<Timer> {
    using base = link<Timer>;
    using base::clean_;
    using base::deadline_;
    using base::fail;
    using base::known_;
    using base::leave;
    using base::sent;
    using base::transport_;

public:
    using base::base;

    // Sends the request, with a body that is in memory, and reads the response: all of it, or only
    // its head if the caller reads the body.
    asio::awaitable<void> exchange(call& c)
    {
        send_at_once(c);
        return finish(c);
    }

    // The same in parts, so that a request that needs no wait takes no frame: send_at_once(); if
    // expects_response_soon(), turn() and receive_at_once(); finish(), unless that was all.
    void send_at_once(call& c)
    {
        begin(c);
        if (!c.large_body().empty())
            return;
        framer_.append(c.asked.body.bytes());
        error_code ec;
        std::size_t n = 0;
        // The read gives others their turn, so the write need not.
        if (!transport_.is_secure() &&
            transport_.try_write_some({asio::buffer(framer_.pending()), asio::const_buffer()}, ec,
                                      n) &&
            wrote(c, ec, n))
            framer_.consume(n);
    }

    bool expects_response_soon() noexcept
    {
        return framer_.pending().empty() && forecast_.is_soon();
    }

    // Completes after everything that is queued by now, without a system call on a context of one
    // thread: it reads nothing. It cannot be cancelled.
    auto turn() { return transport_.async_read_some({}, asio::as_tuple(asio::deferred)); }

    // True: that was the response, or its head if the caller reads the body.
    bool receive_at_once(call& c, error_code ec)
    {
        std::size_t n = 0;
        c.expect_response();
        const bool is_here =
            ec || (!transport_.is_secure() && transport_.try_read_some(received_.room(), ec, n));
        forecast_.came(is_here);
        if (!is_here)
            return false;
        came(c, ec, n);
        if (!advance(c))
            return false;
        pause(c);
        return true;
    }

    asio::awaitable<void> finish(call& c) { return transact(c, c.large_body(), true); }

    // The same in steps, for a body that is being produced: begin(), write_part() and end_body(),
    // then receive().
    void begin(call& c)
    {
        this->take(c);
        if (c.stale) // what came late would be taken for this answer
            fail(c, errc::no_response);
        c.begun = true;
        received_.begin(c);
        framer_.begin(c);
        if (c.is_watched())
            c.tell({.what = event::kind::acquired,
                    .origin = *c.origin,
                    .reused = c.answer.seen.reused,
                    .idle_for = known_.idle_for()});
    }

    // False if the server accepts no more.
    asio::awaitable<bool> write_part(call& c, std::string_view part)
    {
        if (c.refused_more || part.empty())
            co_return !c.refused_more;
        if (!framer_.begin_part(part.size()))
            fail(c, errc::bad_length, framer_.describe_miss(c, part.size()));
        if (c.answer.seen.bytes_sent != 0)
            listen(c);
        if (!c.refused_more)
            co_await transact(c, part, false);
        framer_.end_part();
        co_return !c.refused_more;
    }

    asio::awaitable<void> end_body(call& c, const fields& trailers)
    {
        if (c.refused_more)
            co_return;
        if (!framer_.end(trailers))
            fail(c, errc::bad_length, framer_.describe_miss(c, 0));
        co_await transact(c, {}, false);
    }

    // Reads until the response is complete, or its head if the caller reads the body.
    asio::awaitable<void> receive(call& c) { return transact(c, {}, true); }

    // The next bytes of the body; 0 at its end, for good.
    asio::awaitable<std::size_t> read_some(call& c, asio::mutable_buffer to)
    {
        if (c.failed)
            fail(c, c.failure);
        std::size_t got = 0;
        while (got == 0 && !received_.done() && to.size() != 0) {
            if (!received_.empty()) {
                error_code ec;
                got = received_.copy_out(to, ec);
                if (ec)
                    fail(c, ec);
                continue;
            }
            const auto room = received_.room(to);
            deadline_.set("gap", c.times->gap, c.due);
            const auto [ec, n] =
                co_await transport_.async_read_some(room, asio::as_tuple(asio::deferred));
            got = came(c, ec, n);
        }
        pause(c);
        co_return got;
    }

    // Drops the rest of a body that has already arrived.
    void drain(call& c)
    {
        if (!c.failed)
            received_.drain();
        if (received_.done())
            end(c);
        leave(c);
    }

private:
    // Writes what is pending, and then `body`; reads the response, if wanted. All in one frame,
    // since Asio keeps few of them for the next call.
    asio::awaitable<void> transact(call& c, std::string_view body, bool then_read)
    {
        std::string_view head = framer_.pending();
        std::optional<std::uint64_t> taken;
        while (!c.refused_more && !(head.empty() && body.empty())) {
            if (taken != sent(c)) { // what the server says meanwhile does not move the deadline
                taken = sent(c);
                deadline_.set("write", c.times->write, c.due);
            }
            const transport::outgoing both{asio::buffer(head), asio::buffer(body)};
            error_code ec;
            std::size_t n = 0;
            const bool waits = !transport_.try_write_some(both, ec, n);
            if (waits && !received_.is_enough(c)) {
                const auto [failed] =
                    transport_.must_read()
                        ? co_await transport_.async_wait_readable(asio::as_tuple(asio::deferred))
                        : co_await transport_.async_wait_either(asio::as_tuple(asio::deferred));
                if (failed) // no answer is worth waiting for
                    fail(c, failed);
            } else if (waits) {
                std::tie(ec, n) =
                    co_await transport_.async_write_some(both, asio::as_tuple(asio::deferred));
            }
            if (!wrote(c, ec, n))
                break;
            const auto of_head = std::min(n, head.size());
            head.remove_prefix(of_head);
            body.remove_prefix(n - of_head);
            if (head.empty() && body.empty())
                continue;
            if (!waits) { // others get their turn
                co_await turn();
                if (is_cancelled(co_await asio::this_coro::cancellation_state))
                    fail(c, asio::error::operation_aborted);
            }
            listen(c);
        }
        framer_.clear();
        if (!then_read) { // the time that the caller takes meanwhile does not count
            deadline_.set({}, never, c.due);
            co_return;
        }
        while (!advance(c)) {
            c.expect_response();
            error_code too_large;
            const auto room = received_.room(c, too_large);
            if (too_large)
                fail(c, too_large);
            if (c.answer.seen.bytes_received == 0)
                deadline_.set("first_byte", c.times->first_byte, c.due);
            else
                deadline_.set("gap", c.times->gap, c.due);
            const auto [ec, n] =
                co_await transport_.async_read_some(room, asio::as_tuple(asio::deferred));
            came(c, ec, n);
        }
        pause(c);
    }

    // Processes what has arrived while the request is still being sent, but for a body that the
    // caller reads later. Without a wait: a server may have nothing to say before it has
    // everything.
    void listen(call& c)
    {
        do {
            error_code ec;
            std::size_t n = 0;
            if (received_.is_enough(c) || !transport_.try_read_some(received_.room(), ec, n))
                return;
            if (ec) {
                if (deadline_.expired())
                    fail(c, ec);
                c.refused_more = true; // what has arrived before is still processed
                if (ec != asio::error::eof)
                    c.failure = is_end(ec) ? c.how_it_ended() : ec;
                return;
            }
            came(c, ec, n);
            advance(c);
            c.refused_more = received_.wants_no_more(c);
        } while (!c.refused_more && transport_.has_pending());
    }

    // The time that the caller takes meanwhile does not count as the server's.
    void pause(call& c)
    {
        if (received_.done())
            end(c);
        else
            deadline_.set({}, never, c.due);
    }

    // False if the server has closed: it may have sent the reason before.
    bool wrote(call& c, const error_code& ec, std::size_t n)
    {
        c.answer.seen.bytes_sent += n;
        if (!ec)
            return true;
        if (ec == asio::error::operation_aborted || deadline_.expired() || sent(c) == 0)
            fail(c, ec);
        c.failure = ec;
        c.refused_more = true;
        return false;
    }

    // True: there is no more to read for now.
    bool advance(call& c)
    {
        error_code ec;
        const bool enough = received_.advance(c, ec);
        if (ec)
            fail(c, ec);
        return enough;
    }

    // The number of bytes that the reader of a body now has.
    std::size_t came(call& c, const error_code& ec, std::size_t n)
    {
        auto& seen = c.answer.seen;
        if (n != 0 && seen.bytes_received == 0) {
            seen.stage = stage::head;
            if (c.is_watched())
                c.tell({.what = event::kind::first_byte, .origin = *c.origin});
        }
        if (!ec)
            return received_.came(c, n);
        if (!is_end(ec) || deadline_.expired())
            fail(c, c.failure ? c.failure : ec);
        // After a reset, the end says nothing about what came before it.
        error_code wrong = received_.done() ? error_code() : c.failure;
        if (!wrong)
            received_.end_of_stream(wrong);
        if (wrong || ec != asio::error::eof)
            fail(c, c.failure && seen.bytes_received == 0 ? c.failure : c.how_it_ended());
        return 0;
    }

    // TLS that ends without a close_notify may have been truncated (RFC 9112, 9.8).
    static bool is_end(const error_code& ec) noexcept
    {
        return ec == asio::error::eof || ec == asio::ssl::error::stream_truncated;
    }

    // The response is complete. Data that came with it and does not belong to it makes the next
    // response suspect.
    void end(call& c)
    {
        if (std::exchange(c.done, true))
            return;
        received_.end(c);
        c.answer.seen.bytes_sent = sent(c);
        deadline_.clear();
        known_.exchange_ended(c, received_.has_keep_alive_field(), c.is_watched());
        clean_ = received_.keeps_alive() && !c.refused_more && !c.settings->closes &&
                 received_.empty() && transport_.is_drained() && known_.takes_another() &&
                 !deadline_.expired();
        leave(c);
    }

    receiver received_;
    framer framer_;
    answer_forecast forecast_;
};

} // namespace loopsafe::http::detail

#endif
