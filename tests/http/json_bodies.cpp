// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/http/json.hpp>

#include <boost/json.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <support/order.hpp>
#include <support/texts.hpp>
#include <vector>

namespace json_bodies_tests {

struct stubborn {};

stubborn tag_invoke(const boost::json::value_to_tag<stubborn>&, const boost::json::value&)
{
    throw std::runtime_error("a rule of its own");
}

namespace {

using namespace support;
using namespace loopsafe::http;
namespace json = boost::json;

response answered(std::string body)
{
    response made;
    made.status = 200;
    made.body = std::move(body);
    made.seen.stage = stage::body;
    made.seen.bytes_sent = 10;
    made.seen.bytes_received = 20;
    return made;
}

template <class F>
std::string refused(F f)
{
    const auto e = thrown_by<error>(f);
    CHECK(e.code() == errc::bad_json);
    CHECK(e.code() == condition::protocol);
    CHECK(e.stage() == stage::body);
    const std::string text = e.what();
    CHECK(text.find("secret") == std::string::npos);
    return text;
}

std::string nested(int depth)
{
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
}

TEST_CASE("a body of JSON is read as any type that has a conversion")
{
    const auto answer = answered(R"({"number": 7, "lines": ["a", "b"]})");
    CHECK(as_json(answer).at("number") == 7);
    CHECK(as_json<json::value>(answer).at("lines").as_array().size() == 2);
    const auto read = as_json<order>(answer);
    CHECK(read.number == 7);
    CHECK(read.lines == std::vector<std::string>{"a", "b"});
    CHECK(as_json<std::map<std::string, json::value>>(answer).size() == 2);
    CHECK(as_json<std::vector<int>>(answered(" [1, 2]\n")) == std::vector<int>{1, 2});
    CHECK(as_json<std::optional<int>>(answered("null")) == std::nullopt);
    CHECK(as_json<std::string>("\"text\"") == "text");
    const std::string line = R"({"number": 8, "lines": []})";
    CHECK(as_json<order>(line).number == 8);
    CHECK(as_json(std::string_view(line)).at("number") == 8);
}

TEST_CASE("a body that is no JSON is refused with the place, and nothing of it")
{
    CHECK(
        refused([] { as_json(answered(R"({"secret": tru)")); })
            .starts_with("http as_json, status 200, byte 14: incomplete JSON, stage body, 10 bytes "
                         "sent, 20 received: the body is not the JSON that was asked for"));
    CHECK(refused([] {
              as_json(answered(R"({"secret" 1})"));
          }).starts_with("http as_json, status 200, byte 10: "));
    CHECK(refused([] { as_json(answered("")); }).find("byte 0: incomplete JSON") !=
          std::string::npos);
    CHECK(refused([] { as_json(answered("[1] secret")); }).find("byte 4: ") != std::string::npos);
    CHECK(refused([] { as_json<order>(answered("<html>secret")); }).find("byte 0: ") !=
          std::string::npos);
    CHECK(refused([] { as_json(answered("\"secret\xff\"")); }).find("byte 7: ") !=
          std::string::npos);
    CHECK(refused([] { as_json("[1,}"); }).starts_with("http as_json, byte 3: "));
    auto failed = answered("secret");
    failed.status = 502;
    CHECK(refused([&] { as_json(failed); }).starts_with("http as_json, status 502, byte 0: "));
    CHECK_NOTHROW(as_json(answered(nested(32))));
    CHECK(refused([] { as_json(answered(nested(33))); }).find("byte 32: ") != std::string::npos);
}

TEST_CASE("JSON of another shape is refused with the type that it is not")
{
    const auto wrong = answered(R"({"number": "secret", "lines": []})");
    CHECK(refused([&] {
              as_json<order>(wrong);
          }).find("as_json, status 200, JSON, but no support::order, stage body") !=
          std::string::npos);
    CHECK(refused([&] { as_json<int>("\"secret\""); }).find("JSON, but no int") !=
          std::string::npos);
    CHECK(refused([&] { as_json<order>("{}"); }).find("support::order") != std::string::npos);
    std::string nested_text;
    try {
        as_json<stubborn>("1");
    } catch (const error& e) {
        try {
            std::rethrow_if_nested(e);
        } catch (const std::runtime_error& inner) {
            nested_text = inner.what();
        }
    }
    CHECK(nested_text == "a rule of its own");
}

TEST_CASE("a value becomes the body of a request, as JSON")
{
    request asked("POST", "/", "old");
    asked.headers.add("content-type", "text/plain");
    auto made = with_json(asked, {{"model", "small"}, {"stream", true}});
    CHECK(made.method == "POST");
    CHECK(made.body.bytes() == R"({"model":"small","stream":true})");
    CHECK(made.headers.count("Content-Type") == 1);
    CHECK(made.headers["Content-Type"] == "application/json");
    const json::value value = json::parse("[1,2]");
    CHECK(with_json(asked, value).body.bytes() == "[1,2]");
    CHECK(with_json(asked, json::array{1, 2}).body.bytes() == "[1,2]");
    CHECK(with_json(asked, json::object{{"a", nullptr}}).body.bytes() == R"({"a":null})");
    CHECK(with_json(asked, order{7, {"a"}}).body.bytes() == R"({"number":7,"lines":["a"]})");
    CHECK(with_json(asked, std::vector<int>{1, 2}).body.bytes() == "[1,2]");
    CHECK(with_json(asked, std::map<std::string, int>{{"a", 1}}).body.bytes() == R"({"a":1})");
    CHECK(with_json(asked, "text").body.bytes() == R"("text")");
    CHECK(with_json(asked, 7).body.bytes() == "7");
    const auto back = as_json<order>(with_json(asked, order{9, {"\xc3\xa4\n"}}).body.bytes());
    CHECK(back.number == 9);
    CHECK(back.lines == std::vector<std::string>{"\xc3\xa4\n"});
}

TEST_CASE("a value that JSON cannot hold is refused, and is not in the error")
{
    const auto why = [](const json::value& value) {
        const auto e = thrown_by<error>([&] { with_json(request("POST", "/"), value); });
        CHECK(e.code() == errc::unwritable_json);
        CHECK(e.code() == condition::bad_request);
        CHECK(e.stage() == stage::prepare);
        const std::string text = e.what();
        CHECK(text.find("secret") == std::string::npos);
        return text;
    };
    CHECK(why({"secret", std::numeric_limits<double>::infinity()})
              .starts_with("http with_json, the value has a number that JSON does not have: it is "
                           "infinite, or no number, stage prepare"));
    CHECK(why({{"secret", std::numeric_limits<double>::quiet_NaN()}}).find("a number that") !=
          std::string::npos);
    CHECK(why(json::array{"secret\xff"})
              .starts_with("http with_json, the value has a string that is no UTF-8, at byte 8 of "
                           "its JSON, stage prepare"));
}

} // namespace

} // namespace json_bodies_tests
