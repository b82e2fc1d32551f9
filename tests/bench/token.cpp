// SPDX-License-Identifier: BSL-1.0
// async_acquire with a callback bound to the context, beside a bare post to the same context and
// beside a pool of another shape.
#include "idle_connector.hpp"
#include "measure.hpp"
#include "peer.hpp"
#include "stepping.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>

namespace {

using namespace bench;

struct posting {
    const asio::any_io_executor* executor;
    int* left;

    void operator()() const
    {
        if (--*left != 0)
            asio::post(*executor, *this);
    }
};

using pool_type = loopsafe::connection_pool<idle_connector>;

struct acquiring {
    pool_type* pool;
    const asio::any_io_executor* executor;
    int* left;

    void operator()(const loopsafe::error_code&, pool_type::lease_type lease) const
    {
        lease.release();
        if (--*left != 0)
            pool->async_acquire(asio::bind_executor(*executor, *this));
    }
};

struct acquiring_from_peer {
    peer_pool* pool;
    const asio::any_io_executor* executor;
    int* left;

    void operator()(const loopsafe::error_code&, peer_pool::handle got) const
    {
        got.release();
        if (--*left != 0)
            pool->async_acquire(*executor, asio::bind_executor(*executor, *this));
    }
};

struct fixture {
    asio::io_context context{1};
    asio::any_io_executor executor = context.get_executor();
    pool_type pool{context, idle_connector{}, timeless()};

    peer_pool peer;

    fixture() { acquire(10); }

    void post(int calls)
    {
        asio::post(executor, posting{&executor, &calls});
        context.restart();
        context.run();
    }

    void acquire(int calls)
    {
        pool.async_acquire(asio::bind_executor(executor, acquiring{&pool, &executor, &calls}));
        context.restart();
        context.run();
    }

    void acquire_from_peer(int calls)
    {
        peer.async_acquire(
            executor, asio::bind_executor(executor, acquiring_from_peer{&peer, &executor, &calls}));
        context.restart();
        context.run();
    }
};

double instructions(void (fixture::*loop)(int))
{
    const auto of = [loop](int calls) {
        return static_cast<double>(count(event::instructions, [=] {
            fixture f;
            (f.*loop)(10);
            mark();
            (f.*loop)(calls);
            mark();
        }));
    };
    return (of(110) - of(10)) / 100;
}

} // namespace

int main()
{
    const double post = instructions(&fixture::post);
    row("async_acquire with a callback", instructions(&fixture::acquire), "instructions", post);
    row("the same from a pool in resource_pool's shape", instructions(&fixture::acquire_from_peer),
        "instructions", post);
    fixture f;
    const auto best = least(
        10'000, 300, [&](int calls) { return nanoseconds([&] { f.post(calls); }); },
        [&](int calls) { return nanoseconds([&] { f.acquire(calls); }); },
        [&](int calls) { return nanoseconds([&] { f.acquire_from_peer(calls); }); });
    row("async_acquire with a callback", best[1], "ns", best[0], 1.5);
    row("the same from a pool in resource_pool's shape", best[2], "ns", best[0]);
}
