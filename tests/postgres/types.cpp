// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "support.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("types");

TEST_CASE("the server learns the type of numbers and booleans from C++")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows = co_await conn.query(
            "select pg_typeof($1)::text, pg_typeof($2)::text, pg_typeof($3)::text, "
            "pg_typeof($4)::text, pg_typeof($5)::text, pg_typeof($6)::text, pg_typeof($7)::text",
            std::int16_t(1), 1, std::int64_t(1), 1u, 1.5f, 1.5, true);
        std::vector<std::string> types;
        for (const auto field : rows[0])
            types.push_back(field.as<std::string>());
        CHECK(types == std::vector<std::string>{"integer", "integer", "bigint", "bigint", "real",
                                                "double precision", "boolean"});
    });
}

TEST_CASE("every type comes back as it went out")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const std::vector<std::byte> bytes{std::byte{0}, std::byte{0xff}, std::byte{'\\'}};
        const std::string text = "Grüße \u2603 'quoted' \\x41 \n";
        const auto rows = co_await conn.query(
            "select $1::bigint, $2::bigint, $3::double precision, $4::real, $5::boolean, $6::text, "
            "$7::bytea, $8::numeric, $9::text, $10::double precision",
            std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(),
            0.1 + 0.2, 0.1f, false, text, bytes, std::numeric_limits<std::uint64_t>::max(),
            std::string_view(), -std::numeric_limits<double>::infinity());
        const auto row = rows.one();
        CHECK(row[0].as<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
        CHECK(row[1].as<std::int64_t>() == std::numeric_limits<std::int64_t>::max());
        CHECK(row[2].as<double>() == 0.1 + 0.2);
        CHECK(row[3].as<float>() == 0.1f);
        CHECK_FALSE(row[4].as<bool>());
        CHECK(row[5].as<std::string>() == text);
        CHECK(row[6].as<std::vector<std::byte>>() == bytes);
        CHECK(row[7].as<std::uint64_t>() == std::numeric_limits<std::uint64_t>::max());
        CHECK_FALSE(row[8].is_null());
        CHECK(row[8].as<std::string_view>().empty());
        CHECK(row[9].as<double>() == -std::numeric_limits<double>::infinity());
    });
}

TEST_CASE("a literal is a text, and so are an array of characters and a pointer to one")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const char array[] = "array";
        const char* pointer = "pointer";
        const auto rows =
            co_await conn.query("select $1::text, $2::text, $3::text", "literal", array, pointer);
        CHECK(rows[0][0].text() == "literal");
        CHECK(rows[0][1].text() == "array");
        CHECK(rows[0][2].text() == "pointer");
    });
}

TEST_CASE("what is null goes out as NULL and comes back as an empty optional")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const char* nothing = nullptr;
        const auto rows =
            co_await conn.query("select $1::int, $2::text, $3::int, $4::text, $5::int", nullptr,
                                std::nullopt, std::optional<int>(), nothing, std::optional<int>(5));
        const auto [a, b, c, d, e] =
            rows[0]
                .as<std::optional<int>, std::optional<std::string>, std::optional<int>,
                    std::optional<std::string_view>, std::optional<int>>();
        CHECK_FALSE(a.has_value());
        CHECK_FALSE(b.has_value());
        CHECK_FALSE(c.has_value());
        CHECK_FALSE(d.has_value());
        CHECK(e == 5);
        CHECK(rows[0][0].is_null());
        CHECK(rows[0][0].text().empty());
    });
}

TEST_CASE("a span of bytes is a bytea, with NUL bytes and all")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const std::byte bytes[] = {std::byte{0}, std::byte{1}, std::byte{0}};
        const auto rows =
            co_await conn.query("select length($1), $1", std::span<const std::byte>(bytes));
        CHECK(rows[0][0].as<int>() == 3);
        CHECK(std::ranges::equal(rows[0][1].as<std::vector<std::byte>>(), bytes));
    });
}

TEST_CASE("a text with a NUL byte is refused and the connection stays clean")
{
    const pg::connector connector(server());
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(connector);
        for (const bool in_parameter : {true, false}) {
            std::optional<pg::error> failure;
            try {
                if (in_parameter)
                    co_await conn.query("select $1, $2", 1, std::string("a\0b", 3));
                else
                    co_await conn.query(std::string("select 1\0; drop table t", 23));
            } catch (const pg::error& e) {
                failure = e;
            }
            REQUIRE(failure.has_value());
            CHECK(failure->code() == pg::errc::bad_parameter);
            CHECK((std::string(failure->what()).find("parameter $2") != std::string::npos) ==
                  in_parameter);
        }
        CHECK(connector.is_clean(conn));
    });
}

