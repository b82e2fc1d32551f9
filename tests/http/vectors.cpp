// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it is about bytes.
//
// Every kind of response that the vectors of llhttp, of curl and of h11 have, and what servers that
// break the protocol send, in bytes of our own. Each is sent in one piece and a byte at a time, and
// is read whole and as a stream: all come to the same, and the next request shows whether the
// connection was kept. What is refused is refused while the server stays, unless the row has it
// close. Servers that never end: hostile.cpp. The decoder alone, cut at every place: decoder.cpp.

#include <array>
#include <http/support.hpp>
#include <optional>
#include <ostream>
#include <vector>

namespace vectors_tests {

namespace {

using namespace http_test;
using namespace std::string_literals;

// What a server says to a request, and what becomes of it.
struct row {
    const char* name;
    std::string said;
    errc error = {};
    bool kept = false; // the next request is sent on the same connection
    int status = 0;
    std::string body = {};
    std::string trailers = {};
    std::optional<std::string> v = {}; // the value of the field V, where it matters
    const char* method = "GET";
    bool ends = false;       // after the last byte, the server closes
    std::string behind = {}; // comes with the last byte, and belongs to nothing

    row to(const char* other_method) const
    {
        auto changed = *this;
        changed.method = other_method;
        return changed;
    }
    row then_the_end() const
    {
        auto changed = *this;
        changed.ends = true;
        return changed;
    }
    row followed_by(std::string text) const
    {
        auto changed = *this;
        changed.behind = std::move(text);
        return changed;
    }
    row with_v(std::string value) const
    {
        auto changed = *this;
        changed.v = std::move(value);
        return changed;
    }
    row with_trailers(std::string all) const
    {
        auto changed = *this;
        changed.trailers = std::move(all);
        return changed;
    }
};
using rows = std::vector<row>;

row kept(const char* name, std::string said, std::string body, int status = 200)
{
    return {.name = name,
            .said = std::move(said),
            .kept = true,
            .status = status,
            .body = std::move(body)};
}

row closed(const char* name, std::string said, std::string body, int status = 200)
{
    return {.name = name, .said = std::move(said), .status = status, .body = std::move(body)};
}

row refused(const char* name, std::string said, errc because)
{
    return {.name = name, .said = std::move(said), .error = because};
}

std::string times(int n, const std::string& text)
{
    std::string all;
    for (int i = 0; i != n; ++i)
        all += text;
    return all;
}

const std::string ok = "HTTP/1.1 200 OK\r\n";
const std::string size_5 = "Content-Length: 5\r\n";
const std::string size_0 = "Content-Length: 0\r\n";
const std::string coded = "Transfer-Encoding: chunked\r\n";
const std::string hello_in_chunks = "5\r\nhello\r\n0\r\n\r\n";
const std::string proceed = "HTTP/1.1 100 Continue\r\n\r\n";

std::string begun(const std::string& status_line)
{
    return status_line + "\r\n" + size_0 + "\r\n";
}
std::string hello(const std::string& more = {})
{
    return ok + more + size_5 + "\r\nhello";
}
std::string hello_1_0(const std::string& more)
{
    return "HTTP/1.0 200 OK\r\n" + more + size_5 + "\r\nhello";
}
std::string measured(const std::string& length)
{
    return ok + "Content-Length:" + length + "\r\n\r\nhello";
}
std::string coded_as(const std::string& coding, const std::string& more = {})
{
    return ok + "Transfer-Encoding:" + coding + "\r\n" + more + "\r\n" + hello_in_chunks;
}
std::string chunked(const std::string& text)
{
    return ok + coded + "\r\n" + text;
}

const rows status_lines{
    kept("no reason, and no space before it", begun("HTTP/1.1 301"), "", 301),
    kept("no reason", begun("HTTP/1.1 200 "), ""),
    kept("a reason of digits", begun("HTTP/1.1 431 431"), "", 431),
    kept("a reason that begins with a space", begun("HTTP/1.1 200  OK"), ""),
    kept("a reason with a tab", begun("HTTP/1.1 200 O\tK"), ""),
    kept("a reason beyond ASCII", begun("HTTP/1.1 500 Interner F\xe4hler"), "", 500),
    kept("a reason of 10 KB", begun("HTTP/1.1 200 " + std::string(10'000, 'x')), ""),
    refused("a reason of 70 KB", begun("HTTP/1.1 200 " + std::string(70'000, 'x')),
            errc::head_too_large),
    refused("NUL in the reason", begun("HTTP/1.1 200 O\0K"s), errc::bad_head),
    kept("ESC in the reason", begun("HTTP/1.1 200 O\x1bK"), ""),
    kept("DEL in the reason", begun("HTTP/1.1 200 O\x7fK"), ""),
    refused("CR in the reason", begun("HTTP/1.1 200 O\rK"), errc::bad_head),
    refused("CR before the end of the status line", begun("HTTP/1.1 200 OK\r"), errc::bad_head),
    kept("a status that nobody knows", begun("HTTP/1.1 477 What"), "", 477),
    kept("status 099", begun("HTTP/1.1 099 No"), "", 99),
    kept("status 000", begun("HTTP/1.1 000 No"), "", 0),
    kept("status 600", begun("HTTP/1.1 600 No"), "", 600),
    kept("status 999", begun("HTTP/1.1 999 No"), "", 999),
    refused("status 1000", begun("HTTP/1.1 1000 No"), errc::bad_status),
    refused("a status of one digit", begun("HTTP/1.1 7 No"), errc::bad_status),
    refused("a status of two digits", begun("HTTP/1.1 42 No"), errc::bad_status),
    refused("a status of 100 digits", begun("HTTP/1.1 " + std::string(100, '2') + " No"),
            errc::bad_status),
    refused("a negative status", begun("HTTP/1.1 -20 No"), errc::bad_status),
    refused("a status with a letter", begun("HTTP/1.1 2o0 No"), errc::bad_status),
    refused("no status", begun("HTTP/1.1 "), errc::bad_status),
    refused("no status, but a reason", begun("HTTP/1.1 OK"), errc::bad_status),
    refused("two spaces before the status", begun("HTTP/1.1  200 OK"), errc::bad_status),
    refused("a tab after the status", begun("HTTP/1.1 200\tOK"), errc::bad_status),
    refused("nothing between status and reason", begun("HTTP/1.1 200OK"), errc::bad_status),
    refused("a tab before the status", begun("HTTP/1.1\t200 OK"), errc::bad_version),
    refused("nothing before the status", begun("HTTP/1.1200 OK"), errc::bad_version),
    refused("only a version", begun("HTTP/1.1"), errc::bad_version),
    refused("HTTP/2.0", begun("HTTP/2.0 200 OK"), errc::bad_version),
    refused("HTTP/2", begun("HTTP/2 200 OK"), errc::bad_version),
    refused("HTTP/1.2", begun("HTTP/1.2 200 OK"), errc::bad_version),
    refused("HTTP/1", begun("HTTP/1 200 OK"), errc::bad_version),
    refused("HTTP/0.9", begun("HTTP/0.9 200 OK"), errc::bad_version),
    refused("HTTP/11.1", begun("HTTP/11.1 200 OK"), errc::bad_version),
    refused("HTTP/01.1", begun("HTTP/01.1 200 OK"), errc::bad_version),
    refused("HTTP/1.10", begun("HTTP/1.10 200 OK"), errc::bad_version),
    refused("HTTP/1.01", begun("HTTP/1.01 200 OK"), errc::bad_version),
    refused("HTTP/1.x", begun("HTTP/1.x 200 OK"), errc::bad_version),
    refused("a version of 100 digits", begun("HTTP/1.1" + std::string(100, '1') + " 200 OK"),
            errc::bad_version),
    refused("a version without a slash", begun("HTTP 1.1 200 OK"), errc::bad_version),
    refused("http in lower case", begun("http/1.1 200 OK"), errc::bad_version),
    refused("HTTP misspelt", begun("HTPT/1.1 200 OK"), errc::bad_version),
    refused("HTTPS", begun("HTTPS/1.1 200 OK"), errc::bad_version),
    refused("RTSP", begun("RTSP/1.0 200 OK"), errc::bad_version),
    refused("ICY", begun("ICY 200 OK"), errc::bad_version),
    refused("a request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", errc::bad_version),
    refused("HTTP/0.9: a page", "<p>old</p>", errc::bad_version),
    refused("HTTP/0.9: one byte", "x", errc::bad_version),
    refused("HTTP/0.9: zeros", std::string(20, '\0'), errc::bad_version),
    refused("TLS in the clear, or the other way", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s,
            errc::tls_answer),
    refused("an empty line first", "\r\n" + hello(), errc::bad_version),
    refused("LF first", "\n" + hello(), errc::bad_version),
    refused("CR first", "\r" + hello(), errc::bad_version),
    refused("a space first", " " + hello(), errc::bad_version),
    refused("a byte-order mark first", "\xef\xbb\xbf" + hello(), errc::bad_version),
    refused("lines that end with LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
            errc::bad_head),
    refused("a status line that ends with LF", "HTTP/1.1 200 OK\n" + size_0 + "\r\n",
            errc::bad_head),
    refused("a field that ends with LF", ok + "V: a\n" + size_0 + "\r\n", errc::bad_head),
    refused("an empty line that is LF", ok + size_0 + "\n", errc::bad_head),
    // Nothing of it is a line.
    refused("lines that end with CR", "HTTP/1.1 200 OK\rContent-Length: 0\r\r", errc::incomplete)
        .then_the_end(),
    refused("a status line that ends with CR", "HTTP/1.1 200 OK\r" + size_0 + "\r\n",
            errc::bad_head),
};

const rows fields{
    kept("no space after the colon", hello("V:a\r\n"), "hello").with_v("a"),
    kept("white space around a value", hello("V:\t a b \t \r\n"), "hello").with_v("a b"),
    kept("an empty value", hello("V:\r\n"), "hello").with_v(""),
    kept("a value of spaces", hello("V: \t  \r\n"), "hello").with_v(""),
    kept("colons and quotes in a value", hello("V: :a:\"b\r\n"), "hello").with_v(":a:\"b"),
    kept("a value beyond ASCII", hello("V: \xe4\xff\x80\r\n"), "hello").with_v("\xe4\xff\x80"),
    kept("a value of 20 KB", hello("V: " + std::string(20'000, 'x') + "\r\n"), "hello"),
    refused("a value of 100 KB", hello("V: " + std::string(100'000, 'x') + "\r\n"),
            errc::head_too_large),
    refused("NUL in a value", hello("V: a\0b\r\n"s), errc::bad_head),
    // No field may have one (RFC 9110, 5.5), though curl and h11 let it be.
    refused("a control character in a value", hello("V: a\x01z\r\n"), errc::bad_head),
    refused("a vertical tab before a value",
            hello("V: \x0b"
                  "a\r\n"),
            errc::bad_head),
    refused("a form feed after a value", hello("V: a\x0c\r\n"), errc::bad_head),
    refused("DEL in a value", hello("V: a\x7fz\r\n"), errc::bad_head),
    refused("CR in a value", hello("V: a\rz\r\n"), errc::bad_head),
    refused("CR before a value", hello("V: \ra\r\n"), errc::bad_head),
    refused("CR before the end of a field", hello("V: a\r\r\n"), errc::bad_head),
    refused("a field behind CR", hello("V: a\rConnection: close\r\n"), errc::bad_head),
    kept("every character of a token", hello("!#$%&'*+-.^_`|~09AZaz: a\r\nV: b\r\n"), "hello")
        .with_v("b"),
    kept("a name of 8 KB", hello(std::string(8'000, 'n') + ": a\r\n"), "hello"),
    refused("a space in a name", hello("A V: a\r\n"), errc::bad_head),
    refused("a space before the colon", hello("V : a\r\n"), errc::bad_head),
    refused("a tab before the colon", hello("V\t: a\r\n"), errc::bad_head),
    refused("a space before the colon of the length", ok + "Content-Length : 5\r\n\r\nhello",
            errc::bad_head),
    refused("no name", hello(": a\r\n"), errc::bad_head),
    refused("no colon", hello("V a\r\n"), errc::bad_head),
    refused("a name beyond ASCII", hello("\xc3\xa4: a\r\n"), errc::bad_head),
    refused("NUL in a name", hello("V\0V: a\r\n"s), errc::bad_head),
    refused("a delimiter in a name", hello("V(1): a\r\n"), errc::bad_head),
    refused("CR in a name", hello("V\rV: a\r\n"), errc::bad_head),
    kept("a name twice", hello("V: a\r\nv: b\r\n"), "hello").with_v("a"),
    kept("two places to go to", begun("HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b"), "",
         302),
    kept("128 fields", ok + times(127, "V: a\r\n") + size_0 + "\r\n", ""),
    refused("129 fields", ok + times(128, "V: a\r\n") + size_0 + "\r\n", errc::too_many_fields),
    refused("1,000 cookies", ok + times(1000, "Set-Cookie: a=b\r\n") + size_0 + "\r\n",
            errc::too_many_fields),
    kept("folded with a space", hello("V: a\r\n b\r\n"), "hello").with_v("a   b"),
    kept("folded with a tab", hello("V: a\r\n\tb\r\n"), "hello").with_v("a  \tb"),
    kept("folded twice", hello("V: a\r\n b\r\n c\r\n"), "hello").with_v("a   b   c"),
    kept("folded before its value", hello("V:\r\n a\r\n"), "hello").with_v("a"),
    kept("folded, and then nothing", hello("V: a\r\n \r\n"), "hello").with_v("a"),
    kept("the last field is folded", ok + size_0 + "V: a\r\n b\r\n\r\n", "").with_v("a   b"),
    kept("what looks like a field is folded", hello("V: a\r\n Connection: close\r\n"), "hello")
        .with_v("a   Connection: close"),
    refused("the first field is folded", hello(" V: a\r\n"), errc::bad_head),
    refused("a name is folded", hello("V\r\n : a\r\n"), errc::bad_head),
    refused("folded at LF", hello("V: a\n b\r\n"), errc::bad_head),
};

const rows lengths{
    kept("a length", hello(), "hello"),
    kept("a name in lower case", ok + "content-length: 5\r\n\r\nhello", "hello"),
    kept("a length of 0", ok + size_0 + "\r\n", ""),
    kept("leading zeros in a length", measured(" 0005"), "hello"),
    kept("a hundred leading zeros", measured(' ' + std::string(100, '0') + '5'), "hello"),
    kept("spaces around a length", measured("   5   "), "hello"),
    kept("tabs around a length", measured("\t5\t"), "hello"),
    kept("a length that is folded", measured("\r\n 5"), "hello"),
    kept("the same length twice", hello(size_5), "hello"),
    kept("5, 5", measured(" 5, 5"), "hello"),
    kept("5,05,5, and 5 once more", hello("Content-Length: 5,05 ,\t5\r\n"), "hello"),
    refused("two lengths", hello("Content-Length: 6\r\n"), errc::bad_head),
    refused("5, 6", measured(" 5, 6"), errc::bad_head),
    refused("a length, and an empty one", hello("Content-Length:\r\n"), errc::bad_head),
    refused("5,", measured(" 5,"), errc::bad_head),
    refused(",5", measured(" ,5"), errc::bad_head),
    refused("5,,5", measured(" 5,,5"), errc::bad_head),
    refused("only a comma", measured(" ,"), errc::bad_head),
    refused("an empty length", measured(""), errc::bad_head),
    refused("a length of spaces", measured("  "), errc::bad_head),
    refused("+5", measured(" +5"), errc::bad_head),
    refused("-5", measured(" -5"), errc::bad_head),
    refused("-0", measured(" -0"), errc::bad_head),
    refused("0x5", measured(" 0x5"), errc::bad_head),
    refused("5.0", measured(" 5.0"), errc::bad_head),
    refused("5e0", measured(" 5e0"), errc::bad_head),
    refused("5;", measured(" 5;"), errc::bad_head),
    refused("5 bytes", measured(" 5 bytes"), errc::bad_head),
    refused("5 5", measured(" 5 5"), errc::bad_head),
    refused("5 in quotes", measured(" \"5\""), errc::bad_head),
    refused("five", measured(" five"), errc::bad_head),
    refused("a length in hexadecimal", measured(" A"), errc::bad_head),
    refused("a digit beyond ASCII", measured(" \xef\xbc\x95"), errc::bad_head),
    refused("NUL after a length", measured(" 5\0"s), errc::bad_head),
    refused("CR before a length", measured(" \r5"), errc::bad_head),
    refused("5 folded to 5 5", measured(" 5\r\n 5"), errc::bad_head),
    kept("2^64 - 1, to HEAD", ok + "Content-Length: 18446744073709551615\r\n\r\n", "").to("HEAD"),
    refused("2^64", measured(" 18446744073709551616"), errc::bad_head),
    refused("2^65", measured(" 36893488147419103232"), errc::bad_head),
    refused("a length of 100 digits", measured(' ' + std::string(100, '9')), errc::bad_head),
    closed("Content-Length-X is none", ok + "Content-Length-X: 3\r\n\r\nhello", "hello")
        .then_the_end(),
    closed("X-Content-Length is none", ok + "X-Content-Length: 3\r\n\r\nhello", "hello")
        .then_the_end(),
    closed("Content_Length is none", ok + "Content_Length: 3\r\n\r\nhello", "hello").then_the_end(),
};

const rows codings{
    kept("chunked", coded_as(" chunked"), "hello"),
    kept("cHuNkEd", coded_as(" cHuNkEd"), "hello"),
    kept("white space around the coding", coded_as("\t chunked \t"), "hello"),
    kept("a coding that is folded", coded_as("\r\n chunked"), "hello"),
    kept("an empty member first", coded_as(" , chunked"), "hello"),
    kept("an empty member last", coded_as(" chunked,"), "hello"),
    kept("empty members everywhere", coded_as(" ,\t, chunked , ,"), "hello"),
    kept("a coding, and an empty one", coded_as(" chunked", "Transfer-Encoding:\r\n"), "hello"),
    refused("an empty coding", coded_as(""), errc::transfer_coding),
    refused("only a comma", coded_as(" ,"), errc::transfer_coding),
    // Chunked is never applied twice (RFC 9112, 6.1), though curl and llhttp take it for once.
    refused("chunked, chunked", coded_as(" chunked, chunked"), errc::transfer_coding),
    refused("chunked twice", coded_as(" chunked", coded), errc::transfer_coding),
    refused("gzip", coded_as(" gzip"), errc::transfer_coding),
    refused("gzip, chunked", coded_as(" gzip, chunked"), errc::transfer_coding),
    refused("gzip, and then chunked", coded_as(" gzip", coded), errc::transfer_coding),
    refused("deflate, and a length", coded_as(" deflate", size_5), errc::transfer_coding),
    refused("chunked, gzip", coded_as(" chunked, gzip"), errc::transfer_coding),
    refused("chunked, and then gzip", coded_as(" chunked", "Transfer-Encoding: gzip\r\n"),
            errc::transfer_coding),
    refused("gzip a hundred times", coded_as(' ' + times(100, "gzip,") + "gzip"),
            errc::transfer_coding),
    // It has been no coding since 2014 (RFC 7230).
    refused("identity", coded_as(" identity"), errc::transfer_coding),
    refused("identity, and a length", coded_as(" identity", size_5), errc::transfer_coding),
    refused("identity, chunked", coded_as(" identity, chunked"), errc::transfer_coding),
    refused("chunked, identity", coded_as(" chunked, identity"), errc::transfer_coding),
    refused("a coding that nobody knows", coded_as(" gabble"), errc::transfer_coding),
    refused("xchunked", coded_as(" xchunked"), errc::transfer_coding),
    refused("chunkedchunked", coded_as(" chunkedchunked"), errc::transfer_coding),
    refused("chunked chunked", coded_as(" chunked chunked"), errc::transfer_coding),
    refused("chunk", coded_as(" chunk"), errc::transfer_coding),
    refused("chunked with a parameter", coded_as(" chunked;q=1"), errc::transfer_coding),
    refused("chunked in quotes", coded_as(" \"chunked\""), errc::transfer_coding),
    refused("chunked folded to chunked x", coded_as(" chunked\r\n x"), errc::transfer_coding),
    refused("a vertical tab before chunked",
            coded_as(" \x0b"
                     "chunked"),
            errc::bad_head),
    refused("NUL after chunked", coded_as(" chunked\0"s), errc::bad_head),
    // An attempt to smuggle, which a client may treat as an error (RFC 9112, 6.1 and 6.3).
    refused("chunked, and a length", coded_as(" chunked", size_5), errc::bad_head),
    refused("a length, and chunked", ok + size_5 + coded + "\r\n" + hello_in_chunks,
            errc::bad_head),
    refused("chunked, and a length of 0", coded_as(" chunked", size_0), errc::bad_head),
    refused("a length of 0, and chunked", ok + size_0 + coded + "\r\n" + hello_in_chunks,
            errc::bad_head),
    closed("chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\n" + coded + "\r\n" + hello_in_chunks,
           "hello"),
    closed("chunked in HTTP/1.0 with keep-alive",
           "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + coded + "\r\n" + hello_in_chunks,
           "hello"),
    refused("gzip in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
            errc::transfer_coding),
    closed("Transfer-Encoding-X is none", ok + "Transfer-Encoding-X: chunked\r\n\r\nhello", "hello")
        .then_the_end(),
    kept("Transfer_Encoding is none", hello("Transfer_Encoding: chunked\r\n"), "hello"),
    kept("TE is none", hello("TE: chunked\r\n"), "hello"),
};

const rows chunks{
    kept("several chunks", chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), "hello"),
    kept("no chunk but the last", chunked("0\r\n\r\n"), ""),
    kept("a last chunk of many zeros", chunked("5\r\nhello\r\n0000\r\n\r\n"), "hello"),
    kept("a size in upper case", chunked("0B\r\nhello world\r\n0\r\n\r\n"), "hello world"),
    kept("a size in lower case", chunked("0b\r\nhello world\r\n0\r\n\r\n"), "hello world"),
    kept("a size in both", chunked("aA\r\n" + std::string(0xaa, 'x') + "\r\n0\r\n\r\n"),
         std::string(0xaa, 'x')),
    kept("a thousand chunks", chunked(times(1000, "1\r\nx\r\n") + "0\r\n\r\n"),
         std::string(1000, 'x')),
    kept("every byte in a chunk", chunked("6\r\n\0\r\n0\r\n\r\n0\r\n\r\n"s), "\0\r\n0\r\n"s),
    kept("leading zeros", chunked("0000000000000005\r\nhello\r\n0\r\n\r\n"), "hello"),
    refused("64 leading zeros", chunked(std::string(64, '0') + "5\r\nhello\r\n0\r\n\r\n"),
            errc::bad_chunk),
    refused("a chunk of 2^64 - 1 that ends soon", chunked("ffffffffffffffff\r\nhello"),
            errc::incomplete)
        .then_the_end(),
    refused("a chunk of 2^64", chunked("10000000000000000\r\nhello"), errc::bad_chunk),
    refused("a size of 100 digits", chunked(std::string(100, '9') + "\r\nhello"), errc::bad_chunk),
    refused("size -5", chunked("-5\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("size +5", chunked("+5\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("size 0x5", chunked("0x5\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("size 5h", chunked("5h\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("size g", chunked("g\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("size 5 5", chunked("5 5\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("size 5,", chunked("5,\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("no size", chunked("\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("a size that comes too late", chunked("5\r\nhello\r\n\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("a chunk that is none", chunked("5\r\nhello\r\nwhat?\r\n"), errc::bad_chunk),
    refused("a space before a size", chunked(" 5\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    // Only before a semicolon (RFC 9112, 7.1.1), though curl and h11 pass over it at the end.
    refused("spaces after a size", chunked("5  \r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("a tab after the last size", chunked("5\r\nhello\r\n0\t\r\n\r\n"), errc::bad_chunk),
    refused("NUL after a size", chunked("5\0\r\nhello\r\n0\r\n\r\n"s), errc::bad_chunk),
    refused("a size that ends with LF", chunked("5\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("a size that ends with CR", chunked("5\rhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("a size that ends with CR CR LF", chunked("5\r\r\nhello\r\n0\r\n\r\n"),
            errc::bad_chunk),
    refused("a chunk that ends with LF", chunked("5\r\nhello\n0\r\n\r\n"), errc::bad_chunk),
    refused("a chunk that ends with CR", chunked("5\r\nhello\r0\r\n\r\n"), errc::bad_chunk),
    refused("a chunk that does not end", chunked("5\r\nhello0\r\n\r\n"), errc::bad_chunk),
    refused("a chunk that ends with two other bytes", chunked("5\r\nhello..0\r\n\r\n"),
            errc::bad_chunk),
    refused("a chunk that is too long", chunked("5\r\nhello!\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("a chunk that is too short", chunked("5\r\nhell\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("a last line that is LF", chunked("5\r\nhello\r\n0\r\n\n"), errc::bad_trailer),
    kept("an extension", chunked("5;a\r\nhello\r\n0;b\r\n\r\n"), "hello"),
    kept("an extension with a value", chunked("5;a=b;c=d\r\nhello\r\n0\r\n\r\n"), "hello"),
    kept("an extension in quotes", chunked("5;a=\"b; c\";d\r\nhello\r\n0\r\n\r\n"), "hello"),
    kept("a quote in quotes", chunked("5;a=\"\\\"\\\\\"\r\nhello\r\n0\r\n\r\n"), "hello"),
    kept("empty quotes", chunked("5;a=\"\"\r\nhello\r\n0\r\n\r\n"), "hello"),
    kept("beyond ASCII in quotes", chunked("5;a=\"\xe4\t\"\r\nhello\r\n0\r\n\r\n"), "hello"),
    kept("white space in extensions", chunked("5 ;\ta =\tb ; c\r\nhello\r\n0\r\n\r\n"), "hello"),
    refused("an extension without a name", chunked("5;\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("an extension without a value", chunked("5;a=\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("an extension without a semicolon", chunked("5 a\r\nhello\r\n0 b\r\n\r\n"),
            errc::bad_chunk),
    refused("an extension that is not closed", chunked("5;a=\"b\r\nhello\r\n0\r\n\r\n"),
            errc::bad_chunk),
    refused("something behind the quotes", chunked("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"),
            errc::bad_chunk),
    refused("a control character in quotes", chunked("5;a=\"\x01\"\r\nhello\r\n0\r\n\r\n"),
            errc::bad_chunk),
    refused("LF in an extension", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("LF in quotes", chunked("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("CR in an extension", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"), errc::bad_chunk),
    refused("NUL in an extension", chunked("5;a\0b\r\nhello\r\n0\r\n\r\n"s), errc::bad_chunk),
    refused("an extension of 20 KB",
            chunked("5;" + std::string(20'000, 'x') + "\r\nhello\r\n0\r\n\r\n"),
            errc::extensions_too_large),
};

std::string with_trailers(const std::string& all)
{
    return ok + coded + "Trailer: V\r\n\r\n5\r\nhello\r\n0\r\n" + all + "\r\n";
}

const rows trailers{
    kept("a trailer", with_trailers("T: a\r\n"), "hello").with_trailers("T=a;"),
    kept("two trailers", with_trailers("T: a\r\nt:b \t\r\n"), "hello").with_trailers("T=a;t=b;"),
    kept("a trailer that was not announced", chunked("0\r\nT: a\r\n\r\n"), "")
        .with_trailers("T=a;"),
    kept("an empty trailer", with_trailers("T:\r\nU: a\r\n"), "hello").with_trailers("T=;U=a;"),
    kept("a trailer beyond ASCII", with_trailers("T: \xe4\r\n"), "hello").with_trailers("T=\xe4;"),
    kept("trailers that close", with_trailers("Connection: close\r\n"), "hello")
        .with_trailers("Connection=close;"),
    kept("trailers that have a length", with_trailers("Content-Length: 9\r\n" + coded), "hello")
        .with_trailers("Content-Length=9;Transfer-Encoding=chunked;"),
    kept("a trailer with the name of a field", ok + coded + "V: a\r\n\r\n0\r\nV: b\r\n\r\n", "")
        .with_v("a")
        .with_trailers("V=b;"),
    kept("128 trailers", with_trailers(times(128, "T: a\r\n")), "hello")
        .with_trailers(times(128, "T=a;")),
    refused("129 trailers", with_trailers(times(129, "T: a\r\n")), errc::trailers_too_large),
    refused("2,000 trailers", with_trailers(times(2000, "T: a\r\n")), errc::trailers_too_large),
    refused("a trailer of 20 KB", chunked("0\r\n" + std::string(20'000, 'T')),
            errc::trailers_too_large),
    kept("a trailer that is folded", with_trailers("T: a\r\n b\r\n\tc\r\nU: d\r\n"), "hello")
        .with_trailers("T=a   b  \tc;U=d;"),
    kept("the last trailer is folded", with_trailers("T:\r\n a\r\n"), "hello")
        .with_trailers("T=a;"),
    kept("a trailer that is folded, and then nothing", with_trailers("T: a\r\n \r\n"), "hello")
        .with_trailers("T=a;"),
    refused("a trailer folded without end", chunked("0\r\nT: a\r\n" + times(9'000, " \r\n")),
            errc::trailers_too_large),
    refused("the name of a trailer is folded", with_trailers("T\r\n : a\r\n"), errc::bad_trailer),
    refused("the first trailer is folded", with_trailers(" T: a\r\n"), errc::bad_trailer),
    refused("a trailer without a colon", with_trailers("T a\r\n"), errc::bad_trailer),
    refused("a trailer without a name", with_trailers(": a\r\n"), errc::bad_trailer),
    refused("a space before the colon of a trailer", with_trailers("T : a\r\n"), errc::bad_trailer),
    refused("a space in the name of a trailer", with_trailers("T T: a\r\n"), errc::bad_trailer),
    refused("NUL in a trailer", with_trailers("T: a\0b\r\n"s), errc::bad_trailer),
    refused("a control character in a trailer", with_trailers("T: a\x01\r\n"), errc::bad_trailer),
    refused("CR in a trailer", with_trailers("T: a\rb\r\n"), errc::bad_trailer),
    refused("a trailer that ends with LF", with_trailers("T: a\nU: b\r\n"), errc::bad_trailer),
    refused("a body behind trailers", with_trailers("T: a\r\n5\r\nhello\r\n"), errc::bad_trailer),
};

const rows interim{
    kept("100", proceed + hello(), "hello"),
    kept("100 to POST", proceed + hello(), "hello").to("POST"),
    kept("100 with fields", "HTTP/1.1 100 Continue\r\nV: a\r\n\r\n" + hello(), "hello"),
    kept("102 and 103",
         "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + hello(),
         "hello"),
    kept("199", "HTTP/1.1 199 What\r\n\r\n" + hello(), "hello"),
    kept("100 without a reason", "HTTP/1.1 100\r\n\r\n" + hello(), "hello"),
    kept("100 in HTTP/1.0", "HTTP/1.0 100 Continue\r\n\r\n" + hello(), "hello"),
    kept("five times 100", times(5, proceed) + hello(), "hello"),
    refused("six times 100", times(6, proceed) + hello(), errc::too_many_interim),
    kept("100, and an error", proceed + begun("HTTP/1.1 404 Not Found"), "", 404),
    kept("100, and nothing to say", proceed + "HTTP/1.1 204 No Content\r\n\r\n", "", 204),
    closed("100, and a body to the end", proceed + ok + "\r\nhello", "hello").then_the_end(),
    // No interim response has a body, whatever it says (RFC 9112, 6.3).
    kept("100 with a length", "HTTP/1.1 100 Continue\r\n" + size_5 + "\r\n" + hello(), "hello"),
    kept("100 that is chunked", "HTTP/1.1 100 Continue\r\n" + coded + "\r\n" + hello(), "hello"),
    refused("100 with a body", "HTTP/1.1 100 Continue\r\n" + size_5 + "\r\nhello" + hello(),
            errc::bad_version),
    refused("an empty line behind 100", proceed + "\r\n" + hello(), errc::bad_version),
    refused("100, and no more", proceed, errc::incomplete).then_the_end(),
    refused("100, and a page", proceed + "<p>old</p>", errc::bad_version),
    refused("100 with a bad field", "HTTP/1.1 100 Continue\r\nV : a\r\n\r\n" + hello(),
            errc::bad_head),
    refused("101", "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            errc::unasked_upgrade),
    refused("101 with a length",
            "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n" + size_5 +
                "\r\nhello",
            errc::unasked_upgrade),
    refused("101 that is chunked",
            "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n" + coded + "\r\n" +
                hello_in_chunks,
            errc::unasked_upgrade),
    refused("101 without fields", "HTTP/1.1 101 Switching\r\n\r\n" + hello(),
            errc::unasked_upgrade),
    refused("101 behind 100", proceed + "HTTP/1.1 101 Switching\r\n\r\n", errc::unasked_upgrade),
    // An offer, which a client may pass over (RFC 9110, 7.8).
    kept("an Upgrade that is offered", hello("Connection: upgrade\r\nUpgrade: x\r\n"), "hello"),
    kept("an Upgrade that is demanded",
         begun("HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: x"), "", 426),
};

const rows without_body{
    kept("204", "HTTP/1.1 204 No Content\r\n\r\n", "", 204),
    kept("204 to POST", "HTTP/1.1 204 No Content\r\n\r\n", "", 204).to("POST"),
    kept("204 with a length of 0", begun("HTTP/1.1 204 No Content"), "", 204),
    // Who announces a body here may send it, too.
    closed("204 with a length", "HTTP/1.1 204 No Content\r\n" + size_5 + "\r\n", "", 204),
    closed("204 that is chunked", "HTTP/1.1 204 No Content\r\n" + coded + "\r\n", "", 204),
    closed("204 with a body", "HTTP/1.1 204 No Content\r\n" + size_5 + "\r\n", "", 204)
        .followed_by("hello"),
    closed("204 with chunks", "HTTP/1.1 204 No Content\r\n" + coded + "\r\n", "", 204)
        .followed_by(hello_in_chunks),
    closed("204 and bytes", "HTTP/1.1 204 No Content\r\n\r\n", "", 204).followed_by("hello"),
    closed("204 that closes", "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", "", 204),
    kept("204 in HTTP/1.0 with keep-alive",
         "HTTP/1.0 204 No Content\r\nConnection: keep-alive\r\n\r\n", "", 204),
    closed("204 in HTTP/1.0", "HTTP/1.0 204 No Content\r\n\r\n", "", 204),
    kept("205 with a length of 0", begun("HTTP/1.1 205 Reset Content"), "", 205),
    kept("205 in chunks", "HTTP/1.1 205 Reset Content\r\n" + coded + "\r\n0\r\n\r\n", "", 205),
    closed("205 to the end", "HTTP/1.1 205 Reset Content\r\n\r\n", "", 205).then_the_end(),
    // It must not have one, but it is framed as any other (RFC 9110, 15.3.6; RFC 9112, 6.3).
    kept("205 with a body", "HTTP/1.1 205 Reset Content\r\n" + size_5 + "\r\nhello", "hello", 205),
    kept("304", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", "", 304),
    kept("304 with a length", "HTTP/1.1 304 Not Modified\r\n" + size_5 + "\r\n", "", 304),
    kept("304 with a length of 0", begun("HTTP/1.1 304 Not Modified"), "", 304),
    closed("304 that is chunked", "HTTP/1.1 304 Not Modified\r\n" + coded + "\r\n", "", 304),
    closed("304 with a body", "HTTP/1.1 304 Not Modified\r\n" + size_5 + "\r\n", "", 304)
        .followed_by("hello"),
    closed("304 with chunks", "HTTP/1.1 304 Not Modified\r\n" + coded + "\r\n", "", 304)
        .followed_by(hello_in_chunks),
    kept("HEAD with a length", ok + size_5 + "\r\n", "").to("HEAD"),
    kept("HEAD that is chunked", ok + coded + "\r\n", "").to("HEAD"),
    kept("HEAD without a length", ok + "\r\n", "").to("HEAD"),
    kept("HEAD of what is not there", "HTTP/1.1 404 Not Found\r\n" + size_5 + "\r\n", "", 404)
        .to("HEAD"),
    kept("HEAD after 100", proceed + ok + size_5 + "\r\n", "").to("HEAD"),
    kept("HEAD of 204", "HTTP/1.1 204 No Content\r\n\r\n", "", 204).to("HEAD"),
    closed("HEAD that closes", ok + "Connection: close\r\n" + size_5 + "\r\n", "").to("HEAD"),
    closed("HEAD in HTTP/1.0", "HTTP/1.0 200 OK\r\n" + size_5 + "\r\n", "").to("HEAD"),
    kept("HEAD in HTTP/1.0 with keep-alive",
         "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + size_5 + "\r\n", "")
        .to("HEAD"),
    closed("HEAD with a body", ok + size_5 + "\r\n", "").to("HEAD").followed_by("hello"),
    closed("HEAD with chunks", ok + coded + "\r\n", "").to("HEAD").followed_by(hello_in_chunks),
    closed("HEAD with two heads", ok + size_5 + "\r\n", "")
        .to("HEAD")
        .followed_by(ok + size_0 + "\r\n"),
    refused("HEAD with two lengths", ok + size_5 + size_0 + "\r\n", errc::bad_head).to("HEAD"),
    refused("HEAD with a length and chunked", ok + size_5 + coded + "\r\n", errc::bad_head)
        .to("HEAD"),
    refused("HEAD with gzip, chunked", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n",
            errc::transfer_coding)
        .to("HEAD"),
    refused("HEAD with nothing but a body", "hello", errc::bad_version).to("HEAD"),
    refused("HEAD with half a head", ok + size_5, errc::incomplete).to("HEAD").then_the_end(),
    kept("POST", hello(), "hello").to("POST"),
    kept("POST in chunks", chunked(hello_in_chunks), "hello").to("POST"),
    kept("POST that made something", begun("HTTP/1.1 201 Created\r\nLocation: /a"), "", 201)
        .to("POST"),
    closed("POST to the end", ok + "\r\nhello", "hello").to("POST").then_the_end(),
    refused("POST, and nothing", "", errc::no_response).to("POST").then_the_end(),
};

const rows persistence{
    closed("HTTP/1.0", hello_1_0(""), "hello"),
    kept("HTTP/1.0 with keep-alive", hello_1_0("Connection: keep-alive\r\n"), "hello"),
    kept("HTTP/1.0 with Keep-Alive in a list", hello_1_0("Connection: a,Keep-Alive ,b\r\n"),
         "hello"),
    closed("HTTP/1.0 with both", hello_1_0("Connection: keep-alive, close\r\n"), "hello"),
    closed("HTTP/1.0 with keep-alive and no length",
           "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello", "hello")
        .then_the_end(),
    closed("HTTP/1.0 with the field Keep-Alive alone", hello_1_0("Keep-Alive: timeout=9\r\n"),
           "hello"),
    kept("keep-alive", hello("Connection: keep-alive\r\n"), "hello"),
    closed("close", hello("Connection: close\r\n"), "hello"),
    closed("Close", hello("connection:Close\r\n"), "hello"),
    closed("close in a list", hello("Connection: a, close, b\r\n"), "hello"),
    closed("close after an empty member", hello("Connection: ,close\r\n"), "hello"),
    closed("close in a second field", hello("Connection: a\r\nConnection: close\r\n"), "hello"),
    closed("close that is folded", hello("Connection: a,\r\n close\r\n"), "hello"),
    closed("close, and then keep-alive", hello("Connection: close, keep-alive\r\n"), "hello"),
    closed("keep-alive, and then close", hello("Connection: keep-alive, close\r\n"), "hello"),
    closed("close, and chunks", ok + "Connection: close\r\n" + coded + "\r\n" + hello_in_chunks,
           "hello"),
    closed("close, and a body to the end", ok + "Connection: close\r\n\r\nhello", "hello")
        .then_the_end(),
    kept("closed", hello("Connection: closed\r\n"), "hello"),
    kept("an empty Connection", hello("Connection:\r\n"), "hello"),
    kept("Connection with another field's name", hello("Connection: V\r\nV: a\r\n"), "hello"),
    closed("a Connection that cannot be read", hello("Connection: a b\r\n"), "hello"),
    closed("close in quotes", hello("Connection: \"close\"\r\n"), "hello"),
    closed("Proxy-Connection: close", hello("Proxy-Connection: close\r\n"), "hello"),
    kept("Keep-Alive: timeout=9", hello("Keep-Alive: timeout=9, max=100\r\n"), "hello"),
    closed("Keep-Alive: timeout=0", hello("Keep-Alive: timeout=0\r\n"), "hello"),
    kept("a Keep-Alive that cannot be read", hello("Keep-Alive: timeout=soon; 5\r\n"), "hello"),
};

const rows ends{
    closed("a body to the end", ok + "\r\nhello", "hello").then_the_end(),
    closed("no body to the end", ok + "\r\n", "").then_the_end(),
    closed("a body to the end in HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", "hello").then_the_end(),
    closed("a response in a body to the end", ok + "\r\n" + ok + size_0 + "\r\n",
           ok + size_0 + "\r\n")
        .then_the_end(),
    closed("chunks in a body to the end", ok + "\r\n" + hello_in_chunks, hello_in_chunks)
        .then_the_end(),
    closed("an error to the end", "HTTP/1.1 404 Not Found\r\n\r\n", "", 404).then_the_end(),
    refused("nothing", "", errc::no_response).then_the_end(),
    refused("one byte", "H", errc::incomplete).then_the_end(),
    refused("half a status line", "HTTP/1.1 20", errc::incomplete).then_the_end(),
    refused("a status line without LF", "HTTP/1.1 200 OK\r", errc::incomplete).then_the_end(),
    refused("a status line", ok, errc::incomplete).then_the_end(),
    refused("half a field", ok + "Content-Le", errc::incomplete).then_the_end(),
    refused("half a head", ok + size_5, errc::incomplete).then_the_end(),
    refused("half an empty line", ok + size_5 + "\r", errc::incomplete).then_the_end(),
    refused("a head", ok + size_5 + "\r\n", errc::incomplete).then_the_end(),
    refused("half a body", ok + size_5 + "\r\nhel", errc::incomplete).then_the_end(),
    refused("half a body that closes", ok + "Connection: close\r\n" + size_5 + "\r\nhel",
            errc::incomplete)
        .then_the_end(),
    refused("no chunk", chunked(""), errc::incomplete).then_the_end(),
    refused("half a size", chunked("5"), errc::incomplete).then_the_end(),
    refused("half an extension", chunked("5;a"), errc::incomplete).then_the_end(),
    refused("half a chunk", chunked("5\r\nhel"), errc::incomplete).then_the_end(),
    refused("a chunk without its end", chunked("5\r\nhello"), errc::incomplete).then_the_end(),
    refused("no last chunk", chunked("5\r\nhello\r\n"), errc::incomplete).then_the_end(),
    refused("half a last chunk", chunked("5\r\nhello\r\n0\r\n"), errc::incomplete).then_the_end(),
    refused("half a trailer", chunked("5\r\nhello\r\n0\r\nT: a"), errc::incomplete).then_the_end(),
    refused("no empty line behind trailers", chunked("5\r\nhello\r\n0\r\nT: a\r\n"),
            errc::incomplete)
        .then_the_end(),
    kept("a message that ends on its own", hello(), "hello"),
    closed("two responses", hello(), "hello").followed_by(hello()),
    closed("a response in another version", hello(), "hello").followed_by("HTTP/2 200 OK\r\n\r\n"),
    closed("100 after the final one", hello(), "hello").followed_by(proceed),
    closed("a body that is too long", hello(), "hello").followed_by("!"),
    // A server may pass over it before a request (RFC 9112, 2.2), but no client before a status.
    closed("an empty line behind a body", hello(), "hello").followed_by("\r\n"),
    closed("NUL behind a body", hello(), "hello").followed_by("\0"s),
    closed("bytes behind no body", ok + size_0 + "\r\n", "").followed_by("x"),
    closed("bytes behind the last chunk", chunked(hello_in_chunks), "hello").followed_by("x"),
    closed("a second last chunk", chunked(hello_in_chunks), "hello").followed_by("0\r\n\r\n"),
    closed("bytes behind close", hello("Connection: close\r\n"), "hello").followed_by("hello"),
};

// What the client makes of it.
struct outcome {
    error_code ec;
    int status = 0;
    std::string body = {};
    std::string trailers = {};
    std::optional<std::string> v = {};

    bool operator==(const outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const outcome& o)
{
    if (o.ec)
        return out << o.ec.message();
    return out << o.status << ", body \"" << o.body << "\", trailers \"" << o.trailers << "\", V \""
               << o.v.value_or("(not asked)") << '"';
}

outcome expected(const row& each)
{
    if (each.error != errc())
        return {.ec = each.error};
    return {
        .ec = {}, .status = each.status, .body = each.body, .trailers = each.trailers, .v = each.v};
}

void look(outcome& o, const row& each, const http::response_head& head, const http::fields& after)
{
    o.status = head.status;
    if (each.v)
        o.v = head.headers.find("V").value_or("(none)");
    for (const auto [name, value] : after)
        o.trailers += std::string(name) + '=' + std::string(value) + ';';
}

request asked_by(const row& each)
{
    request asked(each.method, "/row");
    if (each.method == "POST"s)
        asked.body = "ping";
    return asked;
}

outcome read_whole(linked& l, const row& each)
{
    const auto s = l.send(asked_by(each));
    outcome o{.ec = s.ec};
    if (!s.ec) {
        look(o, each, s.answer, s.answer.trailers);
        o.body = s.answer.body;
    }
    return o;
}

// In small pieces, which end anywhere.
outcome read_streamed(linked& l, const row& each)
{
    outcome o;
    const any_client::reader reader = [&](http::incoming_response& in) -> asio::awaitable<void> {
        std::array<char, 3> some{};
        while (const auto n = co_await in.read_some(asio::buffer(some)))
            o.body.append(some.data(), n);
        look(o, each, in.head(), in.trailers());
    };
    try {
        run_on(*l.context, l.client->with_response(asked_by(each), reader));
    } catch (const boost::system::system_error& e) {
        o = {.ec = e.code()};
    }
    return o;
}

// A client, and a server that says what a row says, and answers the next request with the number of
// its connection.
class trial {
public:
    trial(combination what, bool secure)
        : l_(
              what, secure, [this](http_peer::caller& c) { serve(c); },
              [](http::single_use_client_options& o) {
                  o.timeouts.first_byte = o.timeouts.gap = 10s;
              })
    {
    }

    void try_one(const row& each, bool drips, bool streamed)
    {
        now_ = &each;
        drips_ = drips;
        const auto seen = streamed ? read_streamed(l_, each) : read_whole(l_, each);
        CHECK(seen == expected(each));
        const auto next = l_.get("/next");
        CHECK(!next.ec);
        CHECK((next.answer.body == std::to_string(used_)) == each.kept);
        CHECK(next.evidence.reused == each.kept);
        l_.client->invalidate();
    }

private:
    void serve(http_peer::caller& c)
    {
        for (auto asked = c.read_request(); !asked.empty(); asked = c.read_request()) {
            if (asked.find(" /next ") == std::string::npos) {
                used_ = c.number();
                say(c, *now_);
            } else {
                c.write(answer(std::to_string(c.number())));
            }
        }
    }

    void say(http_peer::caller& c, const row& each)
    {
        // A late byte that belongs to nothing cannot be told from the next response, so it comes
        // with the last one.
        const std::string_view text = each.said;
        const auto cut = drips_ && !text.empty() ? text.size() - 1 : 0;
        c.drip(text.substr(0, cut));
        c.write(std::string(text.substr(cut)) + each.behind);
        if (!each.ends)
            return;
        c.say_goodbye();
        c.close();
    }

    const row* now_ = nullptr;
    bool drips_ = false;
    int used_ = -1;
    linked l_; // its peer uses the others
};

void try_all(const rows& all)
{
    struct way {
        combination what;
        bool secure;
    };
    int tried = 0;
    for (const auto& [what, secure] : {way{combination::keep_alive_on_context, false},
                                       way{combination::keep_alive_on_context, true},
                                       way{combination::keep_alive_offloaded, false}}) {
        CAPTURE(std::string(name_of(what)));
        CAPTURE(secure);
        trial t(what, secure);
        for (const auto& each : all) {
            CAPTURE(std::string(each.name));
            for (const bool drips : {false, true}) {
                CAPTURE(drips);
                if (drips && each.said.size() > 4000)
                    continue;
                for (const bool streamed : {false, true}) {
                    CAPTURE(streamed);
                    t.try_one(each, drips, streamed);
                    ++tried;
                }
            }
        }
    }
    MESSAGE(all.size(), " rows, tried ", tried, " times");
}

} // namespace

TEST_CASE("http vectors: a status line is a version, three digits, and a reason or none")
{
    try_all(status_lines);
}

TEST_CASE("http vectors: a field is a token, a colon and what may be shown, on one line or folded")
{
    try_all(fields);
}

TEST_CASE("http vectors: a length is digits, and nobody has two")
{
    try_all(lengths);
}

TEST_CASE("http vectors: the only coding is chunked, once, and without a length")
{
    try_all(codings);
}

TEST_CASE("http vectors: chunks are taken to the letter")
{
    try_all(chunks);
}

TEST_CASE("http vectors: trailers are fields that change nothing")
{
    try_all(trailers);
}

TEST_CASE("http vectors: interim responses are passed over, and a change of protocol is refused")
{
    try_all(interim);
}

TEST_CASE(
    "http vectors: 204, 304 and HEAD have no body, and what is sent as one is never an answer")
{
    try_all(without_body);
}

TEST_CASE("http vectors: a connection is kept where both sides say so")
{
    try_all(persistence);
}

TEST_CASE("http vectors: what is cut off is refused, and what is too much is never an answer")
{
    try_all(ends);
}

} // namespace vectors_tests
