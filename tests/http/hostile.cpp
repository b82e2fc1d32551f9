// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it is about bytes.
//
// Servers that break the protocol, on purpose or not, in the clear and over TLS, in one piece and a
// byte at a time. None hangs the client, none has its connection used again, and after each of them
// the client works. The decoder alone: decoder.cpp.

#include <algorithm>
#include <http/support.hpp>
#include <sstream>

namespace hostile_tests {

namespace {

using namespace http_test;
using namespace std::string_literals;

const std::string ok = "HTTP/1.1 200 OK\r\n";
const std::string sized = ok + "Content-Length: 5\r\n\r\n";
const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";

struct said {
    const char* name;
    std::string text;
    enum class what {
        refused,
        taken,    // but the connection is closed
        followed, // by bytes that belong to nothing: the connection is closed
        kept      // as far as the client can tell
    } is = what::refused;
    const char* method = "GET";
};

std::string times(int n, const std::string& text)
{
    std::string all;
    for (int i = 0; i != n; ++i)
        all += text;
    return all;
}

// Bytes, and then the end of the connection.
const std::vector<said>& bytes()
{
    static const std::vector<said> all{
        {"TE gzip with a length", ok + "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"},
        {"TE gzip, chunked",
         ok + "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
        {"TE chunked, gzip", ok + "Transfer-Encoding: chunked, gzip\r\n\r\nhello"},
        {"TE xchunked", ok + "Transfer-Encoding: xchunked\r\n\r\nhello"},
        {"TE chunked twice",
         ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {"TE in HTTP/1.0",
         "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n",
         said::what::taken},
        {"TE and CL", ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
        {"CL and TE", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {"two lengths", ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
        {"length +5", ok + "Content-Length: +5\r\n\r\nhello"},
        {"length -1", ok + "Content-Length: -1\r\n\r\nhello"},
        {"length 0x5", ok + "Content-Length: 0x5\r\n\r\nhello"},
        {"length empty", ok + "Content-Length:\r\n\r\nhello"},
        {"length 2^64", ok + "Content-Length: 18446744073709551616\r\n\r\nhello"},
        {"length 2^63", ok + "Content-Length: 9223372036854775808\r\n\r\nhello"},
        {"length beyond the limit", ok + "Content-Length: 8388609\r\n\r\nhello"},
        {"204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
         said::what::taken},
        {"304 with a body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
         said::what::followed},
        {"HEAD with a body", sized + "hello", said::what::followed, "HEAD"},
        {"bytes after the message", sized + "helloHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
         said::what::followed},
        {"two responses at once", sized + "hello" + sized + "world", said::what::followed},
        {"100 after the final one", sized + "helloHTTP/1.1 100 Continue\r\n\r\n",
         said::what::followed},
        {"bytes after the last chunk", chunked + "0\r\n\r\nx", said::what::followed},
        {"trailers that close", chunked + "0\r\nConnection: close\r\nX-T: evil\r\n\r\n",
         said::what::kept},
        {"2,000 trailers", chunked + "0\r\n" + times(2000, "T: v\r\n") + "\r\n"},
        {"trailers without end", chunked + "0\r\n" + std::string(20'000, 'T')},
        {"a 20 KB chunk extension",
         chunked + "5;" + std::string(20'000, 'x') + "\r\nhello\r\n0\r\n\r\n"},
        {"64 leading zeros", chunked + std::string(64, '0') + "5\r\nhello\r\n0\r\n\r\n"},
        {"chunk of 2^64", chunked + "10000000000000000\r\nhello"},
        {"chunk -1", chunked + "-1\r\nhello\r\n0\r\n\r\n"},
        {"chunk 0x5", chunked + "0x5\r\nhello\r\n0\r\n\r\n"},
        {"chunk without a size", chunked + "\r\nhello\r\n0\r\n\r\n"},
        {"chunk with LF only", chunked + "5\nhello\n0\n\n"},
        {"LF in an extension", chunked + "5;a\nb\r\nhello\r\n0\r\n\r\n"},
        {"chunk too long", chunked + "5\r\nhello!\r\n0\r\n\r\n"},
        {"chunk too short", chunked + "5\r\nhell\r\n0\r\n\r\n"},
        {"no last chunk", chunked + "5\r\nhello\r\n"},
        {"no CRLF after the last chunk", chunked + "5\r\nhello\r\n0\r\n"},
        {"601 fields", ok + times(601, "A: b\r\n") + "Content-Length: 0\r\n\r\n"},
        {"a head of 100 KB", ok + "A: " + std::string(100'000, 'x') + "\r\n\r\n"},
        {"a field on two lines", ok + "A: b\r\n c\r\nContent-Length: 0\r\n\r\n", said::what::kept},
        {"status 099", "HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n", said::what::kept},
        {"status 999", "HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n", said::what::kept},
        {"no reason", "HTTP/1.1 301\r\nContent-Length: 0\r\n\r\n", said::what::kept},
        {"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
         said::what::kept},
        {"a Connection that cannot be read",
         ok + "Connection: a b\r\nContent-Length: 5\r\n\r\nhello", said::what::taken},
        {"white space before a chunk extension", chunked + "5 ;a\r\nhello\r\n0\r\n\r\n",
         said::what::kept},
        {"a chunk extension without a name", chunked + "5;\r\nhello\r\n0\r\n\r\n"},
        {"a chunk extension that is not closed", chunked + "5;a=\"b\r\nhello\r\n0\r\n\r\n"},
        {"status 1000", "HTTP/1.1 1000 No\r\nContent-Length: 0\r\n\r\n"},
        {"six 100", times(6, "HTTP/1.1 100 Continue\r\n\r\n") + sized + "hello"},
        {"101", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
        {"HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
        {"HTTP/0.9", "<html></html>"},
        {"lower case", "http/1.1 200 ok\r\nContent-Length: 0\r\n\r\n"},
        {"an empty line first", "\r\n" + sized + "hello"},
        {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
        {"NUL in a value", ok + "A: b\0c\r\nContent-Length: 0\r\n\r\n"s},
        {"NUL in the reason", "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"s},
        {"CR in a value", ok + "A: b\rc\r\nContent-Length: 0\r\n\r\n"},
        {"space before the colon", ok + "Content-Length : 5\r\n\r\nhello"},
        {"no name", ok + ": b\r\nContent-Length: 0\r\n\r\n"},
        {"no colon", ok + "A\r\nContent-Length: 0\r\n\r\n"},
        {"8-bit name", ok + "\xc3\xa4: b\r\nContent-Length: 0\r\n\r\n"},
        {"nothing", ""},
        {"half a status line", "HTTP/1.1 20"},
        {"half a head", ok + "A: b\r\n"},
        {"half a body", sized + "hel"},
        {"TLS in the clear, or the other way", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s},
        {"a body to the end", ok + "\r\nhello", said::what::taken},
        {"close that is said", ok + "Connection: close\r\nContent-Length: 5\r\n\r\nhello",
         said::what::taken},
        {"keep-alive that closes", ok + "Connection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
         said::what::kept},
        {"1,000 cookies", ok + times(1000, "Set-Cookie: a=b\r\n") + "Content-Length: 0\r\n\r\n"},
    };
    return all;
}

struct tally {
    int cases = 0;
    int accepted = 0;
    int rejected = 0;
    int hung = 0;
    int reused = 0;
};

std::ostream& operator<<(std::ostream& out, const tally& t)
{
    return out << t.cases << " cases, " << t.accepted << " accepted, " << t.rejected
               << " rejected, " << t.hung << " hung, " << t.reused << " used again";
}

} // namespace

TEST_CASE("http hostile: what a server may send is taken or refused, and its connection is closed")
{
    tally seen;
    for (const bool secure : {false, true}) {
        for (const bool drips : {false, true}) {
            const said* now = nullptr;
            linked l(combination::keep_alive_on_context, secure, [&](http_peer::caller& c) {
                if (c.read_request().find(" /bad ") == std::string::npos) {
                    c.write(answer("good"));
                    return;
                }
                // A byte at a time, but not a hundred thousand.
                drips && now->text.size() < 4000 ? c.drip(now->text) : c.write(now->text);
                c.say_goodbye();
                c.close();
                c.await_end();
            });
            for (const auto& each : bytes()) {
                // A late byte that belongs to nothing cannot be told from the next response.
                if (drips && each.is == said::what::followed)
                    continue;
                now = &each;
                CAPTURE(std::string(each.name));
                CAPTURE(secure);
                CAPTURE(drips);
                const auto s = l.send({each.method, "/bad"});
                ++seen.cases;
                ++(s.ec ? seen.rejected : seen.accepted);
                seen.hung += s.ec == errc::timed_out ? 1 : 0;
                CAPTURE(s.ec);
                CHECK(s.ec.failed() == (each.is == said::what::refused));
                if (s.ec)
                    CHECK((s.ec == condition::protocol || s.ec == condition::limit ||
                           s.ec == condition::connection_lost));
                const auto good = l.get("/good");
                CHECK(good.answer.body == "good");
                if (each.is != said::what::kept && good.evidence.reused)
                    ++seen.reused;
                l.client->invalidate();
            }
        }
    }
    MESSAGE(seen);
    const auto followed = std::count_if(bytes().begin(), bytes().end(), [](const said& each) {
        return each.is == said::what::followed;
    });
    CHECK(seen.cases == 4 * static_cast<int>(bytes().size()) - 2 * followed);
    CHECK(seen.hung == 0);
    CHECK(seen.reused == 0);
}

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
