// SPDX-License-Identifier: BSL-1.0
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames and its use_future.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/tcp.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <future>
#include <optional>
#include <support/run_until.hpp>
#include <support/tcp_peer.hpp>
#include <support/texts.hpp>

namespace tcp_tests {

namespace {

using namespace support;
using loopsafe::context_of;
using loopsafe::errc;
using loopsafe::error_code;
using loopsafe::tcp_connector;
using loopsafe::tcp_stream;
using loopsafe::testing::mortal_context;

tcp_stream connect(asio::io_context& context, const tcp_connector& connector)
{
    return run_on(context, connector.connect(context.get_executor()));
}

struct linked {
    tcp_peer listener;
    mortal_context context;
    std::optional<tcp_stream> stream{connect(*context, tcp_connector(listener.endpoint()))};
    asio::ip::tcp::socket peer{listener.accept()};

    // Reads one byte by a callback with this executor.
    template <class Executor>
    std::shared_ptr<std::optional<error_code>> read(const Executor& asking)
    {
        const auto result = std::make_shared<std::optional<error_code>>();
        const auto byte = std::make_shared<char>();
        stream->async_read_some(
            asio::buffer(byte.get(), 1),
            asio::bind_executor(asking,
                                [result, byte](error_code ec, std::size_t) { *result = ec; }));
        return result;
    }
};

TEST_CASE("a tcp_stream reads and writes at home, also through Asio's composed operations")
{
    linked f;
    CHECK(f.stream->home() == context_of(*f.context));
    CHECK(asio::write(f.peer, asio::buffer("hello", 5)) == 5);
    const auto talk = [&]() -> asio::awaitable<std::string> {
        std::string got(5, ' ');
        co_await asio::async_read(*f.stream, asio::buffer(got), asio::use_awaitable);
        co_await asio::async_write(*f.stream, asio::buffer("world", 5), asio::use_awaitable);
        co_return got;
    };
    CHECK(run_on(*f.context, talk()) == "hello");
    std::string got(5, ' ');
    asio::read(f.peer, asio::buffer(got));
    CHECK(got == "world");
    CHECK(f.stream->is_clean());
}

TEST_CASE("a tcp_stream refuses every operation that another context asks for, and sends nothing")
{
    linked f;
    asio::io_context other;
    const auto ask = [&]() -> asio::awaitable<void> {
        const auto token = asio::as_tuple(asio::use_awaitable);
        char byte = 'x';
        const auto [read, got] = co_await f.stream->async_read_some(asio::buffer(&byte, 1), token);
        CHECK(read == errc::wrong_context);
        CHECK(got == 0);
        const auto [wrote, sent] =
            co_await f.stream->async_write_some(asio::buffer(&byte, 1), token);
        CHECK(wrote == errc::wrong_context);
        CHECK(sent == 0);
        const auto [waited] = co_await f.stream->async_wait(asio::socket_base::wait_write, token);
        CHECK(waited == errc::wrong_context);
        CHECK(context_of(co_await asio::this_coro::executor) == context_of(other));
    };
    run_on(other, ask());
    CHECK(f.stream->is_clean());
    f.stream->close();
    CHECK(read_to_end(f.peer).empty());
}

// Asks a stream when it is destroyed itself.
struct asks_at_death {
    tcp_stream& stream;
    asio::io_context& asking;
    std::optional<error_code>& answer;

