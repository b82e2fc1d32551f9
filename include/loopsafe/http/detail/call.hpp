// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CALL_HPP
#define LOOPSAFE_HTTP_DETAIL_CALL_HPP

#include <loopsafe/http/detail/hop.hpp>
#include <loopsafe/http/detail/tell_hook.hpp>
#include <loopsafe/http/detail/wire/request_head.hpp>
#include <loopsafe/http/response.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http::detail {

// One request in progress, and its result so far.
struct call {
    explicit call(request&& what) : asked(std::move(what)) {}
    call(request&& what, const hop& h) : asked(std::move(what)), due(h.due), foreign(h.foreign)
    {
        answer.seen.attempts = h.attempts;
        answer.seen.hops = h.hops;
    }
    call(const char* method, std::string&& url, request_body&& body)
    {
        asked.method = method;
        asked.url = std::move(url);
        asked.body = std::move(body);
    }
    call(const call&) = delete;
    call& operator=(const call&) = delete;
    ~call()
    {
        if (begun && is_watched())
            tell({.what = event::kind::returned, .origin = *origin, .status = answer.status});
    }

    // The part of the body that is not copied behind the head.
    std::string_view large_body() const noexcept
    {
        constexpr std::size_t small = 8 * 1024;
        const std::string_view all = asked.body.bytes();
        return all.size() > small ? all : std::string_view();
    }

    void expect_response() noexcept
    {
        if (answer.seen.bytes_received == 0)
            answer.seen.stage = stage::first_byte;
    }
    error_code how_it_ended() const noexcept
    {
        return answer.seen.bytes_received != 0 ? errc::incomplete : errc::no_response;
    }

    bool is_watched() const noexcept { return !!settings->options->on_event; }
    void tell(event what) noexcept
    {
        what.request = number;
        const auto now = clock();
        what.took = now - since;
        if (what.what == event::kind::acquired || what.what == event::kind::replayed)
            since = now;
        tell_hook(*settings->options, what);
    }

    request asked;
    std::string normal;      // the target, where it is not in asked.url as it is sent
    std::string_view target; // a part of either
    std::string_view prefix; // a part of `settings`
    const std::string* host_field = nullptr; // a part of `server`
    const http::origin* origin = nullptr;
    std::string authorization;                   // the provider's result
    std::shared_ptr<const void> server;          // kept alive
    const client_settings* settings = nullptr;   // `server` keeps them alive
    const limits* most = nullptr;                // a part of `settings`
    const timeouts* times = nullptr;             // a part of `settings` or of `asked`
    std::optional<std::chrono::nanoseconds> due; // of the whole request, on the steady clock
    bool streamed = false;                       // the caller reads the body
    bool foreign = false;                        // no secret of the client's is sent
    std::source_location used;                   // where it was asked for

    // Only where it is watched.
    std::uint64_t number = 0; // of the client's requests
    std::chrono::nanoseconds since = {};
    std::chrono::nanoseconds (*clock)() noexcept = nullptr;

    // When its connection was asked for, on the steady clock. One that was there before has been
    // idle, even if nobody has used it.
    std::chrono::nanoseconds sought = std::chrono::nanoseconds::max();

    response answer;
    error_code failure; // also of a write, after which the response is still read
    bool begun = false; // and has not released its connection
    bool failed = false;
    bool stale = false; // the connection could not take the request; nothing was sent
    bool done = false;
    bool writing = false; // a part of the body; stays so if that breaks, and at the body's end
    std::optional<std::uint64_t> length; // of the body, if it was announced
    bool refused_more = false; // the server answered or closed before it had read the whole request
};

inline error failure_of(const call& c, const error_code& ec, const evidence& seen,
                        const std::string& detail = {})
{
    error failed(ec, seen, c.asked.method + ' ' + shown(c.asked.url) + detail);
    failed.add_place(c.used);
    return failed;
}
inline error failure_of(const call& c, const error_code& ec, const std::string& detail = {})
{
    return failure_of(c, ec, c.answer.seen, detail);
}

// What follows a part of the body that was not sent to its end would be taken for that part. The
// answer so far is not read: a worker may be changing it.
inline void require_unbroken(const call& c)
{
    if (c.writing)
        throw failure_of(c, errc::broken_write, {.stage = stage::write});
}

} // namespace loopsafe::http::detail

#endif
