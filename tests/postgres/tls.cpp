// SPDX-License-Identifier: BSL-1.0
#include "peer.hpp"
#include "support.hpp"

#include <openssl/ssl.h>

#include <memory>
#include <support/certificates.hpp>

namespace tls_tests {

namespace {

using context_ptr = std::unique_ptr<SSL_CTX, loopsafe::detail::c_deleter<&SSL_CTX_free>>;
using ssl_ptr = std::unique_ptr<SSL, loopsafe::detail::c_deleter<&SSL_free>>;

context_ptr self_signed()
{
    context_ptr context(SSL_CTX_new(TLS_server_method()));
    certificates::use(context.get(), certificates::make({}));
    return context;
}

std::string number(std::uint32_t value, int bytes)
{
    std::string text;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        text += static_cast<char>(value >> shift);
    return text;
}

// One text column of that many bytes.
std::string answer(std::uint32_t size)
{
    using namespace std::string_literals;
    return message('1', "") + message('2', "") +
           message('T', number(1, 2) + "a\0"s + number(0, 4) + number(0, 2) + number(25, 4) +
                            number(0xffff, 2) + number(0xffffffff, 4) + number(0, 2)) +
           message('D', number(1, 2) + number(size, 4) + std::string(size, 'x')) +
           message('C', "SELECT 1\0"s) + ready();
}

// Answers one query: `first` bytes in a record of their own, the rest in as long ones as there can
// be.
void serve(peer::socket& s, const std::string& bytes, std::size_t first)
{
    peer::receive(s);
    peer::send(s, "S");
    const auto context = self_signed();
    const ssl_ptr ssl(SSL_new(context.get()));
    SSL_set_fd(ssl.get(), s.native_handle());
    char heard[4096];
    if (SSL_accept(ssl.get()) != 1 || SSL_read(ssl.get(), heard, sizeof heard) <= 0)
        return;
    const auto hello = welcome();
    SSL_write(ssl.get(), hello.data(), static_cast<int>(hello.size()));
    if (SSL_read(ssl.get(), heard, sizeof heard) <= 0)
        return;
    SSL_write(ssl.get(), bytes.data(), static_cast<int>(first));
    SSL_write(ssl.get(), bytes.data() + first, static_cast<int>(bytes.size() - first));
    SSL_read(ssl.get(), heard, sizeof heard);
}

asio::awaitable<bool> encrypted(pg::connection& conn)
{
    const auto rows =
        co_await conn.query("select ssl from pg_stat_ssl where pid = pg_backend_pid()");
    co_return rows.one()[0].as<bool>();
}

} // namespace

TEST_SUITE_BEGIN("tls");

TEST_CASE("TLS is what sslmode asks for")
{
    run([]() -> asio::awaitable<void> {
        auto required = co_await connect(server("sslmode=require"));
        CHECK(co_await encrypted(required));
        auto disabled = co_await connect(server("sslmode=disable"));
        CHECK_FALSE(co_await encrypted(disabled));
        auto verified = co_await connect(server("sslmode=verify-full sslrootcert=" +
                                                variable("LOOPSAFE_POSTGRES_DIR") + "/server.crt"));
        CHECK(co_await encrypted(verified));
    });
}

TEST_CASE("a server without TLS is taken where TLS is only preferred")
{
    peer p([](peer::socket& s) {
        peer::receive(s);
        peer::send(s, "N");
        peer::receive(s);
        peer::send(s, welcome());
        peer::receive_all(s);
    });
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(p.conninfo("sslmode=prefer"));
        CHECK(conn.is_open());
    });
}

TEST_CASE("much goes out and comes back through TLS")
{
    run([]() -> asio::awaitable<void> {
        auto conn = co_await connect(server("sslmode=require"));
        const std::string text(3'000'000, 'y');
        const auto rows = co_await conn.query(
            "select $1::text, repeat('x', i % 100) from generate_series(1, 2) i", text);
        CHECK((rows[1][0].text() == text));
        const auto many = co_await conn.query("select generate_series(1, 100000)");
        CHECK(many.size() == 100'000);
    });
}

TEST_CASE("an answer is complete although libpq leaves the end of a long record inside of TLS")
{
    for (const std::uint32_t size : {16'300u, 20'000u, 23'000u, 32'600u, 50'000u, 81'900u}) {
        for (const std::size_t first : {1u, 4'000u, 7'000u, 8'100u}) {
            CAPTURE(size);
            CAPTURE(first);
            peer p([&](peer::socket& s) { serve(s, answer(size), first); });
            run([&]() -> asio::awaitable<void> {
                auto conn = co_await connect(p.conninfo("sslmode=require"));
                const auto rows = co_await conn.query("select a");
                CHECK(rows.one()[0].text().size() == size);
            });
        }
    }
}

TEST_SUITE_END();

} // namespace tls_tests
