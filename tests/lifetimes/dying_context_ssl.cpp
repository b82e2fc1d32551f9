// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "dying_context_kinds.hpp"
#include "dying_context_tls.hpp"

#include <boost/asio/write.hpp>

#include <vector>

namespace dying_context_ssl_tests {

namespace {

using namespace dying_context;

struct tls_reading : tls_over<tcp_socket> {
    static asio::awaitable<void> operate(stream& connected)
    {
        co_await read_into_nothing(connected);
    }
};

struct tls_writing : tls_over<tcp_socket> {
    static asio::awaitable<void> operate(stream& connected)
    {
        // More than all buffers on the way to a peer that does not read.
        const std::vector<char> request(std::size_t(64) << 20);
        co_await asio::async_write(connected, asio::buffer(request), asio::use_awaitable);
    }
};

} // namespace

TEST_CASE_TEMPLATE("a dying context leaves a TLS stream that is read to its lease (rule 1)", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<tls_reading, Death>() == promised<Death>());
}

TEST_CASE_TEMPLATE("a dying context leaves a TLS stream that is written to its lease (rule 1)",
                   Death, LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<tls_writing, Death>() == promised<Death>());
}

} // namespace dying_context_ssl_tests
