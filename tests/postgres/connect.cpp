// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "peer.hpp"
#include "support.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <sys/epoll.h>
#include <vector>

namespace connect_tests {

namespace {

bool is_errno(const pg::error& e, int number)
{
    return e.code() == boost::system::error_code(number, boost::system::system_category());
}

std::string what_of(const std::exception& e)
{
    return e.what();
}

// Connects until the peer has heard something, then cancels.
pg::error cancelled(const std::string& more)
{
    asio::io_context context;
    asio::cancellation_signal signal;
    peer silent([&](peer::socket& s) {
        peer::receive(s);
        asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
        peer::receive_all(s);
    });
    std::exception_ptr failure;
    asio::co_spawn(
        context, [&]() -> asio::awaitable<void> { co_await connect(silent.conninfo(more)); },
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { failure = e; }));
    const auto work = asio::make_work_guard(context);
    while (failure == nullptr)
        context.run_one();
    try {
        std::rethrow_exception(failure);
    } catch (const pg::error& e) {
        return e;
    }
}

// Whether a reactor of this process waits until a descriptor can be written to.
bool any_is_watched_for_writing()
{
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
        std::ifstream info(each.path());
        for (std::string word; info >> word;) {
            unsigned events = 0;
            if (word == "events:" && info >> std::hex >> events && (events & EPOLLOUT) != 0)
                return true;
        }
    }
    return false;
}

// Listens, and has as many callers as it may have: the next one is heard once it has called again,
// a second later.
class busy_listener {
public:
    busy_listener() : acceptor_(context_, asio::ip::tcp::v4())
    {
        acceptor_.bind({asio::ip::address_v4::loopback(), 0});
        acceptor_.listen(0);
        first_.connect(acceptor_.local_endpoint());
    }

    std::string conninfo() const
    {
        return "host=127.0.0.1 user=u sslmode=disable port=" +
               std::to_string(acceptor_.local_endpoint().port());
    }

    peer::socket accept_the_next()
    {
        acceptor_.accept();
        return acceptor_.accept();
    }

private:
    asio::io_context context_;
    asio::ip::tcp::acceptor acceptor_;
    asio::ip::tcp::socket first_{context_};
};

} // namespace

TEST_SUITE_BEGIN("connect");

TEST_CASE("a connection string that makes no sense is refused at construction, by name")
{
    CHECK_THROWS_WITH_AS(pg::connector("hots=127.0.0.1"),
                         "postgres configure: invalid connection option \"hots\"", pg::error);
    try {
        pg::connector("host");
        FAIL("accepted");
    } catch (const pg::error& e) {
        CHECK(e.code() == pg::errc::bad_conninfo);
        CHECK(e.stage() == pg::stage::configure);
    }
}

TEST_CASE("no text repeats a password, wherever in a connection string it was put")
{
    using namespace std::string_literals;
    std::vector<std::string> texts;
    for (const auto& wrong :
         {"postgresql://me:sec%ret@localhost/db"s, "postgresql://me:secret@[::1/db"s,
          "postgresql://me:secr%00et@localhost/db"s, "postgresql://localhost/db?password=x%secret"s,
          "host=localhost password=my secret phrase"s, "password=my secret=phrase"s,
          "host=localhost\0 password=secret"s}) {
        CAPTURE(wrong);
        try {
            pg::connector refused(wrong);
            FAIL("accepted");
        } catch (const pg::error& e) {
            CHECK(e.code() == pg::errc::bad_conninfo);
            texts.push_back(e.what());
        }
    }
    texts.push_back(refused("postgresql://me:sec@ret@127.0.0.1:1/db").what());
    texts.push_back(refused("postgresql://localhost:secret").what());
    for (const auto& text : texts) {
        CAPTURE(text);
        for (const auto* part : {"sec", "ret", "secret", "phrase"})
            CHECK(text.find(part) == std::string::npos);
    }
    CHECK(texts[0].find("write \"%\" in a password as \"%25\"") != std::string::npos);
}

