// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/tcp.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/write.hpp>

#include <support/pool_contract.hpp>
#include <support/tcp_peer.hpp>

// Not unnamed: GCC warns of members without linkage in what the headers make of them.
namespace unit_worlds {

using namespace support;
using loopsafe::tcp_connector;

struct scripted_world {
    using connector_type = scripted_connector;

    std::shared_ptr<connect_script> script = std::make_shared<connect_script>();

    connector_type connector() const { return scripted_connector(script); }
    void refuse_once() { script->plan({outcome::fail}); }
    void refused_once() {}
    void require_closed(int connections) const { REQUIRE(script->closed == connections); }
    static asio::awaitable<void> use(loopsafe::testing::scripted_connection& c)
    {
        c.timer().expires_after(0s);
        co_await c.timer().async_wait(asio::use_awaitable);
    }
};

struct tcp_world {
    using connector_type = tcp_connector;

    tcp_peer peer;
    int closed = 0;

    connector_type connector() const { return tcp_connector(peer.endpoint()); }
    void refuse_once() { peer.stop_listening(); }
    void refused_once() { peer.listen_again(); }
    void require_closed(int connections)
    {
        for (; closed != connections; ++closed) {
            auto socket = peer.accept();
            read_to_end(socket);
        }
    }
    static asio::awaitable<void> use(loopsafe::tcp_stream& s)
    {
        CHECK(co_await asio::async_write(s, asio::buffer("x", 1), asio::use_awaitable) == 1);
    }
};

using keep_alive_scripted = contract<keep_alive, scripted_world>;
using null_scripted = contract<null, scripted_world>;
using per_context_scripted = contract<per_context, scripted_world>;
using carry_over_scripted = contract<carry_over, scripted_world>;
using keep_alive_tcp = contract<keep_alive, tcp_world>;
using null_tcp = contract<null, tcp_world>;
using per_context_tcp = contract<per_context, tcp_world>;
using carry_over_tcp = contract<carry_over, tcp_world>;
using keep_alive_scripted_offloaded =
    contract<keep_alive, scripted_world, loopsafe::thread_offload>;
using null_scripted_offloaded = contract<null, scripted_world, loopsafe::thread_offload>;
using keep_alive_tcp_offloaded = contract<keep_alive, tcp_world, loopsafe::thread_offload>;
using null_tcp_offloaded = contract<null, tcp_world, loopsafe::thread_offload>;

} // namespace unit_worlds

using namespace unit_worlds;

TYPE_TO_STRING(keep_alive_scripted);
TYPE_TO_STRING(null_scripted);
TYPE_TO_STRING(per_context_scripted);
TYPE_TO_STRING(carry_over_scripted);
TYPE_TO_STRING(keep_alive_tcp);
TYPE_TO_STRING(null_tcp);
TYPE_TO_STRING(per_context_tcp);
TYPE_TO_STRING(carry_over_tcp);
TYPE_TO_STRING(keep_alive_scripted_offloaded);
TYPE_TO_STRING(null_scripted_offloaded);
TYPE_TO_STRING(keep_alive_tcp_offloaded);
TYPE_TO_STRING(null_tcp_offloaded);

#define LOOPSAFE_TESTS_POOLS                                                                       \
    keep_alive_scripted, null_scripted, per_context_scripted, carry_over_scripted, carry_over_tcp, \
        keep_alive_tcp, null_tcp, per_context_tcp, keep_alive_scripted_offloaded,                  \
        null_scripted_offloaded, keep_alive_tcp_offloaded, null_tcp_offloaded

#include <support/pool_contract_cases.hpp>
