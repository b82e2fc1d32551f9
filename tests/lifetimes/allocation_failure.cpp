// SPDX-License-Identifier: BSL-1.0
#include "gated.hpp"

#include <loopsafe/context_bound.hpp>
#include <loopsafe/context_local.hpp>
#include <loopsafe/runner.hpp>
#include <loopsafe/tcp.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace heap {

thread_local bool watched = false;
thread_local long allocations = 0;
thread_local long failing = -1;
thread_local long alive = 0; // of operator new

#if BOOST_VERSION < 109200
// Before Boost 1.92 Asio's strand is not exception safe: where its reference count or its mutex
// cannot be allocated, its destructor follows a pointer that was never set. So these two
// allocations, which come after that of the strand itself, do not fail here.
struct asio_strand : boost::asio::detail::strand_executor_service {
    static constexpr std::size_t size = sizeof(strand_impl);
};
thread_local int after_strand = 0;

bool spares(std::size_t size) noexcept
{
    const int place = size == asio_strand::size ? 1 : after_strand == 1 ? 2 : 0;
    const int was = std::exchange(after_strand, place);
    return was == 1 || (was == 2 && size == sizeof(boost::asio::detail::mutex));
}
#else
bool spares(std::size_t) noexcept
{
    return false;
}
#endif

bool fails(std::size_t size) noexcept
{
    if (!watched)
        return false;
    const bool spare = spares(size);
    return allocations++ == failing && !spare;
}

void* take(std::size_t size, std::size_t alignment) noexcept
{
    void* place = nullptr;
    if (fails(size) || ::posix_memalign(&place, std::max(alignment, sizeof(void*)), size) != 0)
        return nullptr;
    return place;
}

void* take_or_throw(std::size_t size, std::size_t alignment)
{
    void* const place = take(size, alignment);
    if (place == nullptr)
        throw std::bad_alloc();
    ++alive;
    return place;
}

void give_back(void* place) noexcept
{
    if (place != nullptr)
        --alive;
    std::free(place);
}

// Counts the allocations of this thread, and fails one of them.
class watch {
public:
    explicit watch(long which = -1) noexcept
    {
        allocations = 0;
        failing = which;
        watched = true;
    }
    watch(const watch&) = delete;
    ~watch() { watched = false; }
};

template <class F>
long allocations_of(F f)
{
    const watch on;
    f();
    return allocations;
}

} // namespace heap

} // namespace