    ~asks_at_death()
    {
        stream.async_write_some(
            asio::buffer("x", 1),
            asio::bind_executor(asking, [&a = answer](error_code ec, std::size_t) { a = ec; }));
    }
};

TEST_CASE("a tcp_stream says context_closed while its home dies around it")
{
    linked f;
    asio::io_context other;
    std::optional<error_code> answer;
    asio::co_spawn(
        *f.context,
        [](tcp_stream stream, asio::io_context& asking,
           std::optional<error_code>& told) -> asio::awaitable<void> {
            const asks_at_death last{stream, asking, told};
            char byte = 0;
            co_await stream.async_read_some(asio::buffer(&byte, 1), asio::use_awaitable);
        }(std::move(*f.stream), other, answer),
        [](const std::exception_ptr&) {});
    f.stream.reset();
    run_ready(*f.context);
    f.context.die();
    run_until(other, [&] { return answer.has_value(); });
    CHECK(*answer == errc::context_closed);
    CHECK(read_to_end(f.peer).empty());
}

TEST_CASE("a handler that names no context counts as home")
{
    linked f;
    asio::write(f.peer, asio::buffer("xyz", 3));
    char byte = 0;
    std::promise<error_code> unnamed;
    f.stream->async_read_some(
        asio::buffer(&byte, 1),
        asio::bind_executor(asio::any_io_executor(asio::system_executor()),
                            [&](error_code ec, std::size_t) { unnamed.set_value(ec); }));
    f.context->restart();
    f.context->run();
    CHECK(unnamed.get_future().get() == error_code());

    auto future = f.stream->async_read_some(asio::buffer(&byte, 1), asio::use_future);
    f.context->restart();
    f.context->run();
    CHECK(future.get() == 1);
    CHECK(byte == 'y');

    bool called = false;
    f.stream->async_read_some(asio::buffer(&byte, 1), [&](error_code ec, std::size_t) {
        CHECK_FALSE(ec);
        called = true;
    });
    run_until(*f.context, [&] { return called; });
    CHECK(byte == 'z');
}

TEST_CASE("a tcp_stream is clean when no operation is pending or has failed")
{
    linked f;
    CHECK(f.stream->is_clean());
    const auto pending = f.read(f.context->get_executor());
    CHECK_FALSE(f.stream->is_clean());
    asio::write(f.peer, asio::buffer("x", 1));
    run_until(*f.context, [&] { return pending->has_value(); });
    CHECK(f.stream->is_clean());

    const auto failing = f.read(f.context->get_executor());
    f.peer.close();
    run_until(*f.context, [&] { return failing->has_value(); });
    CHECK(**failing == asio::error::eof);
    CHECK_FALSE(f.stream->is_clean());
}

TEST_CASE("a tcp_stream that was closed is not clean")
{
    linked f;
    f.stream->close();
    CHECK_FALSE(f.stream->is_clean());
    f.stream->close();
}

TEST_CASE("a tcp_stream may be destroyed or moved with an operation pending on it")
{
    linked f;
    const auto pending = f.read(f.context->get_executor());
    SUBCASE("destroyed")
    {
        f.stream.reset();
    }
    SUBCASE("assigned to")
    {
        f.stream = connect(*f.context, tcp_connector(f.listener.endpoint()));
    }
    run_until(*f.context, [&] { return pending->has_value(); });
    CHECK(**pending == asio::error::operation_aborted);
}

TEST_CASE("a lease discarded with an operation pending ends that operation")
{
    tcp_peer listener;
    asio::io_context context;
    loopsafe::connection_pool pool(context, tcp_connector(listener.endpoint()));
    auto lease = run_on(context, pool.acquire());
    std::optional<error_code> result;
    char byte = 0;
    lease->async_read_some(
        asio::buffer(&byte, 1),
        asio::bind_executor(context, [&](error_code ec, std::size_t) { result = ec; }));
    lease.release();
    CHECK(pool.stats().closed(loopsafe::close_reason::dirty) == 1);
    run_until(context, [&] { return result.has_value(); });
    CHECK(*result == asio::error::operation_aborted);
}

TEST_CASE("a probe says no when the peer closed, or said what nobody asked for")
{
    linked f;
    const tcp_connector connector(f.listener.endpoint());
    CHECK(connector.probe(*f.stream));
    SUBCASE("unasked bytes")
    {
        asio::write(f.peer, asio::buffer("x", 1));
        f.stream->next_layer().wait(asio::socket_base::wait_read);
    }
    SUBCASE("end of file")
    {
        f.peer.close();
        f.stream->next_layer().wait(asio::socket_base::wait_read);
    }
    SUBCASE("reset")
    {
        f.peer.set_option(asio::socket_base::linger(true, 0));
        f.peer.close();
        f.stream->next_layer().wait(asio::socket_base::wait_read);
    }
    SUBCASE("closed here")
    {
        f.stream->close();
    }
    CHECK_FALSE(connector.probe(*f.stream));
}

TEST_CASE("an idle connection that the peer closed is replaced before reuse")
{
    tcp_peer listener;
    asio::io_context context;
    loopsafe::connection_pool pool(context, tcp_connector(listener.endpoint()),
                                   {.max_size = 1, .probe_after = 0ms});
    auto lease = run_on(context, pool.acquire());
    {
        auto peer = listener.accept();
        lease.release();
        CHECK(pool.stats().idle == 1);
    }
    lease = run_on(context, pool.acquire());
    CHECK(pool.stats().closed(loopsafe::close_reason::probe_failed) == 1);
    CHECK(pool.stats().connects == 2);
}

TEST_CASE("a connection is made without Nagle's delay")
{
    linked f;
    asio::ip::tcp::no_delay option;
    f.stream->lowest_layer().get_option(option);
    CHECK(option.value());
}

TEST_CASE("a connector takes a host and a service by name")
{
    tcp_peer listener;
    asio::io_context context;
    const tcp_connector connector("127.0.0.1", std::to_string(listener.endpoint().port()));
    const auto stream = connect(context, connector);
    CHECK(stream.next_layer().remote_endpoint() == listener.endpoint());
}

TEST_CASE("a connect that fails names its stage and target, and keeps the cause")
{
    tcp_peer listener;
    listener.stop_listening();
    asio::io_context context;
    const auto port = std::to_string(listener.endpoint().port());
    const auto executor = context.get_executor();
    const auto used = "\n  used:  " + next_line();
    const auto ask = [&](const tcp_connector& c) { run_on(context, c.connect(executor)); };
    const auto failure_of = [&](const tcp_connector& connector) {
        return thrown_by<loopsafe::tcp_error>([&] { ask(connector); });
    };
    const auto by_endpoint = failure_of(tcp_connector(listener.endpoint()));
    CHECK(by_endpoint.stage() == std::string("connect"));
    CHECK(by_endpoint.code() == asio::error::connection_refused);
    const auto said = "tcp connect 127.0.0.1:" + port + ": Connection refused [system:111]" + used;
    CHECK(text_of(by_endpoint) == said);

    const auto by_name = failure_of(tcp_connector("127.0.0.1", port));
    CHECK(by_name.stage() == std::string("connect"));
    CHECK(by_name.code() == asio::error::connection_refused);
    CHECK(text_of(by_name) == said);

    const auto no_name = failure_of(tcp_connector("127.0.0.1", "no such service"));
    CHECK(no_name.stage() == std::string("resolve"));
    CHECK(text_of(no_name) ==
          "tcp resolve 127.0.0.1:no such service: " + no_name.code().what() + used);
    CHECK(text_of(no_name).find("boost") == std::string::npos);

    for (const std::string both : {"127.0.0.1:80", "tcp://127.0.0.1"}) {
        const auto no_host = failure_of(tcp_connector(both, port));
        CHECK(no_host.stage() == std::string("resolve"));
        CHECK(text_of(no_host).starts_with("tcp resolve " + both + ':' + port +
                                           " (the first argument is a host without its port): "));
    }
}

TEST_CASE("a connect that fails in a pool says where the connection was wanted")
{
    tcp_peer listener;
    listener.stop_listening();
    asio::io_context context;
    loopsafe::connection_pool pool(context, tcp_connector(listener.endpoint()));
    const auto used = next_line();
    const auto ask = [&] { run_on(context, pool.acquire()); };
    CHECK(text_of(thrown_by<loopsafe::tcp_error>(ask)).ends_with("\n  used:  " + used));
}

TEST_CASE("a socket without a context does not become a tcp_stream")
{
    const auto used = next_line();
    const auto adopt = [] { tcp_stream{asio::ip::tcp::socket(asio::system_executor())}; };
    const auto error = thrown_by<loopsafe::context_error>(adopt);
    CHECK(error.code() == errc::no_context);
    CHECK(text_of(error).find("at " + used) != std::string::npos);
}

TEST_CASE("a connection is not made without a context")
{
    tcp_peer listener;
    const auto port = std::to_string(listener.endpoint().port());
    asio::io_context context;
    for (const auto& connector :
         {tcp_connector(listener.endpoint()), tcp_connector("127.0.0.1", port)}) {
        for (const auto& nowhere :
             {asio::any_io_executor(), asio::any_io_executor(asio::system_executor())}) {
            const auto asked = next_line();
            const auto connect = [&] { run_on(context, connector.connect(nowhere)); };
            const auto error = thrown_by<loopsafe::context_error>(connect);
            CHECK(error.code() == errc::no_context);
            CHECK(text_of(error).find("at " + asked) != std::string::npos);
        }
    }
}

} // namespace

} // namespace tcp_tests
