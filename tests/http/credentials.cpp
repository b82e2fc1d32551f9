// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/http/credentials.hpp>
#include <loopsafe/http/options.hpp>

#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <support/run_until.hpp>
#include <support/texts.hpp>
#include <utility>

namespace credentials_tests {

namespace {

namespace asio = boost::asio;
using namespace support;
using namespace loopsafe::http;

template <class F>
std::string refused(F f)
{
    const auto e = thrown_by<error>(f);
    CHECK(e.code() == errc::bad_credentials);
    CHECK(e.code() == condition::bad_request);
    CHECK(e.stage() == stage::prepare);
    return e.what();
}

TEST_CASE("credentials become the value of an Authorization field")
{
    CHECK(basic("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    CHECK(basic("test", "123\xc2\xa3") == "Basic dGVzdDoxMjPCow==");
    CHECK(basic("", "") == "Basic Og==");
    CHECK(basic("u", "p:q") == "Basic dTpwOnE=");
    CHECK(bearer("mF_9.B5f-4.1JqM") == "Bearer mF_9.B5f-4.1JqM");
    CHECK(bearer("a=") == "Bearer a=");
}

TEST_CASE("a secret that cannot be sent is refused, and is not in the error")
{
    const auto shows_nothing = [](const std::string& text) {
        CAPTURE(text);
        CHECK(text.find("secret") == std::string::npos);
        CHECK(text.find("hunter") == std::string::npos);
        CHECK(text.find("[loopsafe.http:") != std::string::npos);
        return text;
    };
    CHECK(shows_nothing(refused([] {
              basic("secret:user", "hunter2");
          })).starts_with("http basic: the user has a colon, which ends it, stage prepare"));
    CHECK(shows_nothing(refused([] {
              basic("secret\n", "hunter2");
          })).starts_with("http basic: the user: byte 7 is \"\\x0a\", stage prepare"));
    CHECK(shows_nothing(refused([] {
              basic("secret", "hunter2\r\n");
          })).starts_with("http basic: the password: byte 8 is \"\\x0d\", stage prepare"));
    CHECK(shows_nothing(refused([] {
              bearer("hunter2\n");
          })).starts_with("http bearer: the token: byte 8 is \"\\x0a\", stage prepare"));
    CHECK(shows_nothing(refused([] {
              bearer("hunter 2");
          })).starts_with("http bearer: byte 7 of the token is a space, stage prepare"));
    CHECK(shows_nothing(refused([] {
              bearer("hunter\xc3\xa4");
          })).starts_with("http bearer: byte 7 of the token is not ASCII, stage prepare"));
    CHECK(shows_nothing(refused([] {
              bearer("");
          })).starts_with("http bearer: the token is empty, stage prepare"));
    for (int c = 0; c != 256; ++c) {
        const bool is_control = c < 0x20 || c == 0x7f;
        const std::string text = std::string("secret") + static_cast<char>(c);
        if (is_control) {
            shows_nothing(refused([&] { basic("u", text); }));
            shows_nothing(refused([&] { basic(text, "p"); }));
        } else {
            CHECK_NOTHROW(basic("u", text));
        }
        if (is_control || c == ' ' || c >= 0x80)
            shows_nothing(refused([&] { bearer(text); }));
        else
            CHECK_NOTHROW(bearer(text));
    }
}

TEST_CASE("credentials are given for one origin only, and nobody is asked for another")
{
    asio::io_context context;
    int asked = 0;
    const auto current = [&asked](const origin&) -> asio::awaitable<std::string> {
        co_return bearer("t" + std::to_string(++asked));
    };
    single_use_client_options options;
    const auto given = [&](const char* url) {
        return run_on(context, options.authorization(parse_url(url).origin));
    };
    const char* const others[] = {"http://example.org/",          "https://example.org:444/",
                                  "https://a.example.org/",       "https://example.org.evil/",
                                  "https://example.com/",         "https://org/",
                                  "https://[::1]/example.org:443"};
    options.authorization = only_for("https://EXAMPLE.org:443/v1?x", current);
    CHECK(given("https://example.org/") == "Bearer t1");
    CHECK(given("https://example.org:443/other") == "Bearer t2");
    for (const auto* other : others)
        CHECK(given(other) == "");
    CHECK(asked == 2);
    const auto fixed = only_for(parse_url("https://example.org").origin, basic("u", "p"));
    {
        const auto copy = fixed;
        options.authorization = only_for("https://example.org", bearer("kept"));
        CHECK(given("https://example.org/") == "Bearer kept");
        options.authorization = copy;
    }
    CHECK(given("https://example.org/") == basic("u", "p"));
    for (const auto* other : others)
        CHECK(given(other) == "");
    CHECK(thrown_by<error>([] { only_for("example.org", basic("u", "p")); }).code() ==
          errc::bad_url);
}

TEST_CASE("credentials outlive their provider while they are being fetched")
{
    asio::io_context context;
    auto provider = std::make_unique<authorization_provider>(
        only_for("https://h", bearer("a-long-token-here")));
    auto fetched = (*provider)(parse_url("https://h").origin);
    provider.reset();
    CHECK(run_on(context, std::move(fetched)) == "Bearer a-long-token-here");
}

} // namespace

} // namespace credentials_tests