// Asio takes memory from the second of these, where operator new does not see it.
void* operator new(std::size_t size)
{
    return heap::take_or_throw(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size)
{
    return heap::take(size, alignment);
}
void* operator new(std::size_t size, std::align_val_t alignment)
{
    return heap::take_or_throw(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* place) noexcept
{
    heap::give_back(place);
}
void operator delete(void* place, std::size_t) noexcept
{
    heap::give_back(place);
}
void operator delete(void* place, std::align_val_t) noexcept
{
    heap::give_back(place);
}
void operator delete(void* place, std::size_t, std::align_val_t) noexcept
{
    heap::give_back(place);
}

namespace {

using namespace lifetimes;
using namespace std::chrono_literals;

enum class form { coroutine, token };

std::string to_string(form how)
{
    return how == form::coroutine ? "coroutine" : "token";
}

// How an operation ended that met a failing allocation.
enum class ending { succeeded, told_caller, failed_otherwise, left_run, stuck };

struct tally {
    long allocations = 0;
    int endings[5] = {};

    int operator[](ending e) const { return endings[static_cast<int>(e)]; }
};

std::string to_string(const tally& t)
{
    return std::to_string(t.allocations) +
           " allocations; where one fails: " + std::to_string(t[ending::told_caller]) +
           " times the caller is told, " + std::to_string(t[ending::succeeded]) + " it succeeds, " +
           std::to_string(t[ending::failed_otherwise]) + " it fails as it would anyhow, " +
           std::to_string(t[ending::left_run]) + " run() throws and the coroutine is destroyed, " +
           std::to_string(t[ending::stuck]) + " run() throws and Asio's strand stands still";
}

bool tells_of_memory(const error_code& ec)
{
    return ec == boost::system::errc::not_enough_memory;
}

template <class Policy>
struct world {
    using pool_type = loopsafe::connection_pool<gated_connector, Policy>;
    using lease_type = typename pool_type::lease_type;
    using options = typename pool_type::options;

    explicit world(const options& limits) : max_size(limits.max_size)
    {
        if constexpr (Policy::has_home)
            pool.emplace(context, gated_connector(place), limits);
        else
            pool.emplace(gated_connector(place), limits);
    }

    lease_type acquire_now()
    {
        std::optional<lease_type> got;
        pool->async_acquire(context.get_executor(),
                            [&](error_code, lease_type l) { got.emplace(std::move(l)); },
                            {.timeout = 0ms});
        while (!got) {
            context.restart();
            context.run_one();
        }
        settle();
        return std::move(*got);
    }

    void settle()
    {
        context.restart();
        context.poll();
    }

    // Runs what is ready; how often an exception came out of the context.
    int run()
    {
        for (int thrown = 0;; ++thrown) {
            try {
                settle();
                return thrown;
            } catch (const std::bad_alloc&) { // a failure of a handler: the context goes on
            }
        }
    }

    std::shared_ptr<gate> place = std::make_shared<gate>();
    asio::io_context context{1};
    std::size_t max_size;
    std::optional<pool_type> pool;
    std::vector<lease_type> held;
};

// What became of one operation. Its last copy goes with the operation.
struct outcome {
    bool done = false;
    bool failed = false; // there was an allocation to fail
    error_code code;
    bool out_of_memory = false;
};

template <class World>
struct scenario {
    std::string name;
    typename World::options limits = {};
    std::function<void(World&)> prepare = [](World&) {};
    std::function<bool(World&)> help = [](World&) { return false; };
    loopsafe::acquire_options what = {};
};

template <class World>
asio::awaitable<void> acquire_watched(World& w, const scenario<World>& s, long which,
                                      std::shared_ptr<outcome> result)
{
    std::optional<typename World::lease_type> got;
    try {
        const heap::watch on(which);
        got.emplace(co_await w.pool->acquire(s.what));
    } catch (const std::bad_alloc&) {
        result->out_of_memory = true;
    } catch (const boost::system::system_error& e) {
        result->code = e.code();
    }
    result->failed = heap::allocations > which;
    result->done = true;
}

// One attempt, in which the allocation with this number fails. Nothing may be lost by it.
template <class World>
std::optional<ending> attempt(const scenario<World>& s, form how, long which, error_code usual)
{
    const auto descriptors = open_descriptors();
    const auto alive = heap::alive;
    std::optional<ending> end;
    std::shared_ptr<gate> place;
    {
        World w(s.limits);
        place = w.place;
        s.prepare(w);
        w.settle();
        auto result = std::make_shared<outcome>();
        int thrown = 0;
        if (how == form::coroutine) {
            asio::co_spawn(w.context, acquire_watched(w, s, which, result), asio::detached);
            do
                thrown += w.run();
            while (s.help(w));
            if (thrown != 0)
                result->failed = true;
        } else {
            const heap::watch on(which);
            try {
                w.pool->async_acquire(
                    w.context.get_executor(),
                    [r = result](error_code ec, typename World::lease_type) {
                        r->code = ec;
                        r->out_of_memory = tells_of_memory(ec);
                        r->done = true;
                    },
                    s.what);
            } catch (const std::bad_alloc&) {
                result->out_of_memory = true;
                result->done = true;
            }
            do
                thrown += w.run();
            while (s.help(w));
            result->failed = heap::allocations > which;
        }
        heap::watched = false;
        if (result->failed) {
            CHECK((result->done || thrown == 1));
            CHECK(thrown <= 1);
            end = !result->done && result.use_count() > 1 ? ending::stuck
                  : !result->done                         ? ending::left_run
                  : result->out_of_memory                 ? ending::told_caller
                  : result->code                          ? ending::failed_otherwise
                                                          : ending::succeeded;
            if (end == ending::failed_otherwise)
                CHECK(result->code == usual);
        } else {
            CHECK(result->done);
            CHECK(result->code == usual);
        }
        place->open = true;
        place->wants_reset = false;
        w.held.clear();
        const auto stats = w.pool->stats();
        CHECK(stats.leased == 0);
        CHECK(stats.connecting == (end == ending::stuck ? 1 : 0));
        CHECK(stats.waiting == 0);
        while (w.held.size() < w.max_size - stats.connecting) {
            w.held.push_back(w.acquire_now());
            REQUIRE(w.held.back());
        }
    }
    CHECK(place->opened == place->closed);
    place.reset();
    CHECK(open_descriptors() == descriptors);
    CHECK(heap::alive == alive);
    return end;
}

template <class World>
tally fail_every_allocation(const scenario<World>& s, form how, error_code usual = {})
{
    INFO("scenario: ", s.name);
    INFO("form: ", to_string(how));
    attempt(s, how, 1'000'000, usual); // what is made once is made
    tally t;
    for (;; ++t.allocations) {
        INFO("allocation ", t.allocations);
        const auto end = attempt(s, how, t.allocations, usual);
        if (!end)
            break;
        ++t.endings[static_cast<int>(*end)];
    }
    MESSAGE(s.name, ", ", to_string(how), ": ", to_string(t));
    return t;
}

} // namespace

TEST_CASE_TEMPLATE("an allocation that fails in acquire loses nothing", Policy,
                   loopsafe::keep_alive_pool, loopsafe::per_context_pool, loopsafe::null_pool)
{
    using world_type = world<Policy>;
    const auto open_gate = [](world_type& w) { return w.place->let_through(); };
    const auto take_all = [](world_type& w) {
        w.place->open = true;
        while (w.held.size() < w.max_size)
            w.held.push_back(w.acquire_now());
        w.place->open = false;
    };
    for (const auto how : {form::coroutine, form::token}) {
        fail_every_allocation<world_type>({.name = "connecting", .help = open_gate}, how);
        fail_every_allocation<world_type>({.name = "waiting for a connection",
                                           .limits = {.max_size = 1},
                                           .prepare = take_all,
                                           .help =
                                               [&](world_type& w) {
                                                   if (w.held.empty())
                                                       return open_gate(w);
                                                   w.held.clear();
                                                   return true;
                                               }},
                                          how);
        fail_every_allocation<world_type>({.name = "waiting for a place",
                                           .limits = {.max_size = 1},
                                           .prepare = take_all,
                                           .help =
                                               [&](world_type& w) {
                                                   if (w.held.empty())
                                                       return open_gate(w);
                                                   w.held.back().discard();
                                                   w.held.clear();
                                                   return true;
                                               }},
                                          how);
    }
}