TEST_CASE("an option that libpq cannot use is named when it connects")
{
    const auto e = refused(server("sslmode=perhaps"));
    CHECK(e.code() == pg::errc::bad_conninfo);
    CHECK(e.stage() == pg::stage::configure);
    CHECK(e.server_message() == "invalid sslmode value: \"perhaps\"");
    CHECK(refused("host=127.0.0.1,127.0.0.1 port=1,2,3").code() == pg::errc::bad_conninfo);
}

TEST_CASE("a server that is down: stage connect, ECONNREFUSED")
{
    asio::io_context context;
    asio::ip::tcp::socket bound(context, {asio::ip::address_v4::loopback(), 0});
    const auto e =
        refused("host=127.0.0.1 user=u port=" + std::to_string(bound.local_endpoint().port()));
    CHECK(e.stage() == pg::stage::connect);
    CHECK(is_errno(e, ECONNREFUSED));
    CHECK(e.code() == pg::condition::connection_exception);
    CHECK(e.sqlstate().empty());
    CHECK(what_of(e).starts_with("postgres connect: connection to server at \"127.0.0.1\""));
}

TEST_CASE("a UNIX socket that is not there: stage connect, ENOENT")
{
    const auto e = refused("host=/nonexistent user=u");
    CHECK(e.stage() == pg::stage::connect);
    CHECK(is_errno(e, ENOENT));
}

TEST_CASE("a server that accepts and is silent: a cancelled connect says how far it came")
{
    const auto aborted = make_error_code(asio::error::operation_aborted);
    const auto tls = cancelled("sslmode=prefer");
    CHECK(tls.code() == aborted);
    CHECK(tls.stage() == pg::stage::tls);
    const auto start = cancelled("sslmode=disable");
    CHECK(start.code() == aborted);
    CHECK(start.stage() == pg::stage::authenticate);
}

TEST_CASE("a server that hangs up: the stage that it had come to")
{
    const auto hangs_up = [](const std::string& more) {
        peer p([](peer::socket& s) {
            peer::receive(s);
            boost::system::error_code ignored;
            s.shutdown(peer::socket::shutdown_send, ignored);
            peer::receive_all(s);
        });
        return refused(p.conninfo(more));
    };
    const auto tls = hangs_up("sslmode=require");
    CHECK(tls.stage() == pg::stage::tls);
    CHECK(tls.code() == pg::condition::connection_exception);
    const auto start = hangs_up("sslmode=disable");
    CHECK(start.stage() == pg::stage::authenticate);
    CHECK(start.code() == pg::errc::connection_failed);
    CHECK(what_of(start).find("server closed the connection unexpectedly") != std::string::npos);
}

TEST_CASE("a server that resets the connection: ECONNRESET")
{
    peer p([](peer::socket& s) {
        peer::receive(s);
        s.set_option(asio::socket_base::linger(true, 0));
        s.close();
    });
    const auto e = refused(p.conninfo("sslmode=disable"));
    CHECK(e.stage() == pg::stage::authenticate);
    CHECK(is_errno(e, ECONNRESET));
}

TEST_CASE("a server that speaks another protocol: the stage, and what came")
{
    const auto web = [](const std::string& more) {
        peer p([](peer::socket& s) {
            peer::receive(s);
            peer::send(s, "HTTP/1.1 400 Bad Request\r\n\r\n");
            s.shutdown(peer::socket::shutdown_send);
            peer::receive_all(s);
        });
        return refused(p.conninfo(more));
    };
    const auto tls = web("sslmode=require");
    CHECK(tls.stage() == pg::stage::tls);
    CHECK(tls.code() == pg::errc::connection_failed);
    const auto start = web("sslmode=disable");
    CHECK(start.stage() == pg::stage::authenticate);
    CHECK(start.code() == pg::errc::connection_failed);
    CHECK(start.code() == pg::condition::connection_exception);
}

