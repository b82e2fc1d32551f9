// SPDX-License-Identifier: BSL-1.0
// The context dies at every point where a request waits, with the client before it, after it, or
// in the middle of it all.

#include <http/stepped.hpp>

namespace dying_tests {

namespace {

using namespace http_test;

enum class order { client_stays, client_first, client_closed };

constexpr order all_orders[] = {order::client_stays, order::client_first, order::client_closed};

const char* name_of(order o)
{
    return o == order::client_stays   ? "the client stays"
           : o == order::client_first ? "the client goes first"
                                      : "the client was closed";
}

// What the client says to the next context, which has the old one's address.
void check_successor(const situation& s, stepped& w)
{
    CHECK(w.client->stats().waiting == 0);
    w.context.emplace(1);
    if (!has_home(s.what)) {
        CHECK(w.ask("/after") == "/after");
        return;
    }
    CHECK(thrown_by<loopsafe::context_error>([&] { w.ask("/after"); }).code() ==
          loopsafe::errc::context_closed);
    CHECK(w.client->stats().idle == 0);
    CHECK(w.client->stats().leased == 0);
}

TEST_CASE("http: the context dies wherever a request waits, and the client says what it promises")
{
    const auto before = open_descriptors();
    for_each_situation([](const situation& s) {
        http_peer peer(answer_errands, s.secure);
        loopsafe::worker_threads workers;
        for (const auto o : all_orders) {
            if (o != order::client_stays && s.kept)
                continue;
            INFO(std::string(name_of(o)));
            int steps = 0;
            for (bool through = false; !through; ++steps) {
                CAPTURE(steps);
                stepped w(s, peer, &workers);
                w.begin();
                through = !w.step(steps);
                if (o == order::client_first)
                    w.client.reset();
                else if (o == order::client_closed)
                    w.client->close();
                w.context.reset();
                CHECK(w.ended == through);
                CHECK(!w.frame_lives());
                if (o == order::client_stays)
                    check_successor(s, w);
            }
            CHECK(steps > 3);
        }
        CHECK(workers.join(10s));
    });
    CHECK(open_descriptors() == before);
}

} // namespace

} // namespace dying_tests
