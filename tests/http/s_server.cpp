// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it is about certificates.
//
// The TLS of another program, which the client believes or refuses. The same servers without HTTP:
// unit/tls_s_server.cpp.

#include <boost/asio/ssl/error.hpp>

#include <http/support.hpp>
#include <support/s_server.hpp>

namespace s_server_tests {

namespace {

using namespace http_test;
using namespace s_server_test;
using loopsafe::tls_error;

// What is decided on the way to a connection does not depend on what becomes of it afterwards.
constexpr combination with_and_without_worker[] = {combination::keep_alive_on_context,
                                                   combination::null_offloaded};

// A client that finds every name on this machine, and one request to one s_server.
class asking {
public:
    asking(combination what, loopsafe::tls_options trusted,
           const std::function<void(const http::event&)>& hook = {})
    {
        http::single_use_client_options with;
        with.tls = std::move(trusted);
        with.resolve = [](std::string_view) {
            return std::vector{asio::ip::address(asio::ip::address_v4::loopback())};
        };
        with.on_event = hook;
        client_ = make_client(what, *context_, with);
    }

    seen get(const std::string& url) { return run_on(*context_, watch(client_->get(url))); }
    loopsafe::pool_stats stats() { return client_->stats(); }

private:
    mortal_context context_;
    std::unique_ptr<any_client> client_;
};

std::string origin_of(const s_server& server, const std::string& name)
{
    return "https://" + name + ':' + server.port();
}

// What TLS said, below what HTTP says of it.
std::string nested_in(const std::exception_ptr& error)
{
    try {
        std::rethrow_exception(error);
    } catch (const std::nested_exception& e) {
        return text_of<tls_error>(e.nested_ptr());
    }
}

void refused(const seen& s, const std::string& origin, const std::string& because)
{
    REQUIRE(s.error != nullptr);
    const auto said = text_of<http::error>(s.error);
    const auto tls = nested_in(s.error);
    CAPTURE(said);
    CHECK(s.evidence.stage == stage::tls);
    CHECK(s.evidence.bytes_sent == 0);
    CHECK(tls.find(because) != std::string::npos);
    CHECK(said.starts_with("http " + origin));
    CHECK(said.find(", stage tls: " + s.ec.message()) != std::string::npos);
    const std::string_view twice = "certificate verify failed";
    CHECK(said.find(twice) == said.rfind(twice));
    CHECK(said.find("\n  used:  ") != std::string::npos);
    CHECK(s.ec.category() == asio::error::get_ssl_category());
}

void serves(const seen& s)
{
    CHECK(s.ec == error_code());
    CHECK(s.answer.status == 200);
    CHECK(s.answer.body.find("s_server") != std::string::npos);
}

TEST_CASE(
    "http: openssl s_server is believed or refused by its certificate, and the error says why")
{
    const authority a;
    const auto cases = certificate_cases(a);
    for (const auto what : with_and_without_worker) {
        INFO(std::string(name_of(what)));
        for (const auto& c : cases) {
            CAPTURE(c.what);
            const s_server server(a.presents(c.who, "server", {"-www"}));
            const auto origin = origin_of(server, c.name);
            asking client(what, a.trusted());
            const auto s = client.get(origin + "/secret");
            if (c.expected.empty()) {
                serves(s);
                continue;
            }
            refused(s, origin,
                    "tls handshake " + c.name + ": " + c.expected + ": certificate verify failed");
            CHECK(client.stats().connect_failures == 1);
            CHECK(client.stats().leased == 0);
        }
    }
}

TEST_CASE("http: openssl s_server with TLS 1.1 is refused, with 1.2 and an intermediate it serves")
{
    const authority a;
    const auto old =
        a.presents(a.issue({}), "old", {"-www", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"});
    const auto newer = a.presents(a.issue({}), "newer", {"-www", "-tls1_2"});
    const auto between = a.issue({.alternative = "", .authority = true});
    between.save(a.file("between.pem"));
    const auto chained = a.presents(certificates::make({}, &between), "chained",
                                    {"-www", "-cert_chain", a.file("between.pem")});
    for (const auto what : with_and_without_worker) {
        INFO(std::string(name_of(what)));
        asking client(what, a.trusted());
        const s_server refusing(old);
        const auto origin = origin_of(refusing, "localhost");
        refused(client.get(origin), origin, "protocol version");
        for (const auto& how : {newer, chained})
            serves(client.get(origin_of(s_server(how), "localhost")));
    }
}

TEST_CASE("http: openssl s_server that wants a certificate serves whoever has one, and nobody else")
{
    const authority a;
    const arguments wants{"-www",    "-Verify",          "1",
                          "-CAfile", a.file("root.pem"), "-verify_return_error"};
    auto wants_early = wants;
    wants_early.emplace_back("-tls1_2");
    const auto late = a.presents(a.issue({}), "late", wants);
    const auto early = a.presents(a.issue({}), "early", wants_early);
    const auto mine = a.presents(a.issue({.alternative = "DNS:client"}), "client");
    auto with_mine = a.trusted();
    with_mine.certificate_file = mine[1];
    with_mine.private_key_file = mine[3];
    for (const auto what : with_and_without_worker) {
        INFO(std::string(name_of(what)));
        for (const auto& how : {late, early})
            serves(asking(what, with_mine).get(origin_of(s_server(how), "localhost")));

        const s_server in_handshake(early);
        const auto origin = origin_of(in_handshake, "localhost");
        refused(asking(what, a.trusted()).get(origin), origin, "handshake failure");

        // With TLS 1.3 the client is through with the handshake before the server objects.
        const s_server after_handshake(late);
        const auto s = asking(what, a.trusted()).get(origin_of(after_handshake, "localhost"));
        REQUIRE(s.error != nullptr);
        CAPTURE(text_of<http::error>(s.error));
        CHECK(s.ec.message().find("certificate required") != std::string::npos);
        CHECK(s.evidence.stage == stage::first_byte);
        CHECK(s.evidence.bytes_received == 0);
        CHECK(!s.evidence.replayed);
    }
}

TEST_CASE("http: openssl s_server is killed: what has a length is whole, what ends with the "
          "connection may have been cut off")
{
    const authority a;
    const auto how = a.presents(a.issue({}));
    for (const auto what : with_and_without_worker) {
        INFO(std::string(name_of(what)));
        for (const bool has_length : {true, false}) {
            CAPTURE(has_length);
            s_server server(how);
            asking client(what, a.trusted(), [&](const http::event& e) {
                if (e.what == http::event::kind::first_byte)
                    server.kill(); // what it has said came with the first byte, in one record
            });
            std::thread answers([&] {
                server.await_line("GET /");
                server.await_line("\r\n");
                server.say(has_length ? "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nall\n"
                                      : "HTTP/1.1 200 OK\r\n\r\nall\n");
            });
            const auto s = client.get(origin_of(server, "localhost"));
            answers.join();
            CHECK(s.evidence.stage == stage::body);
            if (has_length) {
                CHECK(s.answer.body == "all\n");
                continue;
            }
            CHECK(s.ec == errc::incomplete);
            CHECK(text_of<http::error>(s.error).find(
                      ": the connection was closed in the middle of a response") !=
                  std::string::npos);
        }
    }

    // The same, ended by a good-bye.
    serves(asking(combination::keep_alive_on_context, a.trusted())
               .get(origin_of(s_server(a.presents(a.issue({}), "polite", {"-www"})), "localhost")));
}

} // namespace

} // namespace s_server_tests
