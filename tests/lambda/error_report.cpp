// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/lambda/detail/error_report.hpp>

#include <boost/json.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace error_report_tests {

namespace json = boost::json;
using loopsafe::lambda::function_error;
using loopsafe::lambda::detail::error_report;
using loopsafe::lambda::detail::report_of;

template <class T>
struct box {
    struct broken : std::runtime_error {
        using std::runtime_error::runtime_error;
    };
};

struct order_refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct http2_error {};

struct no_text : std::exception {
    const char* what() const noexcept override { return nullptr; }
};

struct nested_but_no_exception : std::nested_exception {};

namespace {

template <class T>
error_report report_of_thrown(T value)
{
    return report_of(std::make_exception_ptr(std::move(value)));
}

// Parses it strictly, so that it is JSON and UTF-8.
json::object parsed(const std::string& text)
{
    REQUIRE_FALSE(text.empty());
    return json::parse(text).as_object();
}

std::string text(const json::object& of, std::string_view name)
{
    return std::string(of.at(name).as_string());
}

std::string message_of_thrown(const std::string& what)
{
    return text(parsed(report_of_thrown(std::runtime_error(what)).body), "errorMessage");
}

std::exception_ptr nested(int levels)
{
    try {
        if (levels == 0)
            throw std::logic_error("the first");
        try {
            std::rethrow_exception(nested(levels - 1));
        } catch (...) {
            std::throw_with_nested(std::runtime_error("level " + std::to_string(levels)));
        }
    } catch (...) {
        return std::current_exception();
    }
}

} // namespace

TEST_CASE("an error is reported with its dynamic type and its text")
{
    const auto report = report_of_thrown(order_refused("order 7 has no lines"));
    CHECK(report.body == R"({"errorType":"error_report_tests::order_refused",)"
                         R"("errorMessage":"order 7 has no lines","stackTrace":[]})");
    CHECK(report.type == "Function.OrderRefused");
    const auto thrown_as_base = [] {
        try {
            try {
                throw order_refused("x");
            } catch (const std::exception&) {
                throw;
            }
        } catch (...) {
            return report_of(std::current_exception());
        }
    }();
    CHECK(thrown_as_base.type == "Function.OrderRefused");
}

TEST_CASE("whatever is thrown has a report")
{
    const auto check = [](const error_report& report, const std::string& type,
                          const std::string& message, const std::string& header) {
        const auto body = parsed(report.body);
        CHECK(text(body, "errorType") == type);
        CHECK(text(body, "errorMessage") == message);
        CHECK(body.at("stackTrace").as_array().empty());
        CHECK(report.type == header);
    };
    static const std::string none = "an exception that is no std::exception";
    check(report_of_thrown(42), "int", "42", "Function.Int");
    check(report_of_thrown(std::string("text")), "std::string", "text", "Function.String");
    check(report_of_thrown(std::string_view("view")),
          "std::basic_string_view<char, std::char_traits<char> >", "view",
          "Function.BasicStringView");
    check(report_of_thrown("literal"), "char const*", "literal", "Runtime.Unknown");
    check(report_of_thrown(static_cast<const char*>(nullptr)), "char const*", "",
          "Runtime.Unknown");
    check(report_of_thrown(3.5), "double", none, "Function.Double");
    check(report_of_thrown(http2_error()), "error_report_tests::http2_error", none,
          "Function.HttpError");
    check(report_of_thrown(no_text()), "error_report_tests::no_text", "", "Function.NoText");
    check(report_of_thrown(box<std::map<int, std::string>>::broken("deep")),
          "error_report_tests::box<std::map<int, std::__cxx11::basic_string<char, "
          "std::char_traits<char>, std::allocator<char> >, std::less<int>, "
          "std::allocator<std::pair<int const, std::__cxx11::basic_string<char, "
          "std::char_traits<char>, std::allocator<char> > > > > >::broken",
          "deep", "Function.Broken");
    check(report_of(nullptr), "Runtime.Unknown", "no exception", "Runtime.Unknown");
    const auto closure = [] {};
    CHECK(report_of_thrown(closure).type == "Runtime.Unknown");
}

TEST_CASE("an error may name its own type, and only one that Lambda takes is in the header")
{
    const auto header = [](const std::string& type) {
        const auto report = report_of_thrown(function_error(type, "x"));
        CHECK(text(parsed(report.body), "errorType") == type);
        return report.type;
    };
    CHECK(header("Function.OrderRefused") == "Function.OrderRefused");
    CHECK(header("Runtime.UnmarshalError") == "Runtime.UnmarshalError");
    for (const char* bad : {"", ".", "Function", "Function.", "Function.x", "Function.X",
                            "Function.Order1", "Function.Order Refused", "function.Order",
                            "Other.Order", "Function.Order\r\nX-Injected: 1", "Function.A.B"})
        CHECK(header(bad) == "Runtime.Unknown");
    CHECK(header("Function." + std::string(200, 'A')) == "Runtime.Unknown");
}