TEST_CASE("rows and columns are counted, named, and walked")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows = co_await conn.query(
            "select i as number, 'n' || i as name from generate_series(1, 3) i order by i");
        CHECK(rows.size() == 3);
        CHECK(rows.columns() == 2);
        CHECK(rows.column_name(1) == "name");
        CHECK(rows.affected_rows() == 3);
        CHECK(rows.command() == "SELECT 3");
        int expected = 0;
        for (const auto row : rows) {
            const auto [number, name] = row.as<int, std::string>();
            CHECK(number == ++expected);
            CHECK(name == 'n' + std::to_string(expected));
            CHECK(row["name"].text() == name);
        }
        CHECK(expected == 3);
    });
}

TEST_CASE("what is not there is out of range, and said so")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows = co_await conn.query("select 1 as a");
        CHECK_THROWS_WITH_AS((void)rows[1], "postgres result: row 1 of 1", std::out_of_range);
        CHECK_THROWS_WITH_AS((void)rows[0][1], "postgres result: column 1 of 1", std::out_of_range);
        CHECK_THROWS_WITH_AS((void)rows[0]["b"], "postgres result: no column \"b\"",
                             std::out_of_range);
        CHECK_THROWS_AS((void)rows.column_name(1), std::out_of_range);
        CHECK_THROWS_WITH_AS((rows[0].as<int, int>()),
                             "postgres result: as<...>() got 2 types for 1 column",
                             std::out_of_range);
        CHECK_THROWS_AS((void)pg::result().one(), std::out_of_range);
    });
}

TEST_CASE("a conversion that fails names column, row, type and text")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows = co_await conn.query(
            "select 1 as a, v as b from (values ('7'), ('seven'), (null)) t(v)");
        CHECK(rows[0][1].as<int>() == 7);
        CHECK_THROWS_WITH_AS((void)rows[1].as<int>(),
                             "postgres result: as<...>() got 1 type for 2 columns",
                             std::out_of_range);
        CHECK_THROWS_WITH_AS(
            (rows[1].as<int, int>()),
            "postgres result: column 1 \"b\", row 1: \"seven\" is not a 32-bit integer",
            pg::conversion_error);
        CHECK_THROWS_WITH_AS(
            (void)rows[2]["b"].as<std::string>(),
            "postgres result: column 1 \"b\", row 2: NULL is not text; use std::optional",
            pg::conversion_error);
        CHECK_THROWS_WITH_AS((void)rows[0][0].as<bool>(),
                             "postgres result: column 0 \"a\", row 0: \"1\" is not a boolean",
                             pg::conversion_error);
        try {
            (void)rows[1][1].as<std::uint8_t>();
            FAIL("converted");
        } catch (const pg::conversion_error& e) {
            CHECK(e.code() == pg::errc::bad_conversion);
            CHECK(e.seen().row == 1);
            CHECK(e.seen().column == 1);
            CHECK(e.seen().column_name == "b");
            CHECK(e.seen().wanted == "unsigned 8-bit integer");
            CHECK(e.seen().text == "seven");
            CHECK(std::string(e.what()).ends_with("is not an unsigned 8-bit integer"));
        }
    });
}

TEST_CASE("a number that does not fit is no such number")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows = co_await conn.query("select 256, -1, 2147483648, 1.5");
        CHECK_THROWS_AS((void)rows[0][0].as<std::uint8_t>(), pg::conversion_error);
        CHECK_THROWS_AS((void)rows[0][1].as<unsigned>(), pg::conversion_error);
        CHECK_THROWS_AS((void)rows[0][2].as<int>(), pg::conversion_error);
        CHECK_THROWS_AS((void)rows[0][3].as<int>(), pg::conversion_error);
    });
}

namespace {
struct point {
    int x;
    int y;
};
} // namespace

template <>
struct loopsafe::postgres::codec<point> {
    static constexpr std::string_view name = "point";

    static parameter encode(const point& p)
    {
        return {.bytes = '(' + std::to_string(p.x) + ',' + std::to_string(p.y) + ')'};
    }

    static std::optional<point> decode(std::string_view text)
    {
        const auto comma = text.find(',');
        if (comma == text.npos || text.front() != '(' || text.back() != ')')
            return std::nullopt;
        const auto x = codec<int>::decode(text.substr(1, comma - 1));
        const auto y = codec<int>::decode(text.substr(comma + 1, text.size() - comma - 2));
        return x && y ? std::optional(point{*x, *y}) : std::nullopt;
    }
};

TEST_CASE("a program's own type is a parameter and a field once it has a codec")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows =
            co_await conn.query("select $1::point, $2::point", point{3, 4}, std::optional<point>());
        const auto [p, none] = rows[0].as<point, std::optional<point>>();
        CHECK(p.x == 3);
        CHECK(p.y == 4);
        CHECK_FALSE(none.has_value());
    });
}

TEST_SUITE_END();
