// SPDX-License-Identifier: BSL-1.0
#include "rule_1_beast.hpp"
#include "rule_1_tls.hpp"

namespace {

using namespace rule_1;

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

TEST_SUITE_BEGIN("rule 1");

TEST_CASE_TEMPLATE("a dying context leaves a leased HTTPS connection to its lease", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<http_over_tls, Death>() == promised<Death>());
}

TEST_CASE_TEMPLATE("a dying context leaves a leased TLS stream over Beast to its lease", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<tls_over_beast, Death>() == promised<Death>());
}
