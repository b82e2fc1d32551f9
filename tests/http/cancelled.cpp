// SPDX-License-Identifier: BSL-1.0
// Every request is cancelled at every point where it waits. Nothing may be lost by it: the client
// has one connection and one permit, and the next request needs both.

#include <atomic>
#include <http/stepped.hpp>

namespace cancelled_tests {

namespace {

using namespace http_test;

// Every request that is cancelled ends with this, and says how far it had come.
bool is_cancelled(const std::exception_ptr& error)
{
    try {
        if (error != nullptr)
            std::rethrow_exception(error);
    } catch (const http::error& e) {
        return e.code() == asio::error::operation_aborted;
    } catch (...) {
    }
    return false;
}

// Such a request does the connection no harm.
bool was_not_sent(const std::exception_ptr& error)
{
    try {
        std::rethrow_exception(error);
    } catch (const http::error& e) {
        return e.seen().bytes_sent == 0;
    } catch (...) {
        return false;
    }
}

TEST_CASE("http: a request that is cancelled wherever it waits loses no connection and no permit")
{
    const auto before = open_descriptors();
    for_each_situation([](const situation& s) {
        http_peer peer(answer_errands, s.secure);
        loopsafe::worker_threads workers;
        int steps = 0;
        int broken_off = 0;
        for (bool through = false; !through; ++steps) {
            CAPTURE(steps);
            stepped w(s, peer, &workers);
            w.begin();
            through = !w.step(steps);
            if (!through) {
                w.signal.emit(asio::cancellation_type::terminal);
                run_until(*w.context, [&] { return w.ended; });
            }
            const bool failed = w.error != nullptr;
            if (failed && w.begun && s.task != errand::download)
                CHECK(is_cancelled(w.error));
            else if (failed) // who reads may find out by himself
                CHECK(code_of(w.error) == asio::error::operation_aborted);
            else
                CHECK(w.got == w.target());
            broken_off += failed ? 1 : 0;
            const auto stats = w.client->stats();
            CHECK(stats.leased == 0);
            CHECK(stats.waiting == 0);
            if (failed && !s.kept && !was_not_sent(w.error))
                CHECK(stats.idle == 0);
            CHECK(w.ask("/after") == "/after");
        }
        CHECK(broken_off > 0);
        CHECK(workers.join(10s));
    });
    CHECK(open_descriptors() == before);
}

// Waits in a way that no cancellation ends.
asio::awaitable<std::string> authorize_regardless(bool& waits)
{
    waits = true;
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    co_return "Bearer x";
}

TEST_CASE("http: a request that is cancelled before it is sent is not sent")
{
    for (const auto what : all_combinations) {
        if (!keeps(what))
            continue;
        for (const bool secure : {false, true}) {
            INFO(name_of(what), secure ? ", TLS" : ", plain");
            std::atomic<int> asked = 0;
            const auto count = [&](http_peer::caller& c) {
                for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
                    ++asked;
                    c.write(answer("/asked"));
                }
            };
            http_peer peer(count, secure);
            loopsafe::worker_threads workers;
            bool waits = false;
            stepped w({what, secure, errand::get}, peer, &workers, [&waits](auto& with) {
                with.authorization = [&waits](const auto&) { return authorize_regardless(waits); };
            });
            CHECK(w.ask("/before") == "/asked");
            waits = false;
            w.begin();
            while (!waits)
                REQUIRE(w.step(1));
            w.signal.emit(asio::cancellation_type::terminal);
            run_until(*w.context, [&] { return w.ended; });
            CHECK(is_cancelled(w.error));
            CHECK(asked == 1);
            CHECK(w.ask("/after") == "/asked");
            CHECK(asked == 2);
            CHECK(w.client->stats().connects == 1); // it was fit for another
            CHECK(workers.join(10s));
        }
    }
}

asio::awaitable<void> get_whatever_is_cancelled(any_client& client, bool& begun)
{
    begun = true;
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await client.get("/never");
}

TEST_CASE("http: a request whose coroutine goes on when it is cancelled is cancelled all the same")
{
    const auto once = [](http_peer::caller& c) {
        if (c.read_request().find("/before") != std::string::npos)
            c.write(answer("/before"));
        c.read_request();
        c.await_end();
    };
    for (const auto what : all_combinations) {
        INFO(name_of(what));
        bool waits = false; // for an answer, and all before that is through
        for (int steps = 0; !waits; ++steps) {
            CAPTURE(steps);
            http_peer peer(once);
            loopsafe::worker_threads workers;
            stepped w({what, false, errand::get, keeps(what)}, peer, &workers,
                      [](auto& with) { with.timeouts = {.first_byte = loopsafe::never}; });
            asio::co_spawn(*w.context, get_whatever_is_cancelled(*w.client, w.begun),
                           asio::bind_cancellation_slot(w.signal.slot(), [&](std::exception_ptr e) {
                               w.error = e;
                               w.ended = true;
                           }));
            w.context->restart();
            for (int i = 0; i != steps && !waits; ++i)
                waits = w.context->poll_one() == 0;
            REQUIRE(!w.ended);
            w.signal.emit(asio::cancellation_type::terminal);
            run_until(*w.context, [&] { return w.ended; });
            if (w.begun)
                CHECK(is_cancelled(w.error));
            else
                CHECK(code_of(w.error) == asio::error::operation_aborted);
            CHECK(w.client->stats().leased == 0);
            CHECK(workers.join(10s));
        }
    }
}

} // namespace

} // namespace cancelled_tests
