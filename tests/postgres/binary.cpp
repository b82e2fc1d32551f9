// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "support.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace {

asio::awaitable<pg::result> ask(pg::connection& conn, std::string text)
{
    return conn.query(pg::statement(text).with_binary_results());
}

} // namespace

TEST_SUITE_BEGIN("binary");

TEST_CASE("a binary result holds what the same in text holds")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const std::string text =
            "select 32767::smallint, (-2147483648)::int, 9223372036854775807::bigint, "
            "4294967295::oid, 0.1::real, 0.1::float8, true, 'Grüße'::text, 'v'::varchar, "
            "'c'::char(3), 'n'::name, '{\"a\": 1}'::json, '{\"a\": 1}'::jsonb, '<a/>'::xml, "
            "'q'::\"char\", '\\x00ff41'::bytea, null::int";
        const auto plain = co_await conn.query(text);
        const auto binary = co_await ask(conn, text);
        REQUIRE(binary.columns() == plain.columns());
        const auto same = [&]<class T>(std::size_t column, T expected) {
            CAPTURE(column);
            CHECK(binary[0][column].is_binary());
            CHECK_FALSE(plain[0][column].is_binary());
            CHECK(binary[0][column].type() == plain[0][column].type());
            CHECK(binary[0][column].as<T>() == expected);
            CHECK(plain[0][column].as<T>() == expected);
        };
        same(0, std::int16_t(32767));
        same(0, std::int64_t(32767));
        same(0, 32767.0);
        same(1, std::numeric_limits<int>::min());
        same(2, std::numeric_limits<std::int64_t>::max());
        same(2, std::numeric_limits<std::uint64_t>::max() / 2);
        same(3, std::uint32_t(4294967295));
        same(4, 0.1f);
        same(5, 0.1);
        same(5, 0.1f);
        same(6, true);
        const std::string texts[] = {"Grüße",      "v",          "c  ",  "n",
                                     "{\"a\": 1}", "{\"a\": 1}", "<a/>", "q"};
        for (std::size_t i = 0; i != std::size(texts); ++i)
            same(7 + i, texts[i]);
        same(15, std::vector<std::byte>{std::byte{0}, std::byte{0xff}, std::byte{'A'}});
        same(16, std::optional<int>());
        CHECK(binary[0][15].text() == std::string_view("\0\xff"
                                                       "A",
                                                       3));
    });
}

TEST_CASE("numbers at their edges come whole, and what does not fit is refused")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows = co_await ask(
            conn, "select 'infinity'::float8, 'nan'::float4, 1e300::float8, -1::smallint, "
                  "256::int, 4294967296::bigint, '-0'::float8, 'infinity'::float4, "
                  "1e-300::float8, ''::\"char\"");
        const auto row = rows[0];
        CHECK(row[0].as<double>() == std::numeric_limits<double>::infinity());
        CHECK(row[0].as<float>() == std::numeric_limits<float>::infinity());
        CHECK(std::isnan(row[1].as<float>()));
        CHECK(std::isnan(row[1].as<double>()));
        CHECK(row[2].as<double>() == 1e300);
        CHECK_THROWS_AS((void)row[2].as<float>(), pg::conversion_error);
        CHECK(row[3].as<int>() == -1);
        CHECK_THROWS_AS((void)row[3].as<unsigned>(), pg::conversion_error);
        CHECK_THROWS_AS((void)row[4].as<std::uint8_t>(), pg::conversion_error);
        CHECK_THROWS_AS((void)row[5].as<std::uint32_t>(), pg::conversion_error);
        CHECK(std::signbit(row[6].as<double>()));
        CHECK(row[7].as<double>() == std::numeric_limits<double>::infinity());
        CHECK(row[8].as<double>() == 1e-300);
        CHECK_THROWS_AS((void)row[8].as<float>(), pg::conversion_error);
        CHECK(row[9].as<std::string>().empty());
    });
}

TEST_CASE("bytes of a type that is not read in binary are refused, and the text says what to do")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows =
            co_await ask(conn, "select 1.5::numeric as price, 7 as number, null::text as nothing");
        CHECK_THROWS_WITH_AS(
            (void)rows[0][0].as<double>(),
            "postgres result: column 0 \"price\", row 0: 12 bytes of type "
            "1700 are not a double; cast the column, or request the result as text",
            pg::conversion_error);
        CHECK_THROWS_WITH_AS((void)rows[0][1].as<std::string>(),
                             "postgres result: column 1 \"number\", row 0: 4 bytes of type 23 "
                             "are not text; cast the column, or request the result as text",
                             pg::conversion_error);
        CHECK_THROWS_WITH_AS(
            (void)rows[0][2].as<std::string>(),
            "postgres result: column 2 \"nothing\", row 0: NULL is not text; use std::optional",
            pg::conversion_error);
        CHECK_THROWS_AS((void)rows[0][1].as<bool>(), pg::conversion_error);
        CHECK_THROWS_AS((void)rows[0][1].as<std::vector<std::byte>>(), pg::conversion_error);
    });
}

TEST_CASE("a statement is prepared once, whatever form its results have")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        for (int i = 0; i != 4; ++i) {
            pg::statement sql("select $1::int");
            if (i % 2 != 0)
                sql = sql.with_binary_results();
            const auto rows = co_await conn.query(sql, i);
            CHECK(rows[0][0].is_binary() == (i % 2 != 0));
            CHECK(rows[0][0].as<int>() == i);
        }
        const auto known = co_await conn.query(
            "select count(*) from pg_prepared_statements where name like 'loopsafe%'");
        CHECK(known[0][0].as<int>() == 1);
    });
}

namespace {
struct uuid {
    std::string bytes;
};
} // namespace

template <>
struct loopsafe::postgres::codec<uuid> {
    static constexpr std::string_view name = "uuid";

    static std::optional<uuid> decode(std::string_view) { return std::nullopt; }

    static std::optional<uuid> decode_binary(std::string_view bytes, std::uint32_t oid)
    {
        return oid == 2950 && bytes.size() == 16 ? std::optional(uuid{std::string(bytes)})
                                                 : std::nullopt;
    }
};

TEST_CASE("a program's own type is read in binary once its codec can")
{
    with_connection([](pg::connection& conn) -> asio::awaitable<void> {
        const auto rows =
            co_await ask(conn, "select '00000000-0000-0000-0000-000000000041'::uuid, 7");
        CHECK(rows[0][0].as<uuid>().bytes == std::string(15, '\0') + 'A');
        CHECK_THROWS_AS((void)rows[0][1].as<uuid>(), pg::conversion_error);
    });
}

TEST_SUITE_END();
