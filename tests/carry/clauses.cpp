// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/pool/carry_over_pool.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <support/scripted.hpp>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace clauses_tests {

// What stands between a connection and the next context, and an echo does not come by.

namespace {

using namespace support;
using loopsafe::pool_event;

struct hooks {
    std::function<void()> when_detached = [] {};
    std::function<void()> when_attached = [] {};
};

// Tells when a connection leaves its context, or is about to enter another.
class told_connector : public scripted_connector {
public:
    told_connector(std::shared_ptr<connect_script> script, std::shared_ptr<hooks> whom)
        : scripted_connector(std::move(script)), hooks_(std::move(whom))
    {
    }

    std::optional<handle_type> detach(connection_type& c) const noexcept
    {
        auto handle = scripted_connector::detach(c);
        hooks_->when_detached();
        return handle;
    }
    connection_type attach(handle_type&& from, const asio::any_io_executor& executor) const
    {
        hooks_->when_attached();
        return scripted_connector::attach(std::move(from), executor);
    }

private:
    std::shared_ptr<hooks> hooks_;
};

struct fixture {
    using pool_type = loopsafe::connection_pool<told_connector, carry_over>;

    fixture() { manual_clock::reset(); }

    auto acquire() { return run_on(*context, pool.acquire()); }
    void use(std::size_t connections)
    {
        std::vector<pool_type::lease_type> leases;
        for (std::size_t i = 0; i != connections; ++i)
            leases.push_back(acquire());
        for (auto& lease : leases)
            lease.release();
    }

    std::shared_ptr<connect_script> script = std::make_shared<connect_script>();
    std::shared_ptr<hooks> told = std::make_shared<hooks>();
    loopsafe::testing::mortal_context context;
    pool_type pool{told_connector(script, told)};
};

// What `body` returns in a forked child.
int in_child(const std::function<int()>& body)
{
    const auto id = ::fork();
    REQUIRE(id >= 0);
    if (id == 0) {
        try {
            ::_exit(body());
        } catch (...) {
            ::_exit(101);
        }
    }
    int status = 0;
    REQUIRE(::waitpid(id, &status, 0) == id);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

} // namespace

TEST_CASE("a forked child neither adopts nor probes what its parent has parked")
{
    fixture f;
    f.use(2);
    f.context.die();
    CHECK(in_child([&] {
              f.context.reborn();
              const auto lease = f.acquire();
              const auto s = f.pool.stats();
              return lease->number() == 3 && f.script->attached == 0 && f.script->probes == 0 &&
                             s.closed(close_reason::forked) == 2 && f.script->abandoned == 2
                         ? 0
                         : 1;
          }) == 0);
    f.context.reborn();
    CHECK(f.acquire()->number() == 2);
}

TEST_CASE("a forked child takes nothing out of a context that it has inherited")
{
    fixture f;
    f.use(2);
    CHECK(in_child([&] {
              f.context.die();
              return f.script->detached == 0 && f.script->abandoned == 2 &&
                             f.pool.stats().parked == 0
                         ? 0
                         : 1;
          }) == 0);
    f.context.reborn();
    CHECK(f.acquire()->number() == 2);
}

TEST_CASE("what is invalidated while it leaves its context is not parked")
{
    fixture f;
    f.use(1);
    f.told->when_detached = [&] { f.pool.invalidate(); };
    f.context.die();
    CHECK(f.pool.stats().parked == 0);
    CHECK(f.pool.stats().closed(close_reason::invalidated) == 1);
    CHECK(f.script->open() == 0);
}

TEST_CASE("what is invalidated while another connection is looked at is not used")
{
    fixture f;
    f.use(3);
    f.context.reborn();
    std::promise<void> dropping;
    std::promise<void> adopted;
    std::thread::id invalidates;
    std::thread other;
    f.pool.on_event([&](const pool_event& e) {
        if (e.what == pool_event::kind::dropped && std::this_thread::get_id() == invalidates) {
            dropping.set_value(); // the second is being dropped, the first is parked yet
            adopted.get_future().wait();
            invalidates = {};
        }
    });
    f.told->when_attached = [&, first = true]() mutable {
        if (!std::exchange(first, false))
            return;
        std::promise<void> begin;
        other = std::thread([&, go = begin.get_future()]() mutable {
            go.wait();
            f.pool.invalidate();
        });
        invalidates = other.get_id();
        begin.set_value();
        dropping.get_future().wait();
        throw boost::system::system_error(asio::error::no_descriptors, "third");
    };
    auto lease = f.acquire();
    adopted.set_value();
    other.join();
    CHECK(lease->number() == 4);
    CHECK(f.pool.stats().closed(close_reason::not_attached) == 1);
    CHECK(f.pool.stats().closed(close_reason::invalidated) == 2);
}

} // namespace clauses_tests
