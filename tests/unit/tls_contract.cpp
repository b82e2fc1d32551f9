// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/tls.hpp>

#include <boost/asio/write.hpp>

#include <support/pool_contract.hpp>
#include <support/tls_peer.hpp>

// Not unnamed: GCC warns of members without linkage in what the headers make of them.
namespace unit_tls_worlds {

using namespace support;

struct tls_world {
    using connector_type = loopsafe::tls_connector;

    tls_world()
    {
        peer.serve([](tls_peer::caller& c) {
            while (!c.read().empty()) {}
        });
    }

    tls_peer peer;

    connector_type connector() const { return peer.connector(); }
    void refuse_once() { peer.stop_listening(); }
    void refused_once() { peer.listen_again(); }
    void require_closed(int connections) { peer.await_ended(connections); }
    static asio::awaitable<void> use(loopsafe::tls_stream& s)
    {
        CHECK(co_await asio::async_write(s, asio::buffer("x", 1), asio::use_awaitable) == 1);
    }
};

using keep_alive_tls = contract<keep_alive, tls_world>;
using null_tls = contract<null, tls_world>;
using per_context_tls = contract<per_context, tls_world>;
using carry_over_tls = contract<carry_over, tls_world>;
using keep_alive_tls_offloaded = contract<keep_alive, tls_world, loopsafe::thread_offload>;
using null_tls_offloaded = contract<null, tls_world, loopsafe::thread_offload>;

} // namespace unit_tls_worlds

using namespace unit_tls_worlds;

TYPE_TO_STRING(keep_alive_tls);
TYPE_TO_STRING(null_tls);
TYPE_TO_STRING(per_context_tls);
TYPE_TO_STRING(carry_over_tls);
TYPE_TO_STRING(keep_alive_tls_offloaded);
TYPE_TO_STRING(null_tls_offloaded);

#define LOOPSAFE_TESTS_POOLS                                                                       \
    keep_alive_tls, null_tls, per_context_tls, carry_over_tls, keep_alive_tls_offloaded,           \
        null_tls_offloaded

#include <support/pool_contract_cases.hpp>
