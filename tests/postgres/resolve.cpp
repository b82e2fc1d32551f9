// SPDX-License-Identifier: BSL-1.0
#include "support.hpp"

#include <arpa/inet.h>
#include <atomic>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore>
#include <string_view>
#include <thread>
#include <unistd.h>

// The program's own getaddrinfo, which libpq uses too: it knows two names more, and notes who asks
// it for a name.
namespace {

std::atomic<std::thread::id> loop_thread;
std::atomic<int> asked_on_the_loop{0};
std::atomic<int> asked_elsewhere{0};
std::binary_semaphore entered{0};
std::binary_semaphore leave{0};

bool is_literal(const char* host)
{
    in6_addr address;
    return ::inet_pton(AF_INET, host, &address) == 1 || ::inet_pton(AF_INET6, host, &address) == 1;
}

// A variable of the environment, for as long as this lives.
class environment {
public:
    environment(const char* name, const std::string& value) : name_(name)
    {
        REQUIRE(::setenv(name, value.c_str(), 1) == 0);
    }
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;
    ~environment() { ::unsetenv(name_); }

private:
    const char* name_;
};

} // namespace

extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                           addrinfo** found)
{
    static const auto system =
        reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    const std::string_view name = host == nullptr ? "" : host;
    if (std::this_thread::get_id() != loop_thread.load())
        ++asked_elsewhere;
    else if (!name.empty() && !is_literal(host))
        ++asked_on_the_loop;
    if (name == "slow.loopsafe.test") {
        entered.release();
        leave.acquire();
    }
    if (name == "unknown.loopsafe.test")
        return EAI_NONAME;
    return system(name.ends_with(".loopsafe.test") ? "127.0.0.1" : host, service, hints, found);
}

TEST_SUITE_BEGIN("resolve");

TEST_CASE("a host name is looked up away from the loop, and libpq gets the address")
{
    loop_thread = std::this_thread::get_id();
    asked_on_the_loop = 0;
    asked_elsewhere = 0;
    run([]() -> asio::awaitable<void> {
        auto conn = co_await connect(server("host=db.loopsafe.test"));
        CHECK(std::string(PQhost(conn.native_handle())) == "db.loopsafe.test");
        CHECK(std::string(PQhostaddr(conn.native_handle())) == "127.0.0.1");
    });
    CHECK(asked_elsewhere == 1);
    CHECK(asked_on_the_loop == 0);
}

TEST_CASE("what needs no look-up gets none")
{
    loop_thread = std::this_thread::get_id();
    asked_on_the_loop = 0;
    asked_elsewhere = 0;
    run([]() -> asio::awaitable<void> {
        co_await connect(server("host=127.0.0.1"));
        co_await connect(server("host=unknown.loopsafe.test hostaddr=127.0.0.1"));
    });
    CHECK(refused(server("host=/nonexistent")).stage() == pg::stage::connect);
    CHECK(asked_elsewhere == 0);
    CHECK(asked_on_the_loop == 0);
}

TEST_CASE("the environment's host is looked up away from the loop as well")
{
    loop_thread = std::this_thread::get_id();
    asked_on_the_loop = 0;
    asked_elsewhere = 0;
    const environment host("PGHOST", "db.loopsafe.test");
    run([]() -> asio::awaitable<void> {
        auto conn = co_await connect("user=loopsafe dbname=loopsafe port=" +
                                     variable("LOOPSAFE_POSTGRES_PORT"));
        CHECK(std::string(PQhost(conn.native_handle())) == "db.loopsafe.test");
    });
    CHECK(asked_elsewhere == 1);
    CHECK(asked_on_the_loop == 0);
}

