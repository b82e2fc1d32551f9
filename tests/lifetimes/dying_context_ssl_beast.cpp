// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "dying_context_beast.hpp"
#include "dying_context_tls.hpp"

namespace dying_context_ssl_beast_tests {

namespace {

using namespace dying_context;

struct http_over_tls : tls_over<tcp_socket> {
    static asio::awaitable<void> operate(stream& connected) { co_await read_response(connected); }
};

struct tls_over_beast : tls_over<beast_tcp_stream> {
    static asio::awaitable<void> operate(stream& connected)
    {
        connected.next_layer().expires_after(std::chrono::hours(1));
        co_await read_response(connected);
    }
};

} // namespace

TEST_CASE_TEMPLATE("a dying context leaves a leased HTTPS connection to its lease (rule 1)", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<http_over_tls, Death>() == promised<Death>());
}

TEST_CASE_TEMPLATE("a dying context leaves a leased TLS stream over Beast to its lease (rule 1)",
                   Death, LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<tls_over_beast, Death>() == promised<Death>());
}

} // namespace dying_context_ssl_beast_tests
