// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_HTTP_STEPPED_HPP
#define LOOPSAFE_TESTS_HTTP_STEPPED_HPP

#include <loopsafe/worker_threads.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>

#include <http/support.hpp>
#include <support/descriptors.hpp>

/// One request, moved forward a handler at a time, so that something can happen to it at each point
/// where it waits.
namespace http_test {

enum class errand { get, upload, download };

inline constexpr errand all_errands[] = {errand::get, errand::upload, errand::download};

inline const char* name_of(errand e)
{
    return e == errand::get      ? "GET"
           : e == errand::upload ? "POST, with a body that is streamed"
                                 : "GET, read with with_response";
}

/// A kind of client, and what it does.
struct situation {
    combination what;
    bool secure; ///< and with an authorization that takes its time, and a time for it all
    errand task;
    bool kept = false; ///< there is a connection already

    std::string name() const
    {
        return std::string(name_of(what)) + (secure ? ", TLS, " : ", plain, ") + name_of(task) +
               (kept ? ", on a kept connection" : "");
    }
};

/// Answers with what was asked for, and where it was streamed with how much that was.
inline void answer_errands(http_peer::caller& c)
{
    for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
        const auto target = text.substr(text.find('/'), text.find(" HTTP") - text.find('/'));
        if (target.starts_with("/download")) {
            c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for (int i = 0; i != 2; ++i)
                c.write("7d0\r\n" + target + std::string(2000 - target.size(), '.') + "\r\n");
            c.write("0\r\n\r\n");
        } else {
            c.write(answer(target));
        }
    }
}

inline asio::awaitable<std::string> body_of(asio::awaitable<response> sending)
{
    const auto got = co_await std::move(sending);
    co_return got.body;
}

inline asio::awaitable<std::string> read_into(asio::awaitable<void> reading,
                                              std::shared_ptr<std::string> all)
{
    co_await std::move(reading);
    co_return all->substr(0, all->find('.'));
}

/// The client is not needed any more once this has returned. What comes is `target`.
inline asio::awaitable<std::string> run_errand(any_client& client, errand what,
                                               const std::string& target)
{
    if (what == errand::download) {
        const auto all = std::make_shared<std::string>();
        const auto reader = [all](http::incoming_response& in) -> asio::awaitable<void> {
            *all = co_await in.read_all(10'000);
        };
        return read_into(client.with_response({"GET", target}, reader), all);
    }
    if (what == errand::get)
        return body_of(client.get(target));
    const auto maker = [](http::body_writer& out) -> asio::awaitable<void> {
        for (int i = 0; i != 2; ++i)
            co_await out.write("some of it");
    };
    return body_of(client.send({"POST", target, http::request_body::streamed(maker)}));
}

/// A coroutine that is cancelled before it has begun never begins, with newer Boosts.
inline asio::awaitable<std::string> noting(bool& begun, asio::awaitable<std::string> errand)
{
    begun = true;
    co_return co_await std::move(errand);
}

/// A context with a client that has one connection and one permit only, so that it shows at once
/// where one is lost.
class stepped {
public:
    stepped(const situation& s, http_peer& peer, loopsafe::worker_threads* workers,
            const std::function<void(http::single_use_client_options&)>& change = {})
        : task_(s.task)
    {
        http::single_use_client_options with;
        with.base_url = peer.url("");
        with.max_per_origin = with.max_total = 1;
        if (s.secure) {
            with.tls.trusted_file = peer.root_file();
            with.timeouts.total = 1min;
            with.authorization = [](const http::origin&) -> asio::awaitable<std::string> {
                co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
                co_return "Bearer x";
            };
        }
        if (change)
            change(with);
        client = make_client(s.what, *context, with, workers);
        if (s.kept)
            CHECK(ask("/before") == "/before");
    }

    void begin()
    {
        const auto told = [this, frame = frame_](const std::exception_ptr& e, std::string s) {
            error = e;
            got = std::move(s);
            ended = true;
        };
        asio::co_spawn(*context, noting(begun, run_errand(*client, task_, target())),
                       asio::bind_cancellation_slot(signal.slot(), told));
    }

    /// What a request gives that nothing happens to.
    const char* target() const { return task_ == errand::download ? "/download" : "/asked"; }

    /// False where the request ended before it had waited so often.
    bool step(int handlers)
    {
        context->restart();
        for (int i = 0; i != handlers && !ended; ++i)
            REQUIRE(context->run_one_for(10s) == 1);
        return !ended;
    }

    /// Another request, which nothing must hinder.
    std::string ask(const std::string& what)
    {
        bool answered = false;
        std::string text;
        asio::co_spawn(*context, run_errand(*client, errand::get, what),
                       [&](const std::exception_ptr& e, std::string s) {
                           error = e;
                           text = std::move(s);
                           answered = true;
                       });
        run_until(*context, [&] { return answered; });
        if (error != nullptr)
            std::rethrow_exception(error);
        return text;
    }

    bool frame_lives() const { return frame_.use_count() > 1; }

    std::optional<asio::io_context> context{std::in_place, 1};
    std::unique_ptr<any_client> client;
    asio::cancellation_signal signal;
    bool begun = false;
    bool ended = false;
    std::exception_ptr error;
    std::string got;

private:
    const errand task_;
    std::shared_ptr<int> frame_ = std::make_shared<int>();
};

/// Calls `f(situation)` for each kind of client and each errand.
template <class F>
void for_each_situation(F f)
{
    for (const auto what : all_combinations) {
        for (const bool secure : {false, true}) {
            for (const auto task : all_errands) {
                for (const bool kept : {false, true}) {
                    if (kept && !keeps(what))
                        continue;
                    const situation s{what, secure, task, kept};
                    INFO(s.name());
                    f(s);
                }
            }
        }
    }
}

} // namespace http_test

#endif