TEST_CASE("TLS refused where it is required: stage tls")
{
    peer p([](peer::socket& s) {
        peer::receive(s);
        peer::send(s, "N");
        peer::receive_all(s);
    });
    const auto e = refused(p.conninfo("sslmode=require"));
    CHECK(e.stage() == pg::stage::tls);
    CHECK(what_of(e).find("server does not support SSL, but SSL was required") !=
          std::string::npos);
}

TEST_CASE("a certificate that nobody vouches for: stage tls")
{
    const auto e = refused(server("sslmode=verify-full sslrootcert=/dev/null"));
    CHECK(e.stage() == pg::stage::tls);
}

TEST_CASE("a wrong password: stage authenticate, SQLSTATE 28P01")
{
    for (const std::string mode : {"sslmode=disable", "sslmode=prefer", "sslmode=require"}) {
        CAPTURE(mode);
        const auto e = refused(server("user=secret password=wrong ") + mode);
        CHECK(e.stage() == pg::stage::authenticate);
        CHECK(e.sqlstate() == "28P01");
        CHECK(e.code() == pg::condition::invalid_authorization);
        CHECK(e.code() == pg::make_sqlstate_code("28P01"));
        CHECK(e.report().severity == "FATAL");
        CHECK(e.server_message() == "password authentication failed for user \"secret\"");
        CHECK(what_of(e).starts_with("postgres authenticate: password authentication failed for "
                                     "user \"secret\" [28P01]\n  server: "));
        CHECK(what_of(e).find(", user \"secret\"\n  used:   ") != std::string::npos);
        CHECK(what_of(e).find("wrong") == std::string::npos);
    }
}

TEST_CASE("the right password is accepted")
{
    const auto user = run([]() -> asio::awaitable<std::string> {
        auto conn = co_await connect(server("user=secret password=right"));
        co_return (co_await conn.query("select current_user"))[0][0].as<std::string>();
    });
    CHECK(user == "secret");
}

TEST_CASE("a database that there is not: stage authenticate, SQLSTATE 3D000")
{
    const auto e = refused(server("dbname=nowhere"));
    CHECK(e.stage() == pg::stage::authenticate);
    CHECK(e.sqlstate() == "3D000");
}

TEST_CASE("the next host is tried when the first is down, and the last one's failure counts")
{
    asio::io_context context;
    asio::ip::tcp::socket bound(context, {asio::ip::address_v4::loopback(), 0});
    const auto down = std::to_string(bound.local_endpoint().port());
    const auto up = variable("LOOPSAFE_POSTGRES_PORT");
    const auto before = open_descriptors();
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await connect(server("host=127.0.0.1,127.0.0.1 port=" + down + ',' + up));
        CHECK((co_await conn.query("select 1"))[0][0].as<int>() == 1);
    });
    CHECK(open_descriptors() == before);

    const auto e = refused(server("host=127.0.0.1,/nonexistent port=" + down + ',' + down));
    CHECK(is_errno(e, ENOENT));
    CHECK(what_of(e).find("Connection refused") != std::string::npos);
}

TEST_CASE("the next host is tried when the first says nothing, as long as libpq's limit allows")
{
    const auto up = variable("LOOPSAFE_POSTGRES_PORT");
    for (const bool accepts : {true, false}) { // or is in nobody's hands yet
        std::optional<peer> silent;
        std::optional<asio::io_context> context(std::in_place);
        asio::ip::tcp::acceptor full(*context);
        std::string port;
        if (accepts) {
            silent.emplace([](peer::socket& s) { peer::receive_all(s); });
            port = std::to_string(silent->port());
        } else {
            full.open(asio::ip::tcp::v4());
            full.bind({asio::ip::address_v4::loopback(), 0});
            full.listen(128);
            port = std::to_string(full.local_endpoint().port());
        }
        const auto before = open_descriptors();
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(
                server("host=127.0.0.1,127.0.0.1 connect_timeout=2 port=" + port + ',' + up));
            CHECK((co_await conn.query("select 1"))[0][0].as<int>() == 1);
        });
        CHECK(open_descriptors() == before);
    }
}

