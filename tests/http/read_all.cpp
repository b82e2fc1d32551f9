// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// How much is set aside for a body that is read whole, and what comes out.
#include <loopsafe/http/incoming.hpp>

#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <http/fed_response.hpp>
#include <optional>
#include <string>
#include <support/run_until.hpp>
#include <support/texts.hpp>

namespace read_all_tests {

namespace {

using namespace support;
using http_test::fed_response;
using loopsafe::http::errc;
using loopsafe::http::error;

constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

std::string all_of(fed_response& from, std::size_t most = no_limit)
{
    boost::asio::io_context context;
    return run_on(context, from.read_all(most));
}

std::string body_of(std::size_t size)
{
    std::string body;
    for (std::size_t i = 0; i != size; ++i)
        body += static_cast<char>('a' + i % 23);
    return body;
}

TEST_CASE("read_all gives the body, whatever was announced and however it comes")
{
    for (const std::size_t size : {0U, 1U, 15U, 16383U, 16384U, 16385U, 70'000U, 300'000U}) {
        const auto body = body_of(size);
        for (const std::size_t part : {100U, 4096U, 16384U, 1'000'000U}) {
            for (const bool is_announced : {true, false}) {
                CAPTURE(size);
                CAPTURE(part);
                fed_response from(body, part);
                if (is_announced)
                    from.announced = size;
                CHECK((all_of(from) == body));
                CHECK(from.reads <= size / std::min<std::size_t>(part, 16384) + 3);
            }
        }
    }
}

TEST_CASE("read_all takes as many bytes as it may, and not one more")
{
    for (const std::size_t size : {0U, 1U, 100U, 16384U, 100'000U}) {
        const auto body = body_of(size);
        for (const bool is_announced : {true, false}) {
            CAPTURE(size);
            fed_response fits(body, 1000);
            fed_response too_large(body, 1000);
            if (is_announced)
                fits.announced = too_large.announced = size;
            CHECK((all_of(fits, size) == body));
            if (size == 0)
                continue;
            const auto e = thrown_by<error>([&] { all_of(too_large, size - 1); });
            CHECK(e.code() == errc::body_too_large);
        }
    }
}

TEST_CASE("read_all asks for no more than it may take, and trusts no length")
{
    fed_response small(std::string_view("hello"), 100);
    small.announced = 5;
    CHECK(all_of(small) == "hello");
    CHECK(small.largest_room == 5);
    fed_response bounded(std::string_view("hello"), 100);
    CHECK(all_of(bounded, 10) == "hello");
    CHECK(bounded.largest_room == 11);
    // Announced, but not there: as the answer to a HEAD, or of a server that lies.
    fed_response none(std::string_view(), 100);
    none.announced = no_limit;
    CHECK(all_of(none) == "");
    fed_response lies(std::string_view("x"), 100);
    lies.announced = no_limit;
    const auto got = all_of(lies);
    CHECK(got == "x");
    CHECK(got.capacity() <= 1024 * 1024);
    CHECK(lies.largest_room <= 64 * 1024);
}

} // namespace

} // namespace read_all_tests
