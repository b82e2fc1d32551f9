// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has an operator new of its own.
//
// Each allocation of a request fails once. Nothing may be lost by it: the client has one connection
// and one permit, and the next request needs both.

#include <loopsafe/async/detail/wait_either.hpp>
#include <loopsafe/http/detail/connection/lazy_deadline.hpp>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <http/proxy_peer.hpp>
#include <http/stepped.hpp>
#include <support/heap.hpp>

namespace {

using namespace http_test;

// Boost loses the list of a context's services where the allocation that comes after it in the
// constructor of io_context fails (1.88, 1.92; not 1.81). That one must not fail in a request,
// then. A bare context shows which it is.
void spare_what_boost_loses()
{
    for (long which = 0;; ++which) {
        const auto alive = heap::alive;
        std::optional<heap::watch> on(which);
        try {
            const asio::io_context context(1);
            return;
        } catch (const std::bad_alloc&) {
        }
        const heap::neighbours both{heap::size_before, heap::size_asked};
        void* const lost = heap::latest;
        on.reset();
        if (heap::alive == alive)
            continue;
        heap::spared = both;
        ::operator delete(lost);
        REQUIRE(heap::alive == alive);
    }
}

// How a request ended that met a failing allocation.
enum class ending { succeeded, told_caller, left_run };

bool tells_of_memory(const std::exception_ptr& error)
{
    try {
        std::rethrow_exception(error);
    } catch (const std::bad_alloc&) {
        return true;
    } catch (const boost::system::system_error& e) {
        return e.code() == boost::system::errc::not_enough_memory;
    } catch (...) {
        return false;
    }
}

// How often an exception came out of the context.
int run_with_failing(long which, stepped& w)
{
    int thrown = 0;
    const heap::watch on(which);
    try {
        w.begin();
    } catch (const std::bad_alloc&) {
        ++thrown;
    }
    for (bool more = true; more && !w.ended;) {
        try {
            more = w.context->run_one_for(10s) != 0;
        } catch (const std::bad_alloc&) { // a failure of a handler: the context goes on
            ++thrown;
        }
    }
    return thrown;
}

using change = std::function<void(http::single_use_client_options&)>;

// One attempt, in which the allocation with this number fails.
std::optional<ending> attempt(const situation& s, http_peer& peer,
                              loopsafe::worker_threads& workers, bool one_thread, long which,
                              const change& more)
{
    const auto alive = heap::alive;
    std::optional<ending> end;
    {
        stepped w(s, peer, &workers, more);
        w.context->restart();
        const auto thrown = run_with_failing(which, w);
        const bool failed = heap::allocations > which;
        CHECK(thrown <= (failed ? 1 : 0));
        CHECK((w.ended || thrown == 1));
        CHECK(!w.frame_lives());
        if (failed)
            end = !w.ended ? ending::left_run : w.error ? ending::told_caller : ending::succeeded;
        if (w.ended && w.error == nullptr)
            CHECK(w.got == w.target());
        if (w.error != nullptr)
            CHECK(tells_of_memory(w.error));
        if (one_thread) { // else the worker may still be at it
            CHECK(w.client->stats().leased == 0);
            CHECK(w.client->stats().connecting == 0);
        }
        CHECK(w.client->stats().waiting == 0);
        REQUIRE(w.ask("/after") == "/after");
    }
    if (one_thread) // what one takes another may give back
        CHECK(heap::alive == alive);
    return end;
}

void fail_every_allocation(const situation& s, const loopsafe::worker_options& threads,
                           bool through_proxy = false)
{
    INFO(s.name());
    spare_what_boost_loses();
    http_peer peer(answer_errands, s.secure);
    http_peer proxy(leads_to(peer.endpoint()));
    const auto more = [&](http::single_use_client_options& with) {
        if (through_proxy)
            with.proxies = http::proxies::all("http://ann:secret@127.0.0.1:" +
                                              std::to_string(proxy.endpoint().port()));
    };
    loopsafe::worker_threads workers(threads);
    const auto fail = [&](long which) {
        INFO("allocation ", which);
        return attempt(s, peer, workers, threads.max_threads == 0, which, more);
    };
    fail(1'000'000); // what is made once is made
    int told = 0;
    long allocations = 0;
    for (auto end = fail(0); end; end = fail(++allocations))
        told += end == ending::told_caller ? 1 : 0;
    CHECK(told > 10);
    CHECK(workers.join(10s));
    CHECK((proxy.connections() > 0) == through_proxy);
}

TEST_CASE("http: an allocation that fails in a request loses nothing")
{
    const auto before = open_descriptors();
    for_each_situation([](const situation& s) {
        // What comes after the connection is the same for every pool, and TLS takes its time.
        const bool here = s.what == combination::keep_alive_on_context;
        const bool there = s.what == combination::keep_alive_offloaded;
        const bool layered = s.what == combination::layered_on_context;
        bool wanted =
            here || layered || s.task == errand::download || (there && s.task == errand::upload);
        if (s.secure)
            wanted = !s.kept &&
                     ((here && s.task == errand::upload) || (there && s.task == errand::download));
        if (!wanted)
            return;
        // With no thread the functions run here, where their allocations fail, too.
        fail_every_allocation(s, {.max_threads = 0});
    });
    CHECK(open_descriptors() == before);
}

TEST_CASE("http: an allocation that fails on the way through a proxy loses nothing")
{
    const auto before = open_descriptors();
    for (const auto what : {combination::keep_alive_on_context, combination::keep_alive_offloaded})
        fail_every_allocation({what, true, errand::get}, {.max_threads = 0}, true);
    CHECK(open_descriptors() == before);
}

TEST_CASE("http: an allocation that fails beside a worker loses nothing")
{
    const auto before = open_descriptors();
    for (const auto task : all_errands)
        fail_every_allocation({combination::keep_alive_offloaded, false, task}, {});
    fail_every_allocation({combination::keep_alive_offloaded, true, errand::upload}, {});
    CHECK(open_descriptors() == before);
}

TEST_CASE("http uploads: a wait for both ends, or never begins, where an allocation fails in it")
{
    using socket = asio::local::stream_protocol::socket;
    int told = 0;
    bool failed = true;
    for (long which = 0; failed; ++which) {
        INFO("allocation ", which);
        asio::io_context context(1);
        socket near(context);
        socket far(context);
        asio::local::connect_pair(near, far);
        near.non_blocking(true);
        const std::string much(1'000'000, 'x');
        boost::system::error_code full;
        while (!full)
            near.write_some(asio::buffer(much), full);
        const auto caller = std::make_shared<boost::system::error_code>();
        try {
            auto handler = [caller](const boost::system::error_code& ec) { *caller = ec; };
            const heap::watch on(which);
            loopsafe::detail::either_wait<socket, decltype(handler)>::begin(near,
                                                                            std::move(handler));
            failed = heap::allocations > which;
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        if (!failed)
            break;
        context.poll();
        CHECK(caller.use_count() == 1); // nobody else waits for it
        told += *caller == boost::system::errc::not_enough_memory ? 1 : 0;
    }
    CHECK(told == 1);
}

TEST_CASE(
    "http: a deadline that could not be begun for want of memory does not pass for one that is")
{
    using deadline = http::detail::lazy_deadline<asio::steady_timer>;
    bool failed = true;
    for (long which = 0; failed; ++which) {
        INFO("allocation ", which);
        asio::io_context context(1);
        const auto work = asio::make_work_guard(context);
        asio::local::stream_protocol::socket near(context);
        asio::local::stream_protocol::socket far(context);
        asio::local::connect_pair(near, far);
        deadline due(context.get_executor(), near.native_handle());
        try {
            const heap::watch on(which);
            failed = false;
            due.set("total", 0ms, {});
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        due.set("total", 0ms, {});
        while (!due.expired() && context.run_one_for(10s) != 0) {}
        CHECK(due.expired());
    }
}

} // namespace