TEST_CASE("a host that refuses and does not hang up does not keep its successor from being watched")
{
    using namespace std::string_literals;
    const auto before = open_descriptors();
    {
        peer starting([](peer::socket& s) {
            peer::receive(s);
            peer::send(s, message('E', "SFATAL\0VFATAL\0C57P03\0Mstarting up\0\0"s));
            peer::receive_all(s);
        });
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect(server(
                "sslmode=disable host=127.0.0.1,127.0.0.1 port=" + std::to_string(starting.port()) +
                ',' + variable("LOOPSAFE_POSTGRES_PORT")));
            CHECK((co_await conn.query("select 1"))[0][0].as<int>() == 1);
        });
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("a host that is slow to accept is waited for, and then no longer watched for writing")
{
    busy_listener busy;
    asio::io_context context;
    std::optional<pg::connection> conn;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> { conn.emplace(co_await connect(busy.conninfo())); },
        [](std::exception_ptr e) { CHECK(e == nullptr); });
    context.poll();
    CHECK(any_is_watched_for_writing());
    std::thread server([&] {
        auto caller = busy.accept_the_next();
        peer::receive(caller);
        peer::send(caller, welcome());
        peer::receive_all(caller);
    });
    context.run();
    CHECK(conn.has_value());
    CHECK_FALSE(any_is_watched_for_writing());
    conn.reset();
    server.join();
}

TEST_CASE("a host that is slow to accept: a cancelled connect says how far it came")
{
    busy_listener busy;
    asio::io_context context;
    asio::cancellation_signal signal;
    std::exception_ptr failure;
    asio::co_spawn(
        context, [&]() -> asio::awaitable<void> { co_await connect(busy.conninfo()); },
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { failure = e; }));
    context.poll();
    CHECK(failure == nullptr);
    signal.emit(asio::cancellation_type::terminal);
    context.run();
    REQUIRE(failure != nullptr);
    try {
        std::rethrow_exception(failure);
    } catch (const pg::error& e) {
        CHECK(e.code() == asio::error::operation_aborted);
        CHECK(e.stage() == pg::stage::connect);
    }
}

TEST_CASE("what the last host says counts, whatever an earlier one has said")
{
    using namespace std::string_literals;
    asio::io_context context;
    asio::ip::tcp::socket bound(context, {asio::ip::address_v4::loopback(), 0});
    const auto down = std::to_string(bound.local_endpoint().port());
    peer starting([](peer::socket& s) {
        peer::receive(s);
        peer::send(s, message('E', "SFATAL\0VFATAL\0C57P03\0Mstarting up\0\0"s));
        peer::receive_all(s);
    });
    const auto alone = starting.conninfo("sslmode=disable");
    const auto port = alone.substr(alone.find("port=") + 5);
    const auto e = refused("host=127.0.0.1,127.0.0.1 user=u sslmode=disable port=" +
                           port.substr(0, port.find(' ')) + ',' + down);
    CHECK(e.stage() == pg::stage::connect);
    CHECK(is_errno(e, ECONNREFUSED));
    CHECK(e.sqlstate().empty());
    CHECK(what_of(e).find("57P03") != std::string::npos);
}

TEST_CASE("a UNIX socket needs no look-up and no address")
{
    run([]() -> asio::awaitable<void> {
        auto conn = co_await connect("host=" + variable("LOOPSAFE_POSTGRES_DIR") +
                                     " port=" + variable("LOOPSAFE_POSTGRES_PORT") +
                                     " user=postgres dbname=loopsafe");
        CHECK((co_await conn.query("select inet_server_addr() is null"))[0][0].as<bool>());
    });
}

TEST_SUITE_END();

} // namespace connect_tests
