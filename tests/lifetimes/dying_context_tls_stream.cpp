// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "dying_context_kinds.hpp"
#include "dying_context_tls.hpp"

#include <loopsafe/tls.hpp>

#include <boost/asio/write.hpp>

#include <vector>

namespace dying_context_tls_stream_tests {

namespace {

using namespace dying_context;

// Our own TLS stream, made by its connector.
struct own_tls {
    using stream = loopsafe::tls_stream;

    static asio::awaitable<std::unique_ptr<stream>> connect(asio::any_io_executor executor,
                                                            tcp::endpoint peer)
    {
        loopsafe::tls_options anybody;
        anybody.verify = false;
        const loopsafe::tls_connector connector(peer, anybody);
        co_return std::make_unique<stream>(co_await connector.connect(executor));
    }
    static asio::awaitable<void> serve(tcp::socket socket)
    {
        return tls_over<tcp_socket>::serve(std::move(socket));
    }
    static void touch(stream& connected)
    {
        CHECK_FALSE(connected.is_clean());
        connected.close();
    }
};

struct own_tls_reading : own_tls {
    static asio::awaitable<void> operate(stream& connected)
    {
        co_await read_into_nothing(connected);
    }
};

struct own_tls_writing : own_tls {
    static asio::awaitable<void> operate(stream& connected)
    {
        // More than all buffers on the way to a peer that does not read.
        const std::vector<char> request(std::size_t(64) << 20);
        co_await asio::async_write(connected, asio::buffer(request), asio::use_awaitable);
    }
};

} // namespace

TEST_CASE_TEMPLATE("a dying context leaves a tls_stream that is read to its lease (rule 1)", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<own_tls_reading, Death>() == promised<Death>());
}

TEST_CASE_TEMPLATE("a dying context leaves a tls_stream that is written to its lease (rule 1)",
                   Death, LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<own_tls_writing, Death>() == promised<Death>());
}

} // namespace dying_context_tls_stream_tests
