// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_HTTP_SUPPORT_HPP
#define LOOPSAFE_TESTS_HTTP_SUPPORT_HPP

#include <loopsafe/http.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <support/http_peer.hpp>
#include <support/run_until.hpp>
#include <support/texts.hpp>
#include <thread>
#include <utility>

/// The clients in all their combinations, behind one face: what holds for one must hold for all.
namespace http_test {

using namespace support;
namespace http = loopsafe::http;
using http::condition;
using http::errc;
using http::fields;
using http::request;
using http::response;
using http::stage;
using loopsafe::error_code;
using loopsafe::testing::mortal_context;

enum class combination {
    keep_alive_on_context,
    null_on_context,
    per_context_on_context,
    carry_over_on_context,
    keep_alive_offloaded,
    null_offloaded,
    layered_on_context,
    layered_offloaded
};

inline constexpr combination all_combinations[] = {
    combination::keep_alive_on_context,  combination::null_on_context,
    combination::per_context_on_context, combination::carry_over_on_context,
    combination::keep_alive_offloaded,   combination::null_offloaded,
    combination::layered_on_context,     combination::layered_offloaded};

inline const char* name_of(combination c)
{
    switch (c) {
    case combination::keep_alive_on_context: return "keep_alive_pool, on_context";
    case combination::null_on_context: return "null_pool, on_context";
    case combination::per_context_on_context: return "per_context_pool, on_context";
    case combination::carry_over_on_context: return "carry_over_pool, on_context";
    case combination::keep_alive_offloaded: return "keep_alive_pool, thread_offload";
    case combination::null_offloaded: return "null_pool, thread_offload";
    case combination::layered_on_context: return "keep_alive_pool, on_context, layers around it";
    case combination::layered_offloaded: return "keep_alive_pool, thread_offload, layers around it";
    }
    return "";
}

inline bool keeps(combination c)
{
    return c != combination::null_on_context && c != combination::null_offloaded;
}
inline bool is_offloaded(combination c)
{
    return c == combination::keep_alive_offloaded || c == combination::null_offloaded ||
           c == combination::layered_offloaded;
}

inline bool has_home(combination c)
{
    return c == combination::keep_alive_on_context || c == combination::layered_on_context;
}
inline bool has_layers(combination c)
{
    return c == combination::layered_on_context || c == combination::layered_offloaded;
}

// One of its layers lends each response, and that begins when the request is sent.
inline bool hears_while_sending(combination c)
{
    return c != combination::layered_offloaded;
}

class any_client {
public:
    using reader = std::function<asio::awaitable<void>(http::incoming_response&)>;

    virtual ~any_client() = default;
    virtual asio::awaitable<response> send(request what) = 0;
    virtual asio::awaitable<void> with_response(request what, reader fn) = 0;
    virtual asio::awaitable<void> async_close(std::chrono::milliseconds limit) = 0;
    virtual void close() = 0;
    virtual void invalidate() = 0;
    virtual loopsafe::pool_stats stats() = 0;

    asio::awaitable<response> get(std::string url) { return send({"GET", std::move(url)}); }
};

/// A client of that kind, for the context of `home`, or on `workers`.
std::unique_ptr<any_client> make_client(combination what, asio::io_context& home,
                                        const http::single_use_client_options& with = {},
                                        loopsafe::worker_threads* workers = nullptr);

/// What a test sees of a request: the response, or the error.
struct seen {
    response answer;
    std::exception_ptr error;
    error_code ec;
    http::evidence evidence;
};

inline asio::awaitable<seen> watch(asio::awaitable<response> sending)
{
    seen s;
    try {
        s.answer = co_await std::move(sending);
        s.evidence = s.answer.seen;
    } catch (const http::error& e) {
        s.ec = e.code();
        s.evidence = e.seen();
        s.error = std::current_exception();
    } catch (const boost::system::system_error& e) {
        s.ec = e.code();
        s.error = std::current_exception();
    }
    co_return s;
}

/// A peer, a context and a client of one kind.
class linked {
public:
    linked(combination what, bool secure, http_peer::script script,
           const std::function<void(http::single_use_client_options&)>& change = {})
        : peer(std::move(script), secure)
    {
        http::single_use_client_options with;
        if (secure)
            with.tls.trusted_file = peer.root_file();
        with.base_url = peer.url("");
        if (change)
            change(with);
        client = make_client(what, *context, with);
    }

    seen send(request what) { return run_on(*context, watch(client->send(std::move(what)))); }
    seen get(std::string url) { return send({"GET", std::move(url)}); }

    /// Cancels the request when the peer has noted that.
    seen send_and_cancel(request what, const std::string& when)
    {
        asio::cancellation_signal signal;
        std::optional<seen> ended;
        asio::co_spawn(
            *context, watch(client->send(std::move(what))),
            asio::bind_cancellation_slot(signal.slot(), [&](const std::exception_ptr& e, seen s) {
                if (e != nullptr)
                    s.ec = asio::error::operation_aborted;
                ended = std::move(s);
            }));
        std::thread cancels([&] {
            peer.await_note(when);
            asio::post(*context, [&] { signal.emit(asio::cancellation_type::terminal); });
        });
        run_until(*context, [&] { return ended.has_value(); });
        cancels.join();
        return std::move(*ended);
    }

    http_peer peer;
    mortal_context context;
    std::unique_ptr<any_client> client;
};

inline std::string answer(const std::string& body, const std::string& more = {})
{
    return "HTTP/1.1 200 OK\r\n" + more + "Content-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

} // namespace http_test

#endif
