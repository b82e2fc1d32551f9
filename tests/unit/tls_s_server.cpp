// SPDX-License-Identifier: BSL-1.0
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/tls.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <string>
#include <support/run_until.hpp>
#include <support/s_server.hpp>
#include <support/texts.hpp>

namespace tls_s_server_tests {

// The TLS of another program: openssl s_server, with certificates as they go wrong in life.
namespace {

using namespace support;
using namespace s_server_test;
using loopsafe::error_code;
using loopsafe::tls_error;
using loopsafe::tls_options;

asio::awaitable<std::string> reversed(loopsafe::tls_stream& stream)
{
    co_await asio::async_write(stream, asio::buffer("live\n", 5), asio::use_awaitable);
    std::string back(5, ' ');
    co_await asio::async_read(stream, asio::buffer(back), asio::use_awaitable);
    co_return back;
}

loopsafe::tls_stream connect(asio::io_context& context, const s_server& server,
                             const std::string& name, tls_options options)
{
    options.server_name = name;
    const loopsafe::tls_connector connector("127.0.0.1", server.port(), options);
    return run_on(context, connector.connect(context.get_executor()));
}

std::string refused(const s_server& server, const std::string& name, const tls_options& options)
{
    asio::io_context context(1);
    return text_of(thrown_by<tls_error>([&] { connect(context, server, name, options); }));
}

void serves(const s_server& server, const std::string& name, const tls_options& options)
{
    asio::io_context context(1);
    auto stream = connect(context, server, name, options);
    CHECK(run_on(context, reversed(stream)) == "evil\n");
}

} // namespace

TEST_SUITE_BEGIN("tls");

TEST_CASE("openssl s_server is believed or refused by its certificate, and the error says why")
{
    const authority a;
    for (const auto& c : certificate_cases(a)) {
        CAPTURE(c.what);
        const s_server server(a.presents(c.who, "server", {"-rev"}));
        if (c.expected.empty())
            serves(server, c.name, a.trusted());
        else
            CHECK(refused(server, c.name, a.trusted())
                      .starts_with("tls handshake " + c.name + ": " + c.expected +
                                   ": certificate verify failed"));
    }
}

TEST_CASE("openssl s_server with TLS 1.1 is refused, with 1.2 and with an intermediate it serves")
{
    const authority a;
    const auto old =
        a.presents(a.issue({}), "server", {"-rev", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"});
    CHECK(refused(s_server(old), "localhost", a.trusted()).find("protocol version") !=
          std::string::npos);

    const auto newer = a.presents(a.issue({}), "server", {"-rev", "-tls1_2"});
    serves(s_server(newer), "localhost", a.trusted());

    const auto between = a.issue({.alternative = "", .authority = true});
    between.save(a.file("between.pem"));
    const auto chained = a.presents(certificates::make({}, &between), "server",
                                    {"-rev", "-cert_chain", a.file("between.pem")});
    serves(s_server(chained), "localhost", a.trusted());
}

TEST_CASE("openssl s_server that wants a certificate serves whoever has one, and nobody else")
{
    const authority a;
    const auto wants =
        a.presents(a.issue({}), "server",
                   {"-rev", "-Verify", "1", "-CAfile", a.file("root.pem"), "-verify_return_error"});
    {
        const auto mine = a.presents(a.issue({.alternative = "DNS:client"}), "client");
        auto options = a.trusted();
        options.certificate_file = mine[1];
        options.private_key_file = mine[3];
        serves(s_server(wants), "localhost", options);
    }
    const s_server server(wants);
    asio::io_context context(1);
    auto stream = connect(context, server, "localhost", a.trusted());
    CHECK(thrown_by<boost::system::system_error>([&] { run_on(context, reversed(stream)); })
              .code()
              .message()
              .find("certificate required") != std::string::npos);
}

TEST_CASE("openssl s_server that is killed has not said good-bye")
{
    const authority a;
    s_server server(a.presents(a.issue({}), "server", {"-rev"}));
    asio::io_context context(1);
    auto stream = connect(context, server, "localhost", a.trusted());
    CHECK(run_on(context, reversed(stream)) == "evil\n");
    server.kill();
    const auto e =
        thrown_by<boost::system::system_error>([&] { run_on(context, reversed(stream)); });
    CHECK((e.code() == asio::ssl::error::stream_truncated ||
           e.code() == asio::error::connection_reset || e.code() == asio::error::broken_pipe));
    CHECK_FALSE(stream.is_clean());
}

TEST_SUITE_END();

} // namespace tls_s_server_tests
