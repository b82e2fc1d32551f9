// SPDX-License-Identifier: BSL-1.0
// Every request is cancelled at every point where it waits. Nothing may be lost by it: the client
// has one connection and one permit, and the next request needs both.

#include <http/stepped.hpp>

namespace {

using namespace http_test;

TEST_CASE("http: a request that is cancelled wherever it waits loses no connection and no permit")
{
    const auto before = open_descriptors();
    for_each_situation([](const situation& s) {
        http_peer peer(answer_errands, s.secure);
        loopsafe::worker_threads workers;
        int steps = 0;
        int broken_off = 0;
        for (bool through = false; !through; ++steps) {
            CAPTURE(steps);
            stepped w(s, peer, &workers);
            w.begin();
            through = !w.step(steps);
            if (!through) {
                w.signal.emit(asio::cancellation_type::terminal);
                run_until(*w.context, [&] { return w.ended; });
            }
            const bool failed = w.error != nullptr;
            if (failed)
                CHECK(code_of(w.error) == asio::error::operation_aborted);
            else
                CHECK(w.got == w.target());
            broken_off += failed ? 1 : 0;
            const auto stats = w.client->stats();
            CHECK(stats.leased == 0);
            CHECK(stats.waiting == 0);
            if (failed && !s.kept)
                CHECK(stats.idle == 0);
            CHECK(w.ask("/after") == "/after");
        }
        CHECK(broken_off > 0);
        CHECK(workers.join(10s));
    });
    CHECK(open_descriptors() == before);
}

} // namespace
