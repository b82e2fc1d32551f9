// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// What makes parts of a request: queries and forms.

#include <loopsafe/http/form.hpp>
#include <loopsafe/http/query.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

namespace makers_tests {

namespace {

using namespace loopsafe::http;

std::string every_byte()
{
    std::string all;
    for (int c = 0; c != 256; ++c)
        all += static_cast<char>(c);
    return all;
}

// What a server reads there, by the rules of WHATWG for forms.
std::vector<std::pair<std::string, std::string>> read_back(std::string_view text)
{
    std::vector<std::pair<std::string, std::string>> all;
    std::string part[2];
    int in = 0;
    for (std::size_t i = 0; i != text.size(); ++i) {
        if (text[i] == '&') {
            all.emplace_back(part[0], part[1]);
            part[0] = part[1] = "";
            in = 0;
        } else if (text[i] == '=' && in == 0) {
            in = 1;
        } else if (text[i] == '%') {
            REQUIRE(i + 2 < text.size());
            part[in] +=
                static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
        } else {
            part[in] += text[i] == '+' ? ' ' : text[i];
        }
    }
    all.emplace_back(part[0], part[1]);
    return all;
}

TEST_CASE("a query goes behind the one that a URL has, and in front of its fragment")
{
    const query added{{"q", "a b"}, {"p", "1"}};
    CHECK(added.text() == "q=a%20b&p=1");
    const std::vector<std::pair<std::string, std::string>> cases{
        {"http://h/", "http://h/?q=a%20b&p=1"},
        {"http://h", "http://h?q=a%20b&p=1"},
        {"/find", "/find?q=a%20b&p=1"},
        {"", "?q=a%20b&p=1"},
        {"http://h/?", "http://h/?q=a%20b&p=1"},
        {"http://h/?x=1", "http://h/?x=1&q=a%20b&p=1"},
        {"http://h/?x=1&", "http://h/?x=1&q=a%20b&p=1"},
        {"http://h/#f", "http://h/?q=a%20b&p=1#f"},
        {"http://h/#f?g", "http://h/?q=a%20b&p=1#f?g"},
        {"http://h/?x=1#f", "http://h/?x=1&q=a%20b&p=1#f"},
    };
    for (const auto& [url, whole] : cases) {
        CHECK(url + added == whole);
        CHECK(url + query() == url);
        if (url.starts_with("http"))
            CHECK((parse_url(url) + added).to_string() == parse_url(whole).to_string());
    }
    CHECK("/a" + query{{"b", "c"}} == "/a?b=c");
    query grown{{"a", "b"}};
    grown.add(grown.text(), grown.text());
    CHECK(grown.text() == "a=b&a%3Db=a%3Db");
}

TEST_CASE("no name or value of a query or a form can end its own")
{
    const auto all = every_byte();
    const std::vector<std::pair<std::string, std::string>> asked{
        {all, all}, {"", ""}, {"a&b=c", "&"}, {"", "="}, {"+", "%20"}, {"#", "?"}};
    query made;
    form filled;
    for (const auto& [name, value] : asked) {
        made.add(name, value);
        filled.add(name, value);
    }
    CHECK(read_back(made.text()) == asked);
    CHECK(read_back(filled.text()) == asked);
    CHECK(parse_url("http://h/" + made).target == "/?" + made.text()); // nothing is encoded twice
}

TEST_CASE("what stays as it is in a query, and in a form")
{
    const auto kept_by = [](auto made) {
        std::string kept;
        for (const char c : every_byte()) {
            const std::string one(1, c);
            if (decltype(made)({{one, ""}}).text() == one + "=")
                kept += c;
        }
        return kept;
    };
    const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const std::string small = "abcdefghijklmnopqrstuvwxyz";
    CHECK(kept_by(query()) == "-.0123456789" + letters + "_" + small + "~");
    CHECK(kept_by(form()) == "*-.0123456789" + letters + "_" + small);
    CHECK(form{{"q", "a b\xc3\xa4~"}}.text() == "q=a+b%C3%A4%7E");
    CHECK(query{{"q", "a+b\xc3\xa4*"}}.text() == "q=a%2Bb%C3%A4%2A");
}

TEST_CASE("a form is the body of a request, whose type it sets")
{
    request asked("POST", "/", "old");
    asked.headers.add("content-type", "text/plain");
    asked.headers.add("X-Own", "1");
    const auto made = with_form(asked, form{{"a", "1"}, {"a", "2"}});
    CHECK(made.method == "POST");
    CHECK(made.body.bytes() == "a=1&a=2");
    CHECK(made.body.repeatable());
    CHECK(made.headers.count("Content-Type") == 1);
    CHECK(made.headers["Content-Type"] == "application/x-www-form-urlencoded");
    CHECK(made.headers["X-Own"] == "1");
    const auto empty = with_form(asked, form());
    CHECK(empty.body.present());
    CHECK(empty.body.length() == 0);
}

} // namespace

} // namespace makers_tests
