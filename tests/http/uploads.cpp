// SPDX-License-Identifier: BSL-1.0
// Servers that speak before they have the whole request.
#include <doctest/doctest.h>

#include <functional>
#include <http/each_client.hpp>
#include <http/support.hpp>
#include <optional>
#include <semaphore>
#include <string>
#include <vector>

namespace uploads_tests {

namespace {

using namespace http_test;

constexpr std::size_t large = 20'000'000; // more than the system takes of what nobody reads

// The same body in each of the ways to send it.
std::vector<request> uploads(std::size_t size)
{
    const auto make = [size](http::body_writer& out) -> asio::awaitable<void> {
        const std::string part(10'000, 'x');
        for (std::size_t sent = 0; sent != size; sent += part.size()) {
            if (!co_await out.write(part))
                break;
        }
    };
    std::vector<request> all;
    all.emplace_back("POST", "/", std::string(size, 'x'));
    all.emplace_back("POST", "/", http::request_body::streamed(make, size));
    all.emplace_back("POST", "/", http::request_body::streamed(make));
    for (auto& each : all) {
        each.timeouts.emplace();
        each.timeouts->write = each.timeouts->gap = std::chrono::seconds(10); // fail, not hang
    }
    return all;
}

// How much of a body comes, as far as the client sends it.
std::size_t read_body(http_peer::caller& c, std::size_t size)
{
    std::size_t got = 0;
    while (got < size) {
        const auto part = c.read_part();
        if (part.empty())
            break;
        got += part.size();
    }
    return got;
}

TEST_CASE("http uploads: a refusal is heard by a client that is stuck in its body")
{
    with_each_client([](combination what, bool secure) {
        std::counting_semaphore<> heard{0};
        linked l(what, secure, [&](http_peer::caller& c) {
            c.read_until(" HTTP/1.1\r\n");
            c.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
            heard.acquire(); // and reads no more
        });
        auto all = uploads(large);
        all.emplace_back("GET", "/");
        all.back().headers.add("X-Large", std::string(large, 'x'));
        all.back().timeouts = all.front().timeouts;
        for (auto& each : all) {
            const auto s = l.send(std::move(each));
            heard.release();
            CHECK(s.ec == error_code());
            CHECK(s.answer.status == 413);
            CHECK(s.answer.body == "big");
            CHECK(l.client->stats().idle == 0);
        }
    });
}

TEST_CASE("http uploads: a success that begins before the end of the request does not end it")
{
    with_each_client([](combination what, bool secure) {
        linked l(what, secure, [&](http_peer::caller& c) {
            const auto head = c.read_until("\r\n\r\n");
            c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            // Chunked, it ends with its last chunk.
            std::size_t got = 0;
            if (head.find("Content-Length") != std::string::npos) {
                got = read_body(c, large);
            } else {
                std::string tail;
                while (!tail.ends_with("\r\n0\r\n\r\n")) {
                    const auto part = c.read_part();
                    if (part.empty())
                        break;
                    tail =
                        (tail + part)
                            .substr(tail.size() + part.size() < 9 ? 0
                                                                  : tail.size() + part.size() - 9);
                    got += part.size();
                }
            }
            if (got >= large)
                c.write("5\r\nworld\r\n0\r\n\r\n");
            c.say_goodbye();
        });
        for (auto& each : uploads(large)) {
            const auto s = l.send(std::move(each));
            CHECK(s.ec == error_code());
            CHECK(s.answer.body == "helloworld");
            l.client->invalidate();
        }
    });
}

TEST_CASE("http uploads: a server may answer with what it is being sent")
{
    with_each_client([](combination what, bool secure) {
        if (!hears_while_sending(what))
            return;
        const auto allow = [](http::single_use_client_options& o) { o.limits.body_bytes = large; };
        const auto echo = [&](http_peer::caller& c) {
            while (!c.read_until("\r\n\r\n").empty()) {
                c.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(large) + "\r\n\r\n");
                for (std::size_t left = large; left != 0;) {
                    const auto part = c.read_part();
                    if (part.empty() || !c.write(part))
                        return;
                    left -= part.size();
                }
            }
        };
        linked l(what, secure, echo, allow);
        for (int i = 0; i != 2; ++i) {
            const auto s = l.send(std::move(uploads(large).front()));
            CHECK(s.ec == error_code());
            CHECK(s.answer.body == std::string(large, 'x'));
            CHECK(s.evidence.reused == (i != 0 && keeps(what)));
        }
    });
}

TEST_CASE("http uploads: a whole success does not end the request, unless it ends the connection")
{
    with_each_client([](combination what, bool secure) {
        if (!hears_while_sending(what))
            return;
        std::size_t got = 0;
        linked l(what, secure, [&](http_peer::caller& c) {
            while (!c.read_until("\r\n\r\n").empty()) {
                c.write(answer("taken"));
                got = read_body(c, large);
            }
        });
        for (int i = 0; i != 2; ++i) {
            const auto s = l.send(std::move(uploads(large)[1]));
            CHECK(s.ec == error_code());
            CHECK(s.answer.body == "taken");
            l.client->invalidate();
        }
        l.peer.await_ended(2);
        CHECK(got == large);

        std::counting_semaphore<> heard{0};
        linked closing(what, secure, [&](http_peer::caller& c) {
            c.read_until("\r\n\r\n");
            c.write(answer("enough", "Connection: close\r\n"));
            heard.acquire(); // and reads no more
        });
        for (auto& each : uploads(large)) {
            const auto s = closing.send(std::move(each));
            heard.release();
            CHECK(s.ec == error_code());
            CHECK(s.answer.body == "enough");
        }
    });
}

TEST_CASE("http uploads: a body that ends with the connection is not whole after a reset")
{
    with_each_client([](combination what, bool secure) {
        linked l(what, secure, [&](http_peer::caller& c) {
            c.read_until("\r\n\r\n");
            c.write("HTTP/1.1 200 OK\r\n\r\nthe first half;");
            c.reset();
        });
        for (auto& each : uploads(large)) {
            const auto s = l.send(std::move(each));
            CHECK(s.ec == condition::connection_lost);
            CHECK(l.client->stats().idle == 0);
        }
    });
}

TEST_CASE("http uploads: a peer that asks twice for new keys gets them in the middle of a body")
{
    http_peer peer(
        [](http_peer::caller& c) {
            c.read_until("\r\n\r\n");
            c.peer().note("begun");
            c.peer().await_note("stuck");
            for (int i = 0; i != 2; ++i)
                certificates::require(SSL_key_update(c.ssl(), SSL_KEY_UPDATE_REQUESTED) == 1 &&
                                      SSL_do_handshake(c.ssl()) == 1);
            c.peer().note("asked");
            c.peer().await_note("heard");
            c.write(answer(std::to_string(read_body(c, large))));
            c.await_end();
        },
        true);
    asio::io_context context(1);
    http::single_use_client_options with;
    with.tls.trusted_file = peer.root_file();
    const auto client = make_client(combination::keep_alive_on_context, context, with);
    std::optional<seen> ended;
    asio::co_spawn(context, watch(client->send({"POST", peer.url(), std::string(large, 'x')})),
                   [&](const std::exception_ptr&, seen s) { ended = std::move(s); });
    const auto listen_until = [&](const char* note) {
        std::thread noted([&] {
            peer.await_note(note);
            asio::post(context, [&] { context.stop(); });
        });
        context.run();
        context.restart();
        noted.join();
        run_ready(context);
    };
    listen_until("begun");
    peer.note("stuck");
    listen_until("asked");
    peer.note("heard");
    run_until(context, [&] { return ended.has_value(); });
    CHECK(ended->ec == error_code());
    CHECK(ended->answer.body == std::to_string(large));
}

TEST_CASE("http uploads: half a record does not stop the client")
{
    with_each_client([](combination what, bool secure) {
        linked l(what, secure, [&](http_peer::caller& c) {
            c.read_until("\r\n\r\n");
            const auto early = c.seal("HTTP/1.1 103 Early Hints\r\n\r\n");
            c.send(early.substr(0, 10));
            if (read_body(c, large) != large)
                return;
            c.send(early.substr(10));
            c.write(answer("all of it"));
        });
        auto whole = uploads(large);
        for (std::size_t i = 0; i != 2; ++i) {
            const auto s = l.send(std::move(whole[i]));
            CHECK(s.ec == error_code());
            CHECK(s.answer.body == "all of it");
            l.client->invalidate();
        }
    });
}

TEST_CASE("http uploads: a refusal is heard behind something else that came with it")
{
    with_each_client([](combination what, bool secure) {
        std::counting_semaphore<> stuck{0}, heard{0};
        bool begun = false;
        mortal_context* context = nullptr;
        linked l(what, secure, [&](http_peer::caller& c) {
            c.read_until(" HTTP/1.1\r\n");
            auto both = c.seal("HTTP/1.1 100 Continue\r\n\r\n");
            both += c.seal("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
            asio::post(**context, [&] { begun = true; });
            stuck.acquire();
            c.send(both);
            heard.acquire(); // and reads no more
        });
        context = &l.context;
        for (auto& each : uploads(large)) {
            begun = false;
            std::optional<seen> s;
            asio::co_spawn(*l.context, watch(l.client->send(std::move(each))),
                           [&](const std::exception_ptr&, seen result) { s = std::move(result); });
            run_until(*l.context, [&] { return begun; });
            while (l.context->poll() != 0) {} // a client of this context is stuck then
            stuck.release();
            run_until(*l.context, [&] { return s.has_value(); });
            heard.release();
            CHECK(s->answer.status == 413);
            CHECK(s->answer.body == "big");
        }
    });
}

} // namespace

} // namespace uploads_tests
