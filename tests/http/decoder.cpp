// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// The bytes that a server may send: what is taken, what is refused, and after what the connection
// may be used again. Each whole, byte by byte, and cut in two at every place.

#include <loopsafe/http/detail/wire/response_decoder.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace decoder_tests {

namespace {

using namespace loopsafe::http;
using loopsafe::error_code;
using namespace std::string_literals;

struct verdict {
    error_code ec;
    int status = 0;
    std::string reason = {};
    std::string body = {};
    std::string trailers = {};
    std::string left = {}; // of what was given
    bool done = false;
    bool kept = false; // the connection can be used again

    bool operator==(const verdict&) const = default;
};

std::ostream& operator<<(std::ostream& out, const verdict& v)
{
    return out << v.ec.message() << ", status " << v.status << ", body \"" << v.body << "\", left "
               << v.left.size() << (v.done ? ", done" : "") << (v.kept ? ", kept" : "");
}

struct situation {
    bool to_head = false;
    bool ends = false; // the peer closes after the last byte
    limits most = {};
};

// `pieces`: where the text is cut, in ascending order.
verdict decode(std::string_view text, const situation& in, const std::vector<std::size_t>& pieces)
{
    verdict v;
    response answer;
    detail::response_decoder decoder(in.most, in.to_head, answer, answer.trailers);
    std::string buffered;
    std::size_t given = 0;
    for (std::size_t i = 0; i <= pieces.size() && !v.ec; ++i) {
        const auto end = i == pieces.size() ? text.size() : pieces[i];
        buffered.append(text.substr(given, end - given));
        given = end;
        while (!buffered.empty() && !decoder.done() && !v.ec) {
            const bool in_head = !decoder.head_done();
            const auto step = decoder.put(buffered, v.ec);
            answer.body.append(step.body);
            buffered.erase(0, step.used);
            if (step.used == 0 && in_head && !decoder.head_done())
                break;
            if (step.used == 0 && !v.ec)
                CHECK(in_head); // no progress where there was something to take
        }
    }
    if (!v.ec && !decoder.done() && in.ends)
        decoder.end_of_stream(v.ec);
    v.done = decoder.done() && !v.ec;
    v.kept = v.done && decoder.keeps_alive() && buffered.empty();
    if (v.done) {
        v.status = answer.status;
        v.reason = answer.reason;
        v.body = answer.body;
        v.left = buffered;
        for (const auto [name, value] : answer.trailers)
            v.trailers += std::string(name) + '=' + std::string(value) + ';';
    }
    return v;
}

// All ways to cut it come to the same.
verdict decode(std::string_view text, const situation& in = {})
{
    const auto whole = decode(text, in, {});
    if (text.size() < 2000) {
        std::vector<std::size_t> each(text.size());
        for (std::size_t i = 0; i != text.size(); ++i)
            each[i] = i;
        auto drop = decode(text, in, each);
        CHECK(drop == whole);
        for (std::size_t i = 1; i < text.size(); ++i) {
            const auto halves = decode(text, in, {i});
            CHECK(halves == whole);
        }
    }
    return whole;
}

const std::string ok = "HTTP/1.1 200 OK\r\n";

std::string chunked(const std::string& body)
{
    return ok + "Transfer-Encoding: chunked\r\n\r\n" + body;
}

void taken(const std::string& text, const std::string& body, bool kept, const situation& in = {})
{
    CAPTURE(text);
    const auto v = decode(text, in);
    CAPTURE(v);
    CHECK(v.done);
    CHECK(v.body == body);
    CHECK(v.kept == kept);
}

void refused(const std::string& text, errc because, situation in = {.ends = true})
{
    CAPTURE(text);
    const auto v = decode(text, in);
    CAPTURE(v);
    CHECK(v.ec == because);
    CHECK(!v.kept);
}

TEST_CASE("responses that end where they say leave the connection to the next request")
{
    taken(ok + "Content-Length: 5\r\n\r\nhello", "hello", true);
    taken(ok + "Content-Length: 0\r\n\r\n", "", true);
    taken(ok + "content-length:5\r\n\r\nhello", "hello", true);
    taken(ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "hello", true);
    taken(chunked("5\r\nhello\r\n0\r\n\r\n"), "hello", true);
    taken(chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), "hello world", true);
    taken(chunked("0\r\n\r\n"), "", true);
    taken(chunked("00000005;a;b=c;d=\"e\"\r\nhello\r\n0;x\r\n\r\n"), "hello", true);
    taken(chunked("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789", true);
    taken("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "", true);
    taken("HTTP/1.1 301\r\nContent-Length: 0\r\n\r\n", "", true);
    taken("HTTP/1.1 204 No Content\r\n\r\n", "", true);
    taken("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", "", true);
    taken("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", true);
    taken("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", "x", true);
    taken(ok + "Content-Length: 5\r\n\r\n", "", true, {.to_head = true});
    taken(ok + "Transfer-Encoding: chunked\r\n\r\n", "", true, {.to_head = true});
    taken(ok + "Content-Length: 5 , 5\r\n\r\nhello", "hello", true);
    for (const std::string coding : {", chunked", "chunked,", ",\t, Chunked ,"})
        taken(ok + "Transfer-Encoding: " + coding + "\r\n\r\n1\r\nx\r\n0\r\n\r\n", "x", true);
}

TEST_CASE("chunk extensions are taken with the white space that some servers send")
{
    for (const std::string extension :
         {" ;a", "\t; a", ";a=b", "; a = b", ";a=\"\"", ";a=\"b;\\\"c\" ; d", ";a ;b", ";a=b;c"})
        taken(chunked("2" + extension + "\r\nhi\r\n0" + extension + "\r\n\r\n"), "hi", true);
}

TEST_CASE("responses after which the connection is closed are still responses")
{
    taken(ok + "Connection: close\r\nContent-Length: 5\r\n\r\nhello", "hello", false);
    taken(ok + "Connection: x, Close\r\nContent-Length: 5\r\n\r\nhello", "hello", false);
    taken("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false);
    taken("HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 1\r\n\r\nx", "x",
          false);
    taken(ok + "\r\nuntil the end", "until the end", false, {.ends = true});
    taken(ok + "\r\n", "", false, {.ends = true});
    taken("HTTP/1.0 200 OK\r\n\r\nold", "old", false, {.ends = true});
    taken("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
          "1\r\nx\r\n0\r\n\r\n",
          "x", false);
    for (const std::string connection : {"a b", "keep-alive; x", "\"close\"", "keep-alive, ="})
        taken(ok + "Connection: " + connection + "\r\nContent-Length: 1\r\n\r\nx", "x", false);
    taken(ok + "Proxy-Connection: close\r\nContent-Length: 1\r\n\r\nx", "x", false);
}

TEST_CASE("a Transfer-Encoding other than chunked is refused (gaps 1 to 3)")
{
    refused(ok + "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
            errc::transfer_coding);
    refused(ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", errc::transfer_coding);
    refused(ok + "Transfer-Encoding: chunked, gzip\r\n\r\nx", errc::transfer_coding);
    refused(ok + "Transfer-Encoding: xchunked\r\n\r\nx", errc::transfer_coding);
    refused(ok + "Transfer-Encoding: identity\r\n\r\nx", errc::transfer_coding);
    refused(ok + "Transfer-Encoding:\r\n\r\nx", errc::transfer_coding);
    refused(ok + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", errc::transfer_coding);
    refused(ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", errc::transfer_coding);
    refused(ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            errc::transfer_coding);
    refused(ok + "Transfer-Encoding: ,\r\n\r\nx", errc::transfer_coding);
}

TEST_CASE("a further Transfer-Encoding that lists nothing changes nothing")
{
    const std::string chunks = "\r\n1\r\nx\r\n0\r\n\r\n";
    taken(ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n" + chunks, "x", true);
    refused(ok + "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n" + chunks,
            errc::transfer_coding);
}

TEST_CASE("what a terminal would obey is blank in the reason")
{
    CHECK(decode("HTTP/1.1 200 a\x1b[31mb\x7f\r\nContent-Length: 0\r\n\r\n").reason == "a [31mb ");
}

TEST_CASE("an answer in TLS is called that, after its first byte")
{
    refused("\x15", errc::tls_answer); // an alert
    refused("\x16\x03\x03", errc::tls_answer);
    refused("\x17", errc::bad_version);
}

TEST_CASE("after a Transfer-Encoding in HTTP/1.0 the connection is not used again (gap 4)")
{
    const std::string old = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n";
    taken(old + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "x", false);
    refused(old + "Transfer-Encoding: gzip\r\n\r\nx", errc::transfer_coding);
}

TEST_CASE("after a body that must not be there the connection is not used again (gap 5)")
{
    taken("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "", false);
    taken("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "", false);
    taken("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", false);
    taken("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "", false);
    taken("HTTP/1.1 304 Not Modified\r\n\r\nhello", "", false);
    taken("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "", false);
    taken(ok + "Content-Length: 5\r\n\r\nhello", "", false, {.to_head = true});
}

TEST_CASE("after bytes that follow a response the connection is not used again (gap 6)")
{
    const auto v = decode(ok + "Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n");
    CHECK(v.done);
    CHECK(v.body == "hello");
    CHECK(v.left == "HTTP/1.1 200 OK\r\n\r\n");
    CHECK(!v.kept);
    taken(chunked("0\r\n\r\nx"), "", false);
    taken(ok + "Content-Length: 0\r\n\r\n\r\n", "", false);
}

TEST_CASE("trailers are kept apart, and change nothing (gap 7)")
{
    const auto v = decode(chunked("1\r\nx\r\n0\r\nX-T: a\r\nConnection: close\r\nx-t:b \r\n"
                                  "Content-Length: 7\r\n\r\n"));
    CHECK(v.body == "x");
    CHECK(v.trailers == "X-T=a;Connection=close;x-t=b;Content-Length=7;");
    CHECK(v.kept);
}

TEST_CASE("trailers, chunk extensions and leading zeros are bounded (gap 8)")
{
    std::string many = "0\r\n";
    for (int i = 0; i != 129; ++i)
        many += "T: v\r\n";
    refused(chunked(many + "\r\n"), errc::trailers_too_large);
    refused(chunked("0\r\nT: " + std::string(17000, 'v') + "\r\n\r\n"), errc::trailers_too_large);
    refused(chunked("1;" + std::string(17000, 'x') + "\r\nx\r\n0\r\n\r\n"),
            errc::extensions_too_large);
    std::string drip;
    for (int i = 0; i != 1000; ++i)
        drip += "1;" + std::string(20, 'x') + "\r\nx\r\n";
    refused(chunked(drip), errc::extensions_too_large);
    refused(chunked(std::string(64, '0') + "1\r\nx\r\n0\r\n\r\n"), errc::bad_chunk);
    taken(chunked(std::string(15, '0') + "1\r\nx\r\n0\r\n\r\n"), "x", true);
}

TEST_CASE("the fields of a head are counted (gap 9)")
{
    std::string many = ok;
    for (int i = 0; i != 128; ++i)
        many += "A: b\r\n";
    refused(many + "Content-Length: 0\r\n\r\n", errc::too_many_fields);
    refused(ok + "A: b\r\nA: b\r\nA: b\r\n\r\n", errc::too_many_fields,
            {.ends = true, .most = {.fields = 2}});
    taken(many + "\r\n", "", false, {.ends = true});
}

TEST_CASE("a folded field is one line with spaces in it, also where that decides (gap 10)")
{
    const auto value = [](const std::string& field) {
        response answer;
        const limits most;
        detail::response_decoder decoder(most, false, answer, answer.trailers);
        error_code ec;
        const auto text = ok + field + "\r\nB: z\r\nContent-Length: 0\r\n\r\n";
        taken(text, "", true);
        decoder.put(text, ec);
        CHECK(answer.headers["b"] == "z");
        return std::string(answer.headers["a"]);
    };
    CHECK(value("A: b\r\n c") == "b   c");
    CHECK(value("A: b\r\n\tc") == "b  \tc");
    CHECK(value("A: b\r\n c\r\n d") == "b   c   d");
    CHECK(value("A:\r\n c") == "c");
    CHECK(value("A: \r\n \r\n c") == "c");
    CHECK(value("A: b\r\n ") == "b");
    CHECK(value("A: \t ").empty());
    taken(ok + "Transfer-Encoding:\r\n chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "x", true);
    taken(ok + "Connection:\r\n close\r\nContent-Length: 0\r\n\r\n", "", false);
    refused(ok + "Content-Length: 1\r\n 2\r\n\r\nx", errc::bad_head);
    refused(ok + " A: b\r\nContent-Length: 0\r\n\r\n", errc::bad_head);
    refused(ok + "A\r\n : b\r\nContent-Length: 0\r\n\r\n", errc::bad_head);
    refused(ok + "A: b\r\n c\n\r\n", errc::bad_head);
    refused(ok + "A: b\r\n c\rd\r\n\r\n", errc::bad_head);

    const auto v = decode(chunked("0\r\nT: b\r\n c\r\n\td\r\nU:\r\n e\r\nV: f\r\n \r\n\r\n"));
    CHECK(v.trailers == "T=b   c  \td;U=e;V=f;");
    CHECK(v.kept);
    refused(chunked("0\r\nT\r\n : b\r\n\r\n"), errc::bad_trailer);
}

TEST_CASE("a status is three digits (gap 11)")
{
    for (const std::string status : {"1000", "20", "2 0", "abc", "-200", "2x0", ""}) {
        CAPTURE(status);
        refused("HTTP/1.1 " + status + " OK\r\nContent-Length: 0\r\n\r\n", errc::bad_status);
    }
    refused("HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n", errc::bad_status);
    refused("HTTP/1.1 20\r\nContent-Length: 0\r\n\r\n", errc::bad_status);
    refused("HTTP/1.1 \r\nContent-Length: 0\r\n\r\n", errc::bad_status);
    for (const std::string status : {"000", "099", "299", "599", "600", "999"}) {
        CAPTURE(status);
        const auto v = decode("HTTP/1.1 " + status + " Odd\r\nContent-Length: 1\r\n\r\nx");
        CHECK(v.done);
        CHECK(v.body == "x");
        CHECK(v.status == std::stoi(status));
    }
}

TEST_CASE("interim responses are passed over, and counted (gap 12)")
{
    const std::string final = ok + "Content-Length: 1\r\n\r\nx";
    const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    taken("HTTP/1.1 100 Continue\r\n\r\n" + final, "x", true);
    taken(interim + interim + "HTTP/1.1 102 Processing\r\n\r\n" + final, "x", true);
    std::string many;
    for (int i = 0; i != 5; ++i)
        many += interim;
    taken(many + final, "x", true);
    refused(many + interim + final, errc::too_many_interim);
    refused(interim, errc::incomplete);
    // Nothing of an interim response is left in the final one.
    response answer;
    const limits most;
    detail::response_decoder decoder(most, false, answer, answer.trailers);
    error_code ec;
    const auto all = interim + final;
    decoder.put(all, ec);
    CHECK(answer.status == 200);
    CHECK(!answer.headers.contains("link"));
    CHECK(answer.headers["content-length"] == "1");
}

TEST_CASE("an upgrade that nobody asked for is refused (gap 13)")
{
    refused("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            errc::unasked_upgrade);
}

TEST_CASE("malformed heads are refused")
{
    for (const std::string& text : std::vector<std::string>{
             "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
             ok + "Content-Length: 0\n\r\n",
             ok + "A: b\0c\r\nContent-Length: 0\r\n\r\n"s,
             ok + "A: b\x01"
                  "c\r\nContent-Length: 0\r\n\r\n",
             ok + "A: b\rc\r\nContent-Length: 0\r\n\r\n",
             "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"s,
             ok + "A : b\r\nContent-Length: 0\r\n\r\n",
             ok + ": b\r\nContent-Length: 0\r\n\r\n",
             ok + "A\r\nContent-Length: 0\r\n\r\n",
             ok + "\xc3\xa4: b\r\nContent-Length: 0\r\n\r\n",
             ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
             ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
             ok + "Content-Length: +5\r\n\r\nhello",
             ok + "Content-Length: -1\r\n\r\n",
             ok + "Content-Length: 0x5\r\n\r\nhello",
             ok + "Content-Length: 5 5\r\n\r\nhello",
             ok + "Content-Length: 99999999999999999999\r\n\r\n",
             ok + "Content-Length:\r\n\r\n",
             "HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
             ok + "Content-Length: 5,\r\n\r\nhello",
             ok + "Content-Length: 5, 6\r\n\r\nhello",
             ok + "Content-Length: ,5\r\n\r\nhello",
             "HTTP/1.1200 OK\r\nContent-Length: 0\r\n\r\n",
             "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
             "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
             "HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
             "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
             "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
             "<html>an answer of 1991</html>",
             "\x16\x03\x01\x02"s,
         }) {
        CAPTURE(text);
        const auto v = decode(text, {.ends = true});
        CAPTURE(v);
        CHECK(v.ec.failed());
        CHECK(v.ec.category() == errc_category());
        CHECK(!v.kept);
    }
    refused("HTTP/1.1 200 OK\nA: bc\n\r\n", errc::bad_head, {}); // without waiting for more
    refused("HTTP/2.0 200 OK\r\n\r\n", errc::bad_version);
    refused(ok + "A : b\r\n\r\n", errc::bad_head);
}

TEST_CASE("malformed chunks are refused")
{
    for (const std::string text : {"-1\r\n",
                                   "0x1\r\nx\r\n0\r\n\r\n",
                                   "1 \r\nx\r\n0\r\n\r\n",
                                   "1\nx\n0\n\n",
                                   "1\r\nxx\r\n",
                                   "1\r\nx0\r\n\r\n",
                                   "\r\n",
                                   "g\r\n",
                                   "1;a\nb\r\nx\r\n0\r\n\r\n",
                                   "1;\x01\r\nx\r\n0\r\n\r\n",
                                   "11111111111111111\r\n",
                                   " 1\r\nx\r\n0\r\n\r\n",
                                   "1\r\nx\rx0\r\n\r\n",
                                   "0\r\n\rx",
                                   "1;\r\nx\r\n",
                                   "1;;\r\nx\r\n",
                                   "1;;a\r\nx\r\n",
                                   "1;a=\r\nx\r\n",
                                   "1;=b\r\nx\r\n",
                                   "1;a=\"b\r\nx\r\n",
                                   "1;a=\"b\\\r\nx\r\n",
                                   "1;a=\"b\"c\r\nx\r\n",
                                   "1;a b\r\nx\r\n",
                                   "1;a=b c\r\nx\r\n",
                                   "1;a \r\nx\r\n",
                                   "1 ;\r\nx\r\n",
                                   "1;a=b=c\r\nx\r\n",
                                   "1 a\r\nx\r\n"}) {
        CAPTURE(text);
        CHECK(decode(chunked(text), {.ends = true}).ec == errc::bad_chunk);
    }
    for (const std::string text :
         {"0\r\nT\r\n\r\n", "0\r\n T: v\r\n\r\n", "0\r\nT : v\r\n\r\n", "0\r\n: v\r\n\r\n",
          "0\r\nT: \x01\r\n\r\n", "0\r\nT: v\rx\r\n"}) {
        CAPTURE(text);
        CHECK(decode(chunked(text), {.ends = true}).ec == errc::bad_trailer);
    }
    // Without waiting for more.
    CHECK(decode(chunked("0\r\n\n")).ec == errc::bad_trailer);
    CHECK(decode(chunked("0\r\nT: v\n")).ec == errc::bad_trailer);
    // The size of the largest chunk that can be written down is no size to believe.
    CHECK(decode(chunked("ffffffffffffffff\r\nx")).done == false);
}

TEST_CASE("a response that is cut off is incomplete, wherever it is cut")
{
    for (const auto& text :
         {ok + "Content-Length: 5\r\n\r\nhello", chunked("5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n")}) {
        for (std::size_t n = 0; n != text.size(); ++n) {
            const auto v = decode(text.substr(0, n), {.ends = true}, {});
            CHECK(v.ec == errc::incomplete);
        }
    }
}

TEST_CASE("a head has a size, however it comes")
{
    const situation small{.ends = true, .most = {.head_bytes = 200}};
    refused(ok + "A: " + std::string(300, 'x') + "\r\n\r\n", errc::head_too_large, small);
    refused(ok + "A: " + std::string(300, 'x'), errc::head_too_large, small);
    refused(std::string(300, 'x'), errc::bad_version, small);
    refused("HTTP/1.1 200 " + std::string(300, 'x'), errc::head_too_large, small);
    taken(ok + "A: " + std::string(150, 'x') + "\r\nContent-Length: 0\r\n\r\n", "", true, small);
}

} // namespace

} // namespace decoder_tests
