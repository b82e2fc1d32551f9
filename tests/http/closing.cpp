// SPDX-License-Identifier: BSL-1.0
// A client is closed while it is in the middle of everything, and its last permit is fought for.

#include <openssl/ssl.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <http/stepped.hpp>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace closing_tests {

namespace {

using namespace http_test;

TEST_CASE("http: async_close at every point where a request waits lets it end, and waits for that")
{
    for (const auto what : all_combinations) {
        for (const auto task : all_errands) {
            const situation s{what, false, task};
            INFO(s.name());
            http_peer peer(answer_errands);
            loopsafe::worker_threads workers;
            int steps = 0;
            for (bool through = false; !through; ++steps) {
                CAPTURE(steps);
                stepped w(s, peer, &workers);
                w.begin();
                through = !w.step(steps);
                const bool had_connection = w.client->stats().leased == 1;
                int closed = 0;
                for (const auto limit : {loopsafe::never, 10'000ms})
                    asio::co_spawn(*w.context, w.client->async_close(limit),
                                   [&](const std::exception_ptr& e) {
                                       CHECK(e == nullptr);
                                       CHECK(w.client->stats().leased == 0);
                                       ++closed;
                                   });
                run_until(*w.context, [&] { return w.ended && closed == 2; });
                if (w.error != nullptr) {
                    CHECK(!had_connection);
                    CHECK(code_of(w.error) == loopsafe::errc::pool_closed);
                } else {
                    CHECK(w.got == w.target());
                }
                CHECK(w.client->stats().idle == 0);
            }
            CHECK(workers.join(10s));
        }
    }
}

TEST_CASE("http: close() from another thread while requests run lets them end or refuses them")
{
    for (const auto what : all_combinations) {
        INFO(std::string(name_of(what)));
        http_peer peer(answer_errands);
        loopsafe::worker_threads workers;
        for (int round = 0; round != 20; ++round) {
            stepped w(
                {what, false, errand::get, true}, peer, &workers,
                [](http::single_use_client_options& o) { o.max_per_origin = o.max_total = 3; });
            int ended = 0;
            for (int i = 0; i != 8; ++i)
                asio::co_spawn(*w.context, run_errand(*w.client, all_errands[i % 3], "/x"),
                               [&](const std::exception_ptr& e, const std::string& got) {
                                   if (e != nullptr)
                                       CHECK(code_of(e) == loopsafe::errc::pool_closed);
                                   else
                                       CHECK(got == "/x");
                                   ++ended;
                               });
            std::thread closes([&] {
                for (int i = 0; i != round * 3; ++i) {
                    std::this_thread::yield();
                    w.client->invalidate();
                    w.client->stats();
                }
                w.client->close();
            });
            run_until(*w.context, [&] { return ended == 8; });
            closes.join();
            CHECK(w.client->stats().leased == 0);
            CHECK(w.client->stats().idle == 0);
            CHECK(w.client->stats().waiting == 0);
        }
        CHECK(workers.join(10s));
    }
}

TEST_CASE("http: who waits for a permit or a connection is cancelled, and none of them is lost")
{
    for (const auto what : all_combinations) {
        INFO(std::string(name_of(what)));
        http_peer peer(answer_errands);
        http_peer other(answer_errands);
        loopsafe::worker_threads workers;
        for (int round = 0; round != 10; ++round) {
            CAPTURE(round);
            stepped w(
                {what, false, errand::get}, peer, &workers,
                [&](http::single_use_client_options& o) { o.max_total = round % 2 == 0 ? 1 : 2; });
            constexpr int requests = 12;
            std::array<asio::cancellation_signal, requests> signals;
            std::array<bool, requests> ended{};
            for (std::size_t i = 0; i != requests; ++i) {
                const auto told = [&, i](const std::exception_ptr& e, const std::string& got) {
                    if (e != nullptr)
                        CHECK(code_of(e) == asio::error::operation_aborted);
                    else
                        CHECK(got.ends_with("/x"));
                    ended[i] = true;
                };
                asio::co_spawn(
                    *w.context,
                    run_errand(*w.client, errand::get, i % 2 == 0 ? "/x" : other.url("/x")),
                    asio::bind_cancellation_slot(signals[i].slot(), told));
            }
            w.step(requests + round);
            for (std::size_t i = 0; i != requests; ++i) { // two of three, in another order
                const auto which = (i * 7 + static_cast<std::size_t>(round)) % requests;
                if (which % 3 != 0 && !ended[which])
                    signals[which].emit(asio::cancellation_type::terminal);
                w.step(i % 3 == 0 ? 1 : 0);
            }
            run_until(*w.context, [&] {
                return std::all_of(ended.begin(), ended.end(), [](bool each) { return each; });
            });
            CHECK(w.client->stats().leased == 0);
            CHECK(w.client->stats().waiting == 0);
            CHECK(w.ask("/after") == "/after");
        }
        CHECK(workers.join(10s));
    }
}

// Returns when the client only has to look.
void answer_and_see_it_arrive(http_peer::caller& c)
{
    c.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    int on_its_way = 1;
    while (::ioctl(c.socket().native_handle(), SIOCOUTQ, &on_its_way) == 0 && on_its_way != 0)
        std::this_thread::yield();
}

TEST_CASE("http: a server that has answered in the middle of a body is sent nothing more")
{
    for (const auto what : all_combinations) {
        INFO(std::string(name_of(what)));
        linked l(what, false, [](http_peer::caller& c) {
            c.read_until("first");
            answer_and_see_it_arrive(c);
            c.peer().note("answered");
            c.peer().note(c.await_end() ? "nothing more" : "more");
        });
        const auto maker = [&](http::body_writer& out) -> asio::awaitable<void> {
            CHECK(co_await out.write("first"));
            l.peer.await_note("answered");
            CHECK(!co_await out.write("second"));
        };
        CHECK(l.send({"POST", "/", http::request_body::streamed(maker)}).answer.body == "no");
        l.client.reset();
        l.peer.await_ended(1);
        CHECK(l.peer.notes().back() == "nothing more");
    }
}

TEST_CASE("http: a server that has answered in the middle of a write is sent nothing more")
{
    constexpr std::size_t size = 50'000'000; // of which sockets hold a small part
    for (const auto what : all_combinations) {
        INFO(std::string(name_of(what)));
        const auto script = [](http_peer::caller& c) {
            const auto read = [&c](std::size_t most) {
                std::array<char, 65536> some;
                std::size_t all = 0;
                for (error_code ec; all < most && !ec;)
                    all += c.socket().read_some(asio::buffer(some), ec);
                return all;
            };
            c.socket().set_option(asio::socket_base::receive_buffer_size(64 * 1024));
            c.read_until("\r\n\r\n");
            answer_and_see_it_arrive(c);
            auto all = read(size / 2); // when the client goes on after that, it hears the answer
            c.peer().await_note("heard");
            all += read(size);
            c.peer().note(all < size / 4 * 3 ? "nothing more" : "more");
        };
        http_peer* peer = nullptr;
        linked l(what, false, script, [&peer](http::single_use_client_options& o) {
            o.on_event = [&peer](const http::event& e) {
                if (e.what == http::event::kind::first_byte)
                    peer->note("heard");
            };
        });
        peer = &l.peer;
        const auto s = l.send({"POST", "/", std::string(size, 'x')});
        CHECK(s.answer.body == "no");
        CHECK(s.evidence.bytes_sent < size);
        l.client.reset();
        l.peer.await_ended(1);
        CHECK(l.peer.notes().back() == "nothing more");
    }
}

TEST_CASE("http: a storm of interim responses ends an upload")
{
    for (const auto what : all_combinations) {
        INFO(std::string(name_of(what)));
        linked l(what, false, [](http_peer::caller& c) {
            c.read_until("\r\n\r\n");
            while (c.write("HTTP/1.1 102 Processing\r\n\r\n")) {}
        });
        const auto maker = [](http::body_writer& out) -> asio::awaitable<void> {
            while (co_await out.write("some of it")) {}
        };
        CHECK(l.send({"POST", "/", http::request_body::streamed(maker)}).ec ==
              errc::too_many_interim);
        CHECK(l.client->stats().leased == 0);
        l.client.reset();
    }
}

bool openssl_has_ended = false; // which later than that must not be called

// Ends the process with a bad status where OpenSSL has ended before it.
struct ends_before_openssl {
    ~ends_before_openssl()
    {
        if (openssl_has_ended)
            ::_exit(1);
    }
};

// The status of a process in which nothing has used OpenSSL yet and which runs `body`, and ends.
template <class Body>
int status_of_another_process(const char* test_case, Body body)
{
    constexpr const char* itself = "LOOPSAFE_TEST_EXITS";
    if (std::getenv(itself) != nullptr)
        std::exit(body());
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::setenv(itself, "1", 1);
        ::execl("/proc/self/exe", "itself", test_case, nullptr);
        ::_exit(2);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return status;
}

TEST_CASE("http: at exit OpenSSL ends after a client in static storage")
{
    CHECK(status_of_another_process("-tc=http: at exit OpenSSL ends after*", [] {
              static const http::basic_client<loopsafe::carry_over_pool> client;
              static const ends_before_openssl witness;
              OPENSSL_init_ssl(0, nullptr); // as the first request to an https server does
              OPENSSL_atexit([] { openssl_has_ended = true; });
              return 0;
          }) == 0);
}

TEST_CASE("http: a client that has made no secure connection has not loaded OpenSSL's texts")
{
    CHECK(status_of_another_process("-tc=http: a client that has made no secure*", [] {
              const http::basic_client<loopsafe::carry_over_pool> client;
              const auto any = ERR_PACK(ERR_LIB_EVP, 0, 0);
              const bool before = ERR_lib_error_string(any) != nullptr;
              OPENSSL_init_ssl(0, nullptr); // as the first request to an https server does
              const bool afterwards = ERR_lib_error_string(any) != nullptr;
              return !before && afterwards ? 0 : 1;
          }) == 0);
}

} // namespace

} // namespace closing_tests