TEST_CASE("what is given counts before the environment, unless it is empty")
{
    loop_thread = std::this_thread::get_id();
    asked_on_the_loop = 0;
    const auto port = variable("LOOPSAFE_POSTGRES_PORT");
    const auto address_and_port = [](std::string conninfo) {
        return run([&]() -> asio::awaitable<std::string> {
            auto conn = co_await connect("user=loopsafe dbname=loopsafe " + conninfo);
            const auto* const handle = conn.native_handle();
            co_return std::string(PQhost(handle)) + ' ' + PQhostaddr(handle) + ' ' + PQport(handle);
        });
    };
    const environment of_the_port("PGPORT", "1");
    const environment of_the_host("PGHOST", "unknown.loopsafe.test");
    CHECK(address_and_port("host=db.loopsafe.test port=" + port) ==
          "db.loopsafe.test 127.0.0.1 " + port);
    const environment now_right("PGPORT", port);
    CHECK(address_and_port("host=127.0.0.1 port=''") == "127.0.0.1 127.0.0.1 " + port);
    {
        const environment of_the_address("PGHOSTADDR", "127.0.0.1");
        CHECK(address_and_port("") == "unknown.loopsafe.test 127.0.0.1 " + port);
    }
    CHECK(asked_on_the_loop == 0);
}

TEST_CASE("a service file's host is looked up away from the loop as well")
{
    loop_thread = std::this_thread::get_id();
    const auto path =
        std::filesystem::temp_directory_path() / ("loopsafe-service." + std::to_string(::getpid()));
    std::ofstream(path) << "[main]\nhost=db.loopsafe.test\nport=" +
                               variable("LOOPSAFE_POSTGRES_PORT") + '\n';
    const environment file("PGSERVICEFILE", path);
    const environment before_it("PGPORT", "1");
    for (const std::string given : {"service=main", ""}) {
        asked_on_the_loop = 0;
        asked_elsewhere = 0;
        std::optional<environment> of_the_service;
        if (given.empty())
            of_the_service.emplace("PGSERVICE", "main");
        run([&]() -> asio::awaitable<void> {
            auto conn = co_await connect("user=loopsafe dbname=loopsafe " + given);
            CHECK(std::string(PQhost(conn.native_handle())) == "db.loopsafe.test");
        });
        CHECK(asked_elsewhere == 1);
        CHECK(asked_on_the_loop == 0);
    }
    std::filesystem::remove(path);
    CHECK(refused("service=nowhere").code() == pg::errc::bad_conninfo);
}

TEST_CASE("a name that nobody knows: stage resolve, and the resolver's own code")
{
    const auto e = refused(server("host=unknown.loopsafe.test"));
    CHECK(e.stage() == pg::stage::resolve);
    CHECK(e.code() == asio::error::host_not_found);
    CHECK(std::string(e.what()).find("\"unknown.loopsafe.test\"") != std::string::npos);
}

TEST_CASE("of several hosts, one that nobody knows is passed over")
{
    run([]() -> asio::awaitable<void> {
        auto conn = co_await connect(server("host=unknown.loopsafe.test,db.loopsafe.test"));
        CHECK(std::string(PQhost(conn.native_handle())) == "db.loopsafe.test");
    });
}

TEST_CASE("a look-up that takes for ever can be cancelled, and left to itself")
{
    asio::io_context context;
    asio::cancellation_signal signal;
    std::exception_ptr failure;
    asio::co_spawn(
        context,
        []() -> asio::awaitable<void> { co_await connect(server("host=slow.loopsafe.test")); },
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) { failure = e; }));
    context.poll();
    entered.acquire();
    REQUIRE(failure == nullptr);
    signal.emit(asio::cancellation_type::terminal);
    context.poll();
    leave.release();
    REQUIRE(failure != nullptr);
    try {
        std::rethrow_exception(failure);
    } catch (const pg::error& e) {
        CHECK(e.code() == asio::error::operation_aborted);
        CHECK(e.stage() == pg::stage::resolve);
    }
    context.run();
}

TEST_CASE("a context dies while a name is looked up")
{
    const auto before = open_descriptors();
    {
        asio::io_context context;
        asio::co_spawn(
            context,
            []() -> asio::awaitable<void> { co_await connect(server("host=slow.loopsafe.test")); },
            asio::detached);
        context.poll();
        entered.acquire();
        leave.release();
    }
    CHECK(open_descriptors() == before);
}

TEST_SUITE_END();
