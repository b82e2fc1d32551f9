// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it is about bytes.
//
// Servers that never end, do not accept or do not read, on purpose or not, in the clear and over
// TLS. None hangs the client, none has its connection used again, and after each of them the client
// works. What a server may send: vectors.cpp.

#include <functional>
#include <http/support.hpp>
#include <vector>

namespace hostile_tests {

namespace {

using namespace http_test;

const std::string ok = "HTTP/1.1 200 OK\r\n";
const std::string sized = ok + "Content-Length: 5\r\n\r\n";
const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";

std::string times(int n, const std::string& text)
{
    std::string all;
    for (int i = 0; i != n; ++i)
        all += text;
    return all;
}

} // namespace

TEST_CASE("http hostile: a server that never ends is ended by a deadline or a limit")
{
    struct endless {
        const char* name;
        std::function<void(http_peer::caller&)> behave;
        errc ends;
    };
    const auto for_ever = [](const std::string& first, const std::string& again) {
        return [=](http_peer::caller& c) {
            if (c.write(first))
                while (c.write(again)) {}
        };
    };
    const auto once = [](const std::string& text) {
        return [=](http_peer::caller& c) {
            c.write(text);
            c.await_end();
        };
    };
    const std::vector<endless> all{
        {"never answers", once(""), errc::timed_out},
        {"half a head", once(ok + "A: b"), errc::timed_out},
        {"half a body", once(sized + "he"), errc::timed_out},
        {"stalls in a chunk", once(chunked + "5\r\nhe"), errc::timed_out},
        {"stalls between CR and LF", once(chunked + "5\r\nhello\r"), errc::timed_out},
        {"stalls before the last CRLF", once(chunked + "0\r\n"), errc::timed_out},
        {"100 and no more", once("HTTP/1.1 100 Continue\r\n\r\n"), errc::timed_out},
        {"a body to an end that never comes", once(ok + "\r\nhello"), errc::timed_out},
        {"head bytes without end", for_ever(ok + "A: ", std::string(1000, 'x')),
         errc::head_too_large},
        {"head lines without end", for_ever(ok, times(100, "A: b\r\n")), errc::head_too_large},
        {"100 without end", for_ever("", times(100, "HTTP/1.1 100 Continue\r\n\r\n")),
         errc::too_many_interim},
        {"a body without end", for_ever(ok + "\r\n", std::string(10'000, 'x')),
         errc::body_too_large},
        {"chunks without end", for_ever(chunked, times(1000, "1\r\nx\r\n")), errc::body_too_large},
        {"extensions without end", for_ever(chunked + "1;", std::string(1000, 'x')),
         errc::extensions_too_large},
        {"trailers without end", for_ever(chunked + "0\r\n", times(100, "T: v\r\n")),
         errc::trailers_too_large},
    };
    for (const auto what :
         {combination::keep_alive_on_context, combination::keep_alive_offloaded}) {
        for (const bool secure : {false, true}) {
            const endless* now = nullptr;
            linked l(
                what, secure,
                [&](http_peer::caller& c) {
                    if (c.read_request().find(" /bad ") == std::string::npos)
                        c.write(answer("good"));
                    else
                        now->behave(c);
                },
                [](http::single_use_client_options& o) {
                    o.limits.body_bytes = 100'000;
                    o.limits.fields = 100'000;
                });
            for (const auto& each : all) {
                now = &each;
                CAPTURE(std::string(each.name));
                CAPTURE(std::string(name_of(what)));
                CAPTURE(secure);
                request bad("GET", "/bad");
                bad.timeouts.emplace();
                bad.timeouts->first_byte = bad.timeouts->gap = 50ms;
                const auto s = l.send(std::move(bad));
                // Where nothing ends, a machine under load may be slower than the deadline.
                CHECK((s.ec == each.ends || s.ec == errc::timed_out));
                CHECK(l.client->stats().idle == 0);
                CHECK(l.client->stats().leased == 0);
                CHECK(l.get("/good").answer.body == "good");
            }
        }
    }
}

TEST_CASE("http hostile: a server that does not accept, or does not read")
{
    for (const auto what : {combination::keep_alive_on_context, combination::null_offloaded}) {
        CAPTURE(std::string(name_of(what)));
        // A queue of one that nobody empties: further connects get no answer.
        asio::io_context io(1);
        asio::ip::tcp::acceptor full(io);
        full.open(asio::ip::tcp::v4());
        full.bind({asio::ip::address_v4::loopback(), 0});
        full.listen(0);
        asio::ip::tcp::socket first(io);
        first.connect(full.local_endpoint());
        const auto at = "http://127.0.0.1:" + std::to_string(full.local_endpoint().port()) + '/';
        asio::io_context context(1);
        http::single_use_client_options with;
        with.timeouts.connect = with.timeouts.tls = with.timeouts.write = 50ms;
        const auto client = make_client(what, context, with);
        const auto refused = run_on(context, watch(client->get(at)));
        CHECK(refused.ec == errc::timed_out);
        CHECK(refused.evidence.stage == stage::connect);
        CHECK(refused.evidence.timeout == "connect");
        CHECK(refused.evidence.allowed == 50ms);

        // Connected, and not a byte of TLS comes back.
        first = full.accept();
        const auto mute = run_on(context, watch(client->get("https" + at.substr(4))));
        CHECK(mute.ec == errc::timed_out);
        CHECK(mute.evidence.stage == stage::tls);
        CHECK(mute.evidence.timeout == "tls");

        http_peer deaf([](http_peer::caller& c) {
            c.read_until("\r\n\r\n");
            c.peer().await_note("done"); // its end would come after what it does not read
        });
        const auto stalled = run_on(
            context, watch(client->send({"POST", deaf.url(), std::string(50'000'000, 'x')})));
        CHECK(stalled.ec == errc::timed_out);
        CHECK(stalled.evidence.stage == stage::write);
        CHECK(stalled.evidence.timeout == "write");
        CHECK(stalled.evidence.bytes_sent > 0);
        deaf.note("done");
        client->close();
    }
}

} // namespace hostile_tests
