// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// The bytes that a server may send as encoded content: each whole, byte by byte, and cut in two.

#include <loopsafe/http/detail/coding/body_decoder.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <http/content.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace content_tests {

namespace {

using namespace content_test;
using namespace loopsafe::http;
namespace http = loopsafe::http;
using loopsafe::error_code;
using namespace std::string_literals;

struct verdict {
    error_code ec;
    std::string text = {};

    bool operator==(const verdict&) const = default;
};

std::ostream& operator<<(std::ostream& out, const verdict& v)
{
    return out << v.ec.message() << " after " << v.text.size() << " bytes";
}

using codings = std::vector<const content_coding*>;

detail::applied_codings applied(const codings& all)
{
    detail::applied_codings made;
    for (const auto* each : all)
        made.each[made.size++] = each;
    return made;
}

// Reads all that can be read, `room` bytes at a time.
verdict read(detail::body_decoder& decoder, std::size_t room)
{
    verdict v;
    std::string part(room, '\0');
    std::size_t n = 0;
    do {
        n = decoder.take(boost::asio::buffer(part), v.ec);
        v.text.append(part, 0, n);
    } while (n != 0 || decoder.is_pausing());
    return v;
}

// `step`: how much comes at once.
verdict decode(const codings& how, std::string_view body, std::size_t step, std::size_t room = 4096)
{
    detail::body_decoder decoder(applied(how));
    verdict all;
    for (bool last = false; !last && !all.ec;) {
        const auto part = body.substr(0, step);
        body.remove_prefix(part.size());
        last = part.empty();
        decoder.put(part);
        const auto next = read(decoder, room);
        all.ec = next.ec;
        all.text += next.text;
    }
    return all;
}

// However it comes, and into however little room, the verdict is the same.
verdict decode(const codings& how, std::string_view body)
{
    const auto whole = decode(how, body, std::max<std::size_t>(body.size(), 1));
    if (body.size() + whole.text.size() < 100'000) {
        const auto drop = decode(how, body, 1);
        CHECK(drop.ec == whole.ec);
        const auto narrow = decode(how, body, std::max<std::size_t>(body.size(), 1), 1);
        CHECK(narrow.ec == whole.ec);
        if (!whole.ec) {
            CHECK(drop == whole);
            CHECK(narrow == whole);
        }
    }
    return whole;
}

std::string zstd_skipped(const std::string& bytes)
{
    return "\x50\x2a\x4d\x18"s + static_cast<char>(bytes.size()) + "\0\0\0"s + bytes;
}

TEST_CASE("content: what was encoded is decoded, however it comes")
{
    for (const auto& way : all_ways) {
        CAPTURE(std::string(way.name));
        for (const auto& text :
             {""s, "x"s, page(1024), page(300'000), noise(70'000), std::string(2'000'000, '\0')}) {
            CAPTURE(text.size());
            const auto v = decode({way.coding}, way.encode(text));
            CAPTURE(v);
            CHECK_FALSE(v.ec);
            CHECK((v.text == text));
        }
    }
}

TEST_CASE("content: cut anywhere it is content_cut, and all that came before the cut is there")
{
    const auto text = page(1024);
    for (const auto& way : all_ways) {
        CAPTURE(std::string(way.name));
        const auto body = way.encode(text);
        for (std::size_t cut = 1; cut != body.size(); ++cut) {
            CAPTURE(cut);
            const auto v = decode({way.coding}, body.substr(0, cut));
            CHECK(v.ec == errc::content_cut);
            CHECK(text.starts_with(v.text));
        }
        for (std::size_t cut = 1; cut != body.size(); ++cut) { // in two parts that both come
            detail::body_decoder decoder(applied({way.coding}));
            decoder.put(std::string_view(body).substr(0, cut));
            auto v = read(decoder, 100);
            decoder.put(std::string_view(body).substr(cut));
            v.text += read(decoder, 100).text;
            decoder.put({});
            v.ec = read(decoder, 100).ec;
            CHECK_FALSE(v.ec);
            CHECK((v.text == text));
        }
    }
}

TEST_CASE("content: what was flushed is there at once")
{
    for (const auto& way : all_ways) {
        CAPTURE(std::string(way.name));
        const auto encoder = way.make();
        detail::body_decoder decoder(applied({way.coding}));
        for (int i = 0; i != 100; ++i) {
            const auto event = "data: event " + std::to_string(i) + "\n\n";
            const auto body = encoder->flush(event);
            decoder.put(body);
            const auto v = read(decoder, 4096);
            CHECK_FALSE(v.ec);
            CHECK(v.text == event);
        }
        const auto end = encoder->finish({});
        decoder.put(end);
        CHECK(read(decoder, 4096).text.empty());
        decoder.put({});
        CHECK_FALSE(read(decoder, 4096).ec);
    }
}

TEST_CASE("content: an error comes after what was decoded before it, and then each time")
{
    const auto text = page(50'000);
    for (const auto& way : all_ways) {
        CAPTURE(std::string(way.name));
        const auto encoder = way.make();
        auto body = encoder->flush(text);
        body += "no such block \xff\xff\xff\xff\xff\xff\xff\xff";
        detail::body_decoder decoder(applied({way.coding}));
        decoder.put(body);
        const auto v = read(decoder, 100);
        CHECK(v.ec == errc::bad_content);
        CHECK(text.starts_with(v.text)); // Brotli and zstd keep some of it back
        if (way.coding == &gzip || way.coding == &http::deflate)
            CHECK((v.text == text));
        CHECK(read(decoder, 100) == verdict{v.ec});
    }
}

TEST_CASE("content: an empty body is empty content")
{
    for (const auto& way : all_ways) {
        const auto v = decode({way.coding}, "");
        CHECK(v == verdict());
    }
    CHECK(decode({&gzip, &brotli}, "") == verdict());
}

TEST_CASE("content: members of gzip and frames of zstd follow each other")
{
    const auto text = page(5000);
    const auto member = all_ways[0].encode(text);
    const auto nothing = all_ways[0].encode("");
    auto v = decode({&gzip}, member + nothing + nothing + member);
    CHECK_FALSE(v.ec);
    CHECK((v.text == text + text));
    v = decode({&gzip}, member + member.substr(0, 1));
    CHECK(v.ec == errc::content_cut);
    CHECK((v.text == text));

    const auto frame = zstd_encoder().all(text);
    v = decode({&zstd}, zstd_skipped("left out") + frame + zstd_skipped("") +
                            zstd_encoder().finish(text) + zstd_skipped("the end"));
    CHECK_FALSE(v.ec);
    CHECK((v.text == text + text));
    v = decode({&zstd}, frame + frame.substr(0, 1));
    CHECK(v.ec == errc::content_cut);
    v = decode({&zstd}, zstd_skipped("cut").substr(0, 10));
    CHECK(v.ec == errc::content_cut);
}

TEST_CASE("content: bytes behind its end are refused")
{
    const auto text = page(5000);
    for (const auto& way : all_ways) {
        CAPTURE(std::string(way.name));
        for (const auto& garbage : {"x"s, "\0"s, "garbage"s, std::string(3000, '\0')}) {
            const auto v = decode({way.coding}, way.encode(text) + garbage);
            CAPTURE(v);
            CHECK(v.ec == errc::bad_content);
            CHECK((v.text == text));
        }
    }
    for (const auto& twice : {1, 2, 3}) {
        const auto& way = all_ways[twice];
        CAPTURE(std::string(way.name));
        CHECK(decode({way.coding}, way.encode(text) + way.encode(text)).ec == errc::bad_content);
    }
}

TEST_CASE("content: what is no content of its coding is refused")
{
    const auto text = page(3000);
    for (const auto& way : all_ways) {
        CAPTURE(std::string(way.name));
        CHECK(decode({way.coding}, std::string(100, '\xff')).ec == errc::bad_content);
        auto body = way.encode(text);
        CHECK(decode({way.coding}, "\r\n" + body).ec == errc::bad_content);
        if (way.coding == &gzip || way.coding == &zstd) { // they end with a checksum
            body.back() = static_cast<char>(body.back() ^ 1);
            CHECK(decode({way.coding}, body).ec == errc::bad_content);
        }
    }
    CHECK(decode({&gzip}, text).ec == errc::bad_content);
    CHECK(decode({&zstd}, text).ec == errc::bad_content);
    auto other = all_ways[1].encode(text); // zlib ends with one, too
    other.back() = static_cast<char>(other.back() ^ 1);
    CHECK(decode({&http::deflate}, other).ec == errc::bad_content);
    // A dictionary is needed that nobody has.
    CHECK(decode({&http::deflate}, "\x78\xbb\x01\x02\x03\x04"s).ec == errc::bad_content);
}

TEST_CASE("content: whether deflate has a header is decided on its first two bytes")
{
    // One literal, which the second byte completes; stored; with dynamic codes.
    for (const auto& text : {"x"s, noise(20), page(4000)}) {
        for (const int level : {0, 1, 9}) {
            CAPTURE(level);
            for (const int bits : {-15, -9, 15, 9}) {
                CAPTURE(bits);
                const auto v = decode({&http::deflate}, zlib_encoder(bits, level).finish(text));
                CHECK_FALSE(v.ec);
                CHECK(v.text == text);
            }
        }
    }
    CHECK(decode({&http::deflate}, "\x78").ec == errc::content_cut);
    CHECK(decode({&http::deflate}, "\x03").ec == errc::content_cut);
    CHECK(decode({&http::deflate}, "\x03\x00"s) == verdict()); // bare, and empty
}

TEST_CASE("content: a window beyond what HTTP allows is refused, also for content that needs none")
{
    for (const auto& text : {page(1000), page(300'000)}) {
        auto v = decode({&zstd}, zstd_encoder(3, 23).finish(text));
        CHECK_FALSE(v.ec);
        CHECK((v.text == text));
        for (const int bits : {24, 27}) {
            CAPTURE(bits);
            zstd_encoder encoder(3, bits);
            auto body = encoder.flush(text); // which is not known to be all
            body += encoder.finish({});
            v = decode({&zstd}, body);
            CHECK(v.ec == errc::window_too_large);
            CHECK(v.text.empty());
        }
        v = decode({&brotli}, brotli_encoder(9, 24).finish(text));
        CHECK_FALSE(v.ec);
        CHECK((v.text == text));
        v = decode({&brotli}, brotli_encoder(9, 25, true).finish(text));
        CHECK(v.ec == errc::window_too_large);
    }
    // 256 bytes, which are announced, in a frame with a window of 128 MiB: whoever has all of it
    // can decode it without one.
    const auto declared = "\x28\xb5\x2f\xfd\x40\x88\x00\x00\x03\x08\x00x"s;
    char content[256];
    REQUIRE(::ZSTD_decompress(content, sizeof(content), declared.data(), declared.size()) == 256);
    CHECK(decode({&zstd}, declared).ec == errc::window_too_large);
}

TEST_CASE("content: the formats from before zstd was specified are refused, wherever they begin")
{
    const auto begun = "\x28\xb5\x2f\xfd\x00\x58"s; // the head of a frame
    for (int version = 0x22; version != 0x28; ++version) {
        CAPTURE(version);
        const auto head = std::string(1, static_cast<char>(version)) + "\xb5\x2f\xfd\x00\x88"s;
        CHECK(decode({&zstd}, head).ec == errc::bad_content);
        for (std::size_t size = 1; size != 4; ++size)
            CHECK(decode({&zstd}, begun.substr(0, size) + head).ec == errc::bad_content);
    }
    const auto first = "\xfd\x2f\xb5\x1e"s;
    CHECK(decode({&zstd}, first).ec == errc::bad_content);
    const std::string more(14, '\0');
    CHECK(decode({&zstd}, begun.substr(0, 4) + first + more).ec == errc::bad_content);
    CHECK(decode({&zstd}, begun.substr(0, 5) + first + more).ec == errc::window_too_large);
}

TEST_CASE("content: two codings are undone, the last one first")
{
    const auto text = page(100'000);
    for (const auto& first : all_ways) {
        for (const auto& second : all_ways) {
            CAPTURE(first.name);
            CAPTURE(second.name);
            const auto inner = first.encode(text);
            const auto body = second.encode(inner);
            const auto v = decode({first.coding, second.coding}, body);
            CHECK_FALSE(v.ec);
            CHECK((v.text == text));
            CHECK(decode({first.coding, second.coding}, body.substr(0, body.size() - 1)).ec ==
                  errc::content_cut);
            const auto cut = second.encode(inner.substr(0, inner.size() / 2));
            CHECK(decode({first.coding, second.coding}, cut).ec == errc::content_cut);
            const auto longer = second.encode(inner + "garbage");
            const auto after = decode({first.coding, second.coding}, longer);
            CHECK(after.ec == errc::bad_content);
            CHECK((after.text == text));
        }
    }
}

TEST_CASE("content: the codings of a response are found as it names them")
{
    const detail::known_codings known({gzip, http::deflate, brotli, zstd});
    CHECK(known.names() == "gzip, deflate, br, zstd");
    const auto found = [&](fields headers, const char* method = "GET", int status = 200) {
        response_head head;
        head.status = status;
        head.headers = std::move(headers);
        const auto all = known.of(head, method);
        std::string names = all.too_many ? "too many" : "";
        for (std::size_t i = 0; i != all.size && !all.too_many; ++i)
            names += std::string(all.each[i]->name()) + ' ';
        return names;
    };
    CHECK(found({}) == "");
    CHECK(found({{"content-encoding", "GZip"}}) == "gzip ");
    CHECK(found({{"Content-Encoding", "x-gzip"}}) == "gzip ");
    CHECK(found({{"Content-Encoding", "identity"}}) == "");
    CHECK(found({{"Content-Encoding", "identity, br"}}) == "br ");
    CHECK(found({{"Content-Encoding", " , zstd,,"}}) == "zstd ");
    CHECK(found({{"Content-Encoding", "deflate, gzip"}}) == "deflate gzip ");
    CHECK(found({{"Content-Encoding", "deflate"}, {"Content-Encoding", "gzip"}}) ==
          "deflate gzip ");
    CHECK(found({{"Content-Encoding", "gzip, gzip, gzip"}}) == "too many");
    CHECK(found({{"Content-Encoding", "gzip, br"}, {"Content-Encoding", "gzip"}}) == "too many");
    CHECK(found({{"Content-Encoding", "compress"}}) == "");
    CHECK(found({{"Content-Encoding", "gzip;q=1"}}) == "");
    CHECK(found({{"Content-Encoding", "gzip, compress"}}) == "");
    CHECK(found({{"Content-Encoding", "compress, gzip"}}) == "");
    CHECK(found({{"Content-Encoding", "gzip, gzip, compress, gzip"}}) == "");
    CHECK(found({{"Content-Encoding", "gzip"}}, "HEAD") == "");
    CHECK(found({{"Content-Encoding", "gzip"}}, "GET", 204) == "");
    CHECK(found({{"Content-Encoding", "gzip"}}, "GET", 206) == "");
    CHECK(found({{"Content-Encoding", "gzip"}}, "GET", 304) == "");
    CHECK(found({{"Content-Encoding", "gzip"}}, "GET", 404) == "gzip ");
    CHECK(found({{"Content-Encoding", "gzip"}, {"Content-Length", "0"}}) == "");
    CHECK(found({{"Content-Encoding", "gzip"}, {"Content-Length", "20"}}) == "gzip ");

    const detail::known_codings one({brotli});
    response_head head;
    head.status = 200;
    head.headers.add("Content-Encoding", "gzip");
    CHECK(one.of(head, "GET").size == 0);
}

} // namespace

} // namespace content_tests