TEST_CASE("the text of an error is valid UTF-8 and JSON, whatever bytes it has")
{
    CHECK(message_of_thrown("quote \" backslash \\ line\nbreak \x01 \x7f") ==
          "quote \" backslash \\ line\nbreak \x01 \x7f");
    CHECK(message_of_thrown("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80") ==
          "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
    const std::string bad = "\xef\xbf\xbd";
    CHECK(message_of_thrown("a\xff"
                            "b") == "a" + bad + "b");
    CHECK(message_of_thrown("\xc3") == bad); // cut
    CHECK(message_of_thrown("\xf0\x9f\x98"
                            "z") == bad + "z");                            // one for what was begun
    CHECK(message_of_thrown("\xc0\xaf") == bad + bad);                     // longer than it need be
    CHECK(message_of_thrown("\xe0\x80\x80") == bad + bad + bad);           // the same
    CHECK(message_of_thrown("\xed\xa0\x80") == bad + bad + bad);           // a surrogate
    CHECK(message_of_thrown("\xf4\x90\x80\x80") == bad + bad + bad + bad); // beyond the last
    CHECK(message_of_thrown("\xf5\x80") == bad + bad);
    std::string all;
    for (int byte = 1; byte != 256; ++byte)
        all += static_cast<char>(byte);
    CHECK(message_of_thrown(all).size() == 127 + 3 * 128);
}

TEST_CASE("nested errors are causes, eight deep")
{
    auto at = parsed(report_of(nested(2)).body);
    CHECK(text(at, "errorMessage") == "level 2");
    at = json::object(at.at("cause").as_object());
    CHECK(text(at, "errorMessage") == "level 1");
    at = json::object(at.at("cause").as_object());
    CHECK(text(at, "errorMessage") == "the first");
    CHECK(text(at, "errorType") == "std::logic_error");
    CHECK_FALSE(at.contains("cause"));

    auto deep = json::value(parsed(report_of(nested(100)).body));
    int depth = 0;
    for (const auto* next = &deep.as_object(); next->contains("cause"); ++depth)
        next = &next->at("cause").as_object();
    CHECK(depth == 8);

    const auto no_exception = report_of_thrown(nested_but_no_exception());
    CHECK_FALSE(parsed(no_exception.body).contains("cause"));
}

TEST_CASE("the errors of all_failed are causes beside each other")
{
    const std::vector<std::exception_ptr> errors = {std::make_exception_ptr(order_refused("one")),
                                                    nested(1), std::make_exception_ptr(3)};
    const auto report = report_of_thrown(loopsafe::all_failed(errors));
    CHECK(report.type == "Function.AllFailed");
    const auto body = parsed(report.body);
    const auto& causes = body.at("causes").as_array();
    REQUIRE(causes.size() == 3);
    CHECK(text(causes[0].as_object(), "errorMessage") == "one");
    CHECK(text(causes[1].as_object().at("cause").as_object(), "errorMessage") == "the first");
    CHECK(text(causes[2].as_object(), "errorType") == "int");

    const auto many = report_of_thrown(loopsafe::all_failed({1000, errors[0]}));
    CHECK(parsed(many.body).at("causes").as_array().size() == error_report::most_errors - 1);
    CHECK(many.body.size() <= error_report::most_bytes);
}

TEST_CASE("a report takes no more than 32 KiB, and its cause for X-Ray is one short line of ASCII")
{
    const auto check = [](const error_report& report) {
        CHECK(report.body.size() <= 32 * 1024);
        CHECK_NOTHROW(parsed(report.body));
        CHECK(report.xray.size() <= error_report::most_xray_bytes);
        const json::value first = parsed(report.xray).at("exceptions").as_array().at(0);
        CHECK(first.as_object().contains("message"));
        for (const char c : report.xray)
            REQUIRE((c >= ' ' && c <= '~'));
    };
    for (const std::string& piece : {std::string("x"), std::string("\x01"), std::string("\xff"),
                                     std::string("\""), std::string("\xf0\x9f\x98\x80")}) {
        std::string long_text;
        while (long_text.size() < 1'000'000)
            long_text += piece;
        const auto report = report_of_thrown(std::runtime_error(long_text));
        check(report);
        CHECK(text(parsed(report.body), "errorMessage").ends_with("..."));
        check(report_of_thrown(function_error(long_text, long_text)));
        const auto one = std::make_exception_ptr(std::runtime_error(long_text));
        check(report_of_thrown(loopsafe::all_failed({100, one})));
    }
    check(report_of(nested(100)));
    const auto emoji = report_of_thrown(std::runtime_error("\xf0\x9f\x98\x80 \xc3\xa9\n"));
    CHECK(emoji.xray.find(R"("message":"\ud83d\ude00 \u00e9\n")") != std::string::npos);
}

} // namespace error_report_tests
