// SPDX-License-Identifier: BSL-1.0
// The layer that decodes content: what it asks for, what it leaves alone, and
// what its reader sees.

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/http/layers/any_sender.hpp>
#include <loopsafe/http/layers/decoding.hpp>
#include <loopsafe/thread_offload.hpp>

#include <boost/asio/detached.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <http/content.hpp>
#include <http/support.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace decoding_tests {

namespace {

using namespace http_test;
using namespace std::string_literals;
using content_test::all_ways;
using content_test::page;
using loopsafe::context_error;
using loopsafe::testing::two_contexts;
using offloaded_client = http::basic_client<loopsafe::keep_alive_pool, loopsafe::thread_offload>;

std::shared_ptr<const http::layer> all_decoders()
{
    return http::decoding(http::gzip, http::deflate, http::brotli, http::zstd);
}

std::string encoded(std::string_view coding, const std::string& body)
{
    return answer(body, "Content-Encoding: " + std::string(coding) + "\r\n");
}

std::string in_chunks(const std::string& body, const std::string& more, std::size_t size)
{
    std::string text = "HTTP/1.1 200 OK\r\n" + more + "Transfer-Encoding: chunked\r\n\r\n";
    for (std::size_t at = 0; at < body.size(); at += size) {
        const auto part = body.substr(at, size);
        char digits[17];
        std::snprintf(digits, sizeof(digits), "%zx", part.size());
        text.append(digits).append("\r\n").append(part).append("\r\n");
    }
    return text + "0\r\n\r\n";
}

// A peer and two chains to it, one for each execution.
struct decoded {
    explicit decoded(http_peer::script script, http::client_options with = {})
        : peer(std::move(script)),
          senders{http::client(*context, with) | all_decoders(),
                  offloaded_client(with, &workers) | all_decoders()}
    {
    }

    seen send(const http::any_sender& by, request what)
    {
        return run_on(*context, watch(by.send(std::move(what))));
    }
    seen get(const http::any_sender& by) { return send(by, {"GET", peer.url()}); }

    // What a reader gets, `room` bytes at a time.
    seen read(const http::any_sender& by, request what, std::size_t room = 1000)
    {
        const auto reader = [&](http::incoming_response& in) -> asio::awaitable<response> {
            response all;
            static_cast<http::response_head&>(all) = in.head();
            CHECK(in.length().has_value() == in.head().headers.contains("Content-Length"));
            std::string part(room, '\0');
            for (std::size_t n = 1; n != 0;) {
                n = co_await in.read_some(asio::buffer(part));
                CHECK(n <= room);
                all.body.append(part, 0, n);
            }
            all.trailers = in.trailers();
            co_return all;
        };
        return run_on(*context, watch(by.with_response(std::move(what), reader)));
    }

