// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/lambda/detail/error_report.hpp>
#include <loopsafe/lambda/json.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <support/invocations.hpp>
#include <support/order.hpp>
#include <support/texts.hpp>
#include <utility>
#include <vector>

namespace json_tests {

namespace asio = boost::asio;
using loopsafe::lambda::invocation;
using loopsafe::lambda::marshal_error;
using loopsafe::lambda::unmarshal_error;
using support::order;
namespace lambda = loopsafe::lambda;

struct receipt {
    int number = 0;
    std::size_t lines = 0;
};

void tag_invoke(const boost::json::value_from_tag&, boost::json::value& to, const receipt& from)
{
    to = {{"number", from.number}, {"lines", from.lines}};
}

struct stubborn {};

stubborn tag_invoke(const boost::json::value_to_tag<stubborn>&, const boost::json::value&)
{
    throw std::runtime_error("a secret rule");
}

void tag_invoke(const boost::json::value_from_tag&, boost::json::value&, const stubborn&)
{
    throw std::runtime_error("a secret rule");
}

struct too_large {};

too_large tag_invoke(const boost::json::value_to_tag<too_large>&, const boost::json::value&)
{
    throw std::bad_alloc();
}

namespace {

using support::answer_to;
using support::thrown_by;

template <class F>
std::string answer(F function, const std::string& event)
{
    auto handler = lambda::json(std::move(function));
    return answer_to(handler, event);
}

asio::awaitable<receipt> by_pointer(const order& o)
{
    co_return receipt{o.number, o.lines.size()};
}

asio::awaitable<void> ignore(boost::json::value)
{
    co_return;
}

} // namespace

TEST_CASE("a function takes and gives types, and the invocation if it wants it")
{
    static const std::string event = R"({"number": 7, "lines": ["a", "b"], "more": null})";
    const std::string expected = R"({"number":7,"lines":2})";
    CHECK(answer(
              [](order o, invocation& in) -> asio::awaitable<receipt> {
                  CHECK(in.event() == event);
                  co_return receipt{o.number, o.lines.size()};
              },
              event) == expected);
    CHECK(answer(
              [](order&& o) -> asio::awaitable<receipt> {
                  // It lives as long as the function runs.
                  co_await asio::post(asio::use_awaitable);
                  co_return receipt{o.number, o.lines.size()};
              },
              event) == expected);
    CHECK(answer(by_pointer, event) == expected);
    int calls = 0;
    CHECK(answer([calls](order& o, invocation&) mutable noexcept
                     -> asio::awaitable<int> { co_return ++calls + o.number; },
                 event) == "8");
    auto generic = lambda::json<order>([](auto o) -> asio::awaitable<int> { co_return o.number; });
    CHECK(answer_to(generic, event) == "7");
    auto move_only = lambda::json(
        [kept = std::make_unique<int>(1)](int n) -> asio::awaitable<int> { co_return n + *kept; });
    CHECK(answer_to(move_only, "1") == "2");
}

TEST_CASE("events and answers of every kind of JSON")
{
    const auto same = [](boost::json::value v) -> asio::awaitable<boost::json::value> {
        co_return v;
    };
    for (const std::string text : {"null", "true", "-1", "18446744073709551615", "1.5E0", "\"\"",
                                   "[]", "{}", R"({"a":[1,{"b":null}],"c":"\u0000"})"})
        CHECK(boost::json::parse(answer(same, text)) == boost::json::parse(text));
    CHECK(answer(ignore, "[1]") == "null");
    CHECK(answer([](std::string s) -> asio::awaitable<std::string> { co_return s + "!"; },
                 "\"\xc3\xa9\"") == "\"\xc3\xa9!\"");
    CHECK(answer(
              [](std::map<std::string, int> m) -> asio::awaitable<std::optional<int>> {
                  co_return m.empty() ? std::optional<int>() : m.begin()->second;
              },
              R"({"a":3})") == "3");
}

TEST_CASE("an event that is no JSON is refused with the place, and nothing of it is told")
{
    const auto refused = [](const std::string& event) {
        const auto error = thrown_by<unmarshal_error>([&] { answer(ignore, event); });
        CHECK(error.type() == "Runtime.UnmarshalError");
        CHECK(std::string(error.what()).find("secret") == std::string::npos);
        CHECK(std::string(error.what()).ends_with(std::to_string(error.offset())));
        return error.offset();
    };
    CHECK(refused("") == 0);
    CHECK(refused("   ") == 3);
    CHECK(refused("secret") == 0);
    CHECK(refused("{\"secret\": 1,}") == 13);
    CHECK(refused("{\"secret\": 1") == 12);
    CHECK(refused("[1] secret") == 4);
    CHECK(refused("\"secret \xff\"") == 8);
    CHECK(refused("// secret\n1") == 0);
    CHECK(refused("'secret'") == 0);
    CHECK(refused("NaN") == 0);
    CHECK(refused(std::string("1\0 2", 4)) == 1);
    const auto text = thrown_by<unmarshal_error>([] { answer(ignore, "[1,"); });
    CHECK(std::string(text.what()) == "the event is no JSON: incomplete JSON at byte 3");
}

TEST_CASE("an event may be nested 32 deep, and no deeper")
{
    const auto nested = [](std::size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    CHECK(answer(ignore, nested(32)) == "null");
    CHECK_THROWS_AS(answer(ignore, nested(33)), unmarshal_error);
    CHECK_THROWS_AS(answer(ignore, nested(1'000'000)), unmarshal_error);
    CHECK_THROWS_AS(answer(ignore, std::string(1'000'000, '[')), unmarshal_error);
    std::string objects;
    for (int i = 0; i != 100'000; ++i)
        objects += R"({"a":)";
    CHECK_THROWS_AS(answer(ignore, objects), unmarshal_error);
}

TEST_CASE("an event of another shape is refused, and says what it is not")
{
    const auto refused = [](auto function, const std::string& event) {
        auto handler = lambda::json(std::move(function));
        std::exception_ptr thrown;
        try {
            answer_to(handler, event);
        } catch (const unmarshal_error&) {
            thrown = std::current_exception();
        }
        REQUIRE(thrown != nullptr);
        return lambda::detail::report_of(thrown);
    };
    for (const std::string event :
         {"1", "[]", "{}", R"({"number": "secret", "lines": []})",
          R"({"number": 1e300, "lines": []})", R"({"number": 1, "lines": ["secret", 2]})"}) {
        const auto report = refused(by_pointer, event);
        CHECK(report.type == "Runtime.UnmarshalError");
        CHECK(report.body.find("the event is JSON, but no support::order") != std::string::npos);
        CHECK(report.body.find("secret") == std::string::npos);
    }
    const auto nested = refused([](stubborn) -> asio::awaitable<void> { co_return; }, "{}");
    CHECK(nested.body.find(R"("cause":{"errorType":"std::runtime_error",)"
                           R"("errorMessage":"a secret rule")") != std::string::npos);
    CHECK_THROWS_AS(answer([](too_large) -> asio::awaitable<void> { co_return; }, "{}"),
                    std::bad_alloc);
}

TEST_CASE("an answer that JSON cannot have is refused")
{
    const auto refused = [](auto value) {
        const auto function = [&value](boost::json::value) -> asio::awaitable<decltype(value)> {
            co_return value;
        };
        const auto error = thrown_by<marshal_error>([&] { answer(function, "1"); });
        CHECK(error.type() == "Runtime.MarshalError");
        CHECK(std::string(error.what()).find("secret") == std::string::npos);
    };
    refused(std::numeric_limits<double>::infinity());
    refused(std::vector<double>{1, std::numeric_limits<double>::quiet_NaN()});
    refused(boost::json::value{{"a", {{"b", std::numeric_limits<double>::infinity()}}}});
    refused(std::string("secret \xff"));
    refused(std::map<std::string, int>{{"secret \xc3", 1}});
    refused(stubborn());
}

TEST_CASE("what a function throws is thrown as it is")
{
    CHECK_THROWS_AS(answer(
                        [](int) -> asio::awaitable<int> {
                            throw 3;
                            co_return 1;
                        },
                        "1"),
                    int);
    CHECK_THROWS_AS(answer([](int) -> asio::awaitable<int> { throw std::out_of_range("x"); }, "1"),
                    std::out_of_range);
}

} // namespace json_tests
