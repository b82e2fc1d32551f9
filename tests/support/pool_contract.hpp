// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_POOL_CONTRACT_HPP
#define LOOPSAFE_TESTS_SUPPORT_POOL_CONTRACT_HPP

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/offloaded_connection_pool.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <doctest/doctest.h>

#include <concepts>
#include <optional>
#include <support/scripted.hpp>

/// What every pool promises, whatever its policies and its connector. The cases stand in
/// pool_contract_cases.hpp.
namespace support {

/// A pool and what surrounds it. World: `connector()`; `refuse_once()` and `refused_once()` around
/// a connect that fails; `require_closed(n)`: so many connections were closed; `use(connection)`.
template <class Policy, class World, class Execution = loopsafe::on_context>
struct contract {
    using policy_type = Policy;
    using connector_type = typename World::connector_type;
    using pool_type = loopsafe::connection_pool<connector_type, Policy, Execution>;
    using lease_type = typename pool_type::lease_type;

    static constexpr bool offloads = std::same_as<Execution, loopsafe::thread_offload>;
    static constexpr bool has_home = Policy::has_home && !offloads;
    static constexpr bool carries = loopsafe::carries_over<Policy> && !offloads;

    explicit contract(typename Policy::options limits = {})
    {
        manual_clock::reset();
        if constexpr (offloads)
            pool.emplace(world.connector(), limits);
        else
            pool.emplace(make_pool<connector_type, Policy>(*context, world.connector(), limits));
    }

    void use(lease_type& lease)
    {
        if constexpr (offloads)
            run_on(*context,
                   lease.run([](auto& connection) { connection.wait(World::use(*connection)); }));
        else
            run_on(*context, World::use(*lease));
    }

    lease_type acquire() { return run_on(*context, pool->acquire()); }
    attempt<lease_type> start(loopsafe::acquire_options what = {})
    {
        return {*context, pool->acquire(what)};
    }
    attempt<lease_type> start_waiting()
    {
        const auto before = pool->stats().waiting;
        auto started = start();
        run_until(*context, [&] { return pool->stats().waiting == before + 1; });
        return started;
    }

    World world;
    loopsafe::testing::mortal_context context;
    std::optional<pool_type> pool;
};

} // namespace support

#endif