    http_peer peer;
    mortal_context context;
    loopsafe::worker_threads workers;
    std::array<http::any_sender, 2> senders;
};

TEST_CASE("decoding: the codings are asked for, and the response is as if it "
          "had none")
{
    const auto text = page(100'000);
    for (const auto& way : all_ways) {
        CAPTURE(std::string(way.name));
        const auto body = way.encode(text);
        const auto coding = "Content-Encoding: " + std::string(way.coding->name()) + "\r\n";
        decoded d([&](http_peer::caller& c) {
            bool chunked = false;
            for (auto head = c.read_request(); !head.empty(); head = c.read_request()) {
                c.peer().note(head);
                c.write(chunked ? in_chunks(body, coding + "A: b\r\n", 777)
                                : answer(body, coding + "A: b\r\n"));
                chunked = !chunked;
            }
        });
        for (const auto& by : d.senders) {
            for (int i = 0; i != 2; ++i) {
                for (const auto& s : {d.get(by), d.read(by, {"GET", d.peer.url()})}) {
                    CHECK_FALSE(s.ec);
                    CHECK((s.answer.body == text));
                    CHECK(s.answer.headers["A"] == "b");
                    CHECK_FALSE(s.answer.headers.contains("Content-Encoding"));
                    CHECK_FALSE(s.answer.headers.contains("Content-Length"));
                }
            }
            CHECK(by.stats().idle == 1);
        }
        CHECK(d.peer.connections() == 2); // one for each client: they were kept
        const auto asked = d.peer.notes();
        CHECK(asked.size() == 8);
        for (const auto& head : asked)
            CHECK(head.find("\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n") !=
                  std::string::npos);
    }
}

TEST_CASE("decoding: who asks for a coding or a range himself gets it as it comes")
{
    const auto body = all_ways[0].encode("text");
    decoded d([&](http_peer::caller& c) {
        for (auto asked = c.read_request(); !asked.empty(); asked = c.read_request()) {
            c.peer().note(asked);
            c.write(encoded("gzip", body));
        }
    });
    for (const auto& by : d.senders) {
        for (const auto& [name, value] :
             {std::pair{"accept-encoding", "gzip"}, std::pair{"Range", "bytes=0-9"}}) {
            request what("GET", d.peer.url());
            what.headers.add(name, value);
            for (const auto& s : {d.send(by, what), d.read(by, what)}) {
                CHECK(s.answer.body == body);
                CHECK(s.answer.headers["Content-Encoding"] == "gzip");
                CHECK(s.answer.headers.contains("Content-Length"));
            }
        }
    }
    for (const auto& asked : d.peer.notes())
        CHECK(asked.find("deflate") == std::string::npos);
}

TEST_CASE("decoding: what has no body, is a part, or has an unknown coding "
          "stays as it is")
{
    const auto body = all_ways[0].encode("text");
    const auto head = [](const std::string& status, const std::string& more) {
        return "HTTP/1.1 " + status + "\r\nContent-Encoding: gzip\r\n" + more + "\r\n";
    };
    const auto length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
    struct example {
        const char* method;
        std::string said;
        std::string body;
    };
    const example examples[] = {
        {"HEAD", head("200 OK", length), ""},
        {"GET", head("204 No Content", ""), ""},
        {"GET", head("304 Not Modified", ""), ""},
        {"GET", head("200 OK", "Content-Length: 0\r\n"), ""},
        {"GET", head("206 Partial Content", length) + body, body},
        {"GET", encoded("compress", body), body},
        {"GET", encoded("gzip, compress", body), body},
    };
    for (const auto& [method, said, wanted] : examples) {
        CAPTURE(said);
        decoded d(http_peer::always(said));
        for (const auto& by : d.senders) {
            for (const auto& s :
                 {d.send(by, {method, d.peer.url()}), d.read(by, {method, d.peer.url()})}) {
                CHECK_FALSE(s.ec);
                CHECK(s.answer.body == wanted);
                CHECK(s.answer.headers["Content-Encoding"].find_first_of("gc") == 0);
            }
        }
    }
    decoded d(http_peer::always(in_chunks("", "Content-Encoding: gzip\r\n", 1)));
    for (const auto& by : d.senders) {
        CHECK_FALSE(d.get(by).ec);
        CHECK_FALSE(d.read(by, {"GET", d.peer.url()}).ec);
    }
}

TEST_CASE("decoding: content that is wrong is an error that says so, and shows "
          "no query")
{
    const auto body = all_ways[0].encode(page(3000));
    struct example {
        std::string coding;
        std::string body;
        errc wanted;
        condition group;
        const char* said;
    };
    const example examples[] = {
        {"gzip", body.substr(0, body.size() - 1), errc::content_cut, condition::protocol,
         "the body ends before the content that is encoded in it does"},
        {"gzip", body + "behind", errc::bad_content, condition::protocol,
         "the body breaks the rules of its Content-Encoding, or does not end "
         "with it"},
        {"br", std::string(100, '\xff'), errc::bad_content, condition::protocol,
         "the body breaks the rules of its Content-Encoding, or does not end "
         "with it"},
        {"gzip, br, gzip", body, errc::too_many_codings, condition::limit,
         "there are more than two codings in Content-Encoding"},
        {"zstd", "\x28\xb5\x2f\xfd\x00\x88"s + std::string(20, '\0'), errc::window_too_large,
         condition::limit,
         "the content needs more memory to decode than its coding allows (RFC "
         "9659; brotli, RFC "
         "7932)"},
    };
    for (const auto& each : examples) {
        CAPTURE(each.said);
        decoded d(http_peer::always(encoded(each.coding, each.body)));
        for (const auto& by : d.senders) {
            const request what("GET", d.peer.url("/path?key=secret"));
            for (const auto& s : {d.send(by, what), d.read(by, what)}) {
                CHECK(s.ec == each.wanted);
                CHECK(s.ec == each.group);
                CHECK(s.ec.message() == each.said);
                CHECK(s.evidence.stage == stage::body);
                REQUIRE(s.error);
                const auto text = thrown_by<http::error>([&] { std::rethrow_exception(s.error); });
                const std::string shown = text.what();
                CAPTURE(shown);
                CHECK(shown.find("http GET \"" + d.peer.url("/path") + "\", decoding") == 0);
                CHECK(shown.find("secret") == std::string::npos);
                CHECK(shown.find("decoding.cpp:") != std::string::npos);
            }
            CHECK(by.stats().leased == 0);
        }
    }
}

TEST_CASE("decoding: a reader who goes on after an error gets it again")
{
    decoded d(http_peer::always(encoded("gzip", all_ways[0].encode("text") + "behind")));
    for (const auto& by : d.senders) {
        const auto reader = [&](http::incoming_response& in) -> asio::awaitable<void> {
            std::array<char, 100> some{};
            CHECK(co_await in.read_some(asio::buffer(some)) == 4);
            for (int i = 0; i != 3; ++i) {
                error_code ec;
                try {
                    co_await in.read_some(asio::buffer(some));
                } catch (const http::error& e) {
                    ec = e.code();
                }
                CHECK(ec == errc::bad_content);
            }
        };
        run_on(*d.context, by.with_response({"GET", d.peer.url()}, reader));
    }
}

TEST_CASE("decoding: limits::body_bytes bounds what send() returns, and a "
          "reader's buffer each read")
{
    constexpr std::size_t most = 100'000;
    http::client_options with;
    with.limits.body_bytes = most;
    for (const auto& way : all_ways) {
        CAPTURE(std::string(way.name));
        const auto script = [&](http_peer::caller& c) {
            for (auto head = c.read_request(); !head.empty(); head = c.read_request()) {
                const auto size = head.starts_with("GET /large")  ? 3'000'000
                                  : head.starts_with("GET /more") ? most + 1
                                                                  : most;
                c.write(encoded(way.coding->name(), way.encode(std::string(size, 'a'))));
            }
        };
        decoded d(script, with);
        for (const auto& by : d.senders) {
            CHECK((d.send(by, {"GET", d.peer.url("/most")}).answer.body == std::string(most, 'a')));
            CHECK(d.send(by, {"GET", d.peer.url("/more")}).ec == errc::body_too_large);
            CHECK(d.send(by, {"GET", d.peer.url("/large")}).ec == errc::body_too_large);
            const auto all = d.read(by, {"GET", d.peer.url("/large")}, 50'000);
            CHECK((all.answer.body == std::string(3'000'000, 'a')));
        }
    }
}

TEST_CASE("decoding: an event is there before the next one is sent")
{
    for (const auto& way : all_ways) {
        CAPTURE(std::string(way.name));
        decoded d([&](http_peer::caller& c) {
            for (auto head = c.read_request(); !head.empty(); head = c.read_request()) {
                const auto encoder = way.make();
                c.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: " +
                        std::string(way.coding->name()) + "\r\n\r\n");
                for (const auto* event : {"data: 1\n\n", "data: 2\n\n", "data: 3\n\n"}) {
                    c.write(encoder->flush(event));
                    c.peer().await_note(head.substr(0, 6) + event);
                }
                c.write(encoder->finish(""));
                c.close();
            }
        });
        std::string target = "/a";
        for (const auto& by : d.senders) {
            const auto reader = [&](http::incoming_response& in) -> asio::awaitable<int> {
                int events = 0;
                std::array<char, 100> some{};
                for (;; ++events) {
                    const auto n = co_await in.read_some(asio::buffer(some));
                    if (n == 0)
                        co_return events;
                    d.peer.note("GET " + target + std::string(some.data(), n));
                }
            };
            CHECK(run_on(*d.context, by.with_response({"GET", d.peer.url(target)}, reader)) == 3);
            target = "/b";
        }
    }
}

TEST_CASE("decoding: a reader that is cancelled in mid-body loses no "
          "connection and no permit")
{
    const auto body = all_ways[0].encode(content_test::noise(10'000));
    decoded d([&](http_peer::caller& c) {
        for (auto head = c.read_request(); !head.empty(); head = c.read_request()) {
            const auto text = encoded("gzip", body);
            if (head.starts_with("GET /half"))
                c.write(text.substr(0, text.size() / 2));
            else
                c.write(text);
        }
    });
    for (const auto& by : d.senders) {
        asio::cancellation_signal signal;
        std::size_t got = 0;
        std::optional<error_code> ended;
        const auto reader = [&](http::incoming_response& in) -> asio::awaitable<response> {
            std::array<char, 100> some{};
            for (;;) {
                got += co_await in.read_some(asio::buffer(some));
                if (got > 4000) // about all that has come: the next one waits
                    asio::post(*d.context, [&] { signal.emit(asio::cancellation_type::terminal); });
            }
        };
        asio::co_spawn(*d.context, watch(by.with_response({"GET", d.peer.url("/half")}, reader)),
                       asio::bind_cancellation_slot(
                           signal.slot(), [&](const std::exception_ptr& e, const seen& s) {
                               ended = e ? asio::error::operation_aborted : s.ec;
                           }));
        run_until(*d.context, [&] { return ended.has_value(); });
        CHECK(*ended == asio::error::operation_aborted);
        CHECK(got > 4000);
        CHECK(by.stats().leased == 0);
        CHECK((d.send(by, {"GET", d.peer.url("/all")}).answer.body == content_test::noise(10'000)));
    }
}

TEST_CASE("decoding: a context that dies in mid-body takes the reader along")
{
    const auto body = encoded("gzip", all_ways[0].encode(content_test::noise(10'000)));
    http_peer peer([&](http_peer::caller& c) {
        c.read_request();
        c.write(body.substr(0, body.size() / 2));
        c.await_end();
    });
    loopsafe::worker_threads workers;
    for (const bool offloaded : {false, true}) {
        CAPTURE(offloaded);
        std::optional<http::any_sender> by;
        std::size_t got = 0;
        bool destroyed = false;
        {
            asio::io_context dies;
            by = offloaded ? offloaded_client({}, &workers) | all_decoders()
                           : http::client(dies) | all_decoders();
            const auto reader = [&](http::incoming_response& in) -> asio::awaitable<void> {
                const std::shared_ptr<void> notes(nullptr, [&](void*) { destroyed = true; });
                std::array<char, 100> some{};
                for (;;)
                    got += co_await in.read_some(asio::buffer(some));
            };
            asio::co_spawn(dies, by->with_response({"GET", peer.url()}, reader), asio::detached);
            run_until(dies, [&] { return got > 4000; });
            CHECK_FALSE(destroyed);
        }
        CHECK(destroyed);
        if (!offloaded)
            CHECK(by->stats().leased == 0);
        by->close();
    }
}

TEST_CASE("decoding: content that stands for nothing gives others their turn, and send() takes "
          "only so much of it")
{
    std::string nothing;
    const auto member = content_test::zlib_encoder(15 + 16).finish("");
    while (nothing.size() < 1'000'000)
        nothing += member;
    content_test::brotli_encoder encoder(5);
    std::string body;
    for (int i = 0; i != 40; ++i)
        body += encoder.flush(nothing);
    body += encoder.finish("");
    REQUIRE(body.size() < 8'000); // it comes at once
    decoded d(http_peer::always(encoded("gzip, br", body)));
    for (const auto& by : d.senders)
        CHECK(d.get(by).ec == errc::body_too_large);
    bool begun = false;
    bool ended = false;
    int turns = 0;
    const std::function<void()> others = [&] {
        turns += begun ? 1 : 0;
        if (!ended)
            asio::post(*d.context, others);
    };
    const auto reader = [&](http::incoming_response& in) -> asio::awaitable<void> {
        begun = true;
        CHECK((co_await in.read_all(1'000)).empty());
        ended = true;
    };
    asio::post(*d.context, others);
    run_on(*d.context, d.senders[0].with_response({"GET", d.peer.url()}, reader));
    CHECK(turns >= 30);
}

TEST_CASE("decoding: content that expands without end gives others their turn")
{
    content_test::brotli_encoder encoder(5);
    std::string body;
    const std::string zeros(1'000'000, '\0');
    for (int i = 0; i != 64; ++i)
        body += encoder.flush(zeros);
    body += encoder.finish("");
    REQUIRE(body.size() < 8'000); // it comes at once
    std::atomic<bool> came = false;
    http::client_options with;
    with.limits.body_bytes = 100'000'000;
    with.on_event = [&](const http::event& e) {
        if (e.what == http::event::kind::returned)
            came = true;
    };
    decoded d(http_peer::always(encoded("br", body)), with);
    for (const auto& by : d.senders) {
        for (const bool reads : {true, false}) {
            CAPTURE(reads);
            asio::cancellation_signal signal;
            std::size_t got = 0;
            int turns = 0;
            std::optional<error_code> ended;
            const std::function<void()> others = [&] {
                if (ended)
                    return;
                turns += got != 0 || came ? 1 : 0;
                if (reads && turns == 3)
                    signal.emit(asio::cancellation_type::terminal);
                asio::post(*d.context, others);
            };
            const auto reader = [&](http::incoming_response& in) -> asio::awaitable<response> {
                std::string some(16 * 1024, '\0');
                for (std::size_t n = 1; n != 0; got += n)
                    n = co_await in.read_some(asio::buffer(some));
                co_return response();
            };
            auto asking = reads ? by.with_response({"GET", d.peer.url()}, reader)
                                : by.send({"GET", d.peer.url()});
            const auto note = [&](const std::exception_ptr& e, const seen& s) {
                ended = e ? asio::error::operation_aborted : s.ec;
            };
            came = false;
            asio::co_spawn(*d.context, watch(std::move(asking)),
                           asio::bind_cancellation_slot(signal.slot(), note));
            others();
            run_until(*d.context, [&] { return ended.has_value(); });
            if (reads) {
                CHECK(*ended == asio::error::operation_aborted);
                CHECK(got < 10'000'000);
            } else {
                CHECK_FALSE(*ended);
                CHECK(turns > 50);
            }
        }
    }
}

TEST_CASE("decoding: a decoded body is not read on another context, whatever "
          "has arrived of it")
{
    const auto text = page(2000);
    http_peer peer(http_peer::always(encoded("gzip", all_ways[0].encode(text))));
    two_contexts contexts;
    loopsafe::worker_threads workers;
    std::array<char, 10> some{};
    const auto refuses = [&](http::incoming_response& in) -> asio::awaitable<std::string> {
        const auto n = co_await in.read_some(asio::buffer(some));
        CHECK(n == some.size());
        const auto read = [&] { run_on(contexts.b, in.read_some(asio::buffer(some))); };
        CHECK(thrown_by<context_error>(read).code() == loopsafe::errc::wrong_context);
        co_return co_await in.read_all(10'000);
    };
    const auto at_home = http::client(contexts.a) | all_decoders();
    CHECK((run_on(contexts.a, at_home.with_response({"GET", peer.url()}, refuses)) ==
           text.substr(some.size())));

    const auto serves = [&](http::incoming_response& in) -> asio::awaitable<std::string> {
        std::string all;
        for (auto* context : {&contexts.a, &contexts.b}) {
            const auto n = run_on(*context, in.read_some(asio::buffer(some)));
            all.append(some.data(), n);
        }
        co_return all;
    };
    const auto anywhere = offloaded_client({}, &workers) | all_decoders();
    mortal_context third;
    CHECK(run_on(*third, anywhere.with_response({"GET", peer.url()}, serves)) ==
          text.substr(0, 2 * some.size()));
}

} // namespace

} // namespace decoding_tests
