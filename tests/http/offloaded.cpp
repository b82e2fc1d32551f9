// SPDX-License-Identifier: BSL-1.0
// A request whose worker is in the middle of something when its caller goes: held there by the hook
// that is told how far the request has come.

#include <atomic>
#include <http/stepped.hpp>
#include <latch>

namespace offloaded_tests {

namespace {

using namespace http_test;
using kind = http::event::kind;

enum class goes { context, client_and_context, cancelled };

constexpr goes all_goings[] = {goes::context, goes::client_and_context, goes::cancelled};
constexpr kind all_kinds[] = {kind::resolved, kind::connected,  kind::secured,
                              kind::acquired, kind::first_byte, kind::returned};

const char* name_of(goes g)
{
    return g == goes::context              ? "the context dies"
           : g == goes::client_and_context ? "the client and the context die"
                                           : "the request is cancelled";
}

// Holds the worker where it tells of this for the first time.
class gate {
public:
    explicit gate(kind at) : at_(at) {}

    void pass(const http::event& e)
    {
        if (e.what != at_ || met_.exchange(true))
            return;
        reached.count_down();
        open.wait();
    }

    std::latch reached{1};
    std::latch open{1};

private:
    const kind at_;
    std::atomic<bool> met_{false};
};

void go(const situation& s, http_peer& peer, loopsafe::worker_threads& workers, kind at, goes how)
{
    const auto held = std::make_shared<gate>(at);
    stepped w(s, peer, &workers, [&](http::single_use_client_options& o) {
        o.on_event = [held](const http::event& e) { held->pass(e); };
    });
    w.begin();
    w.context->restart();
    while (!held->reached.try_wait()) {
        w.context->poll();
        std::this_thread::yield();
    }
    CHECK(!w.ended);
    const auto stats = w.client->stats();
    CHECK(stats.leased + stats.connecting == 1);
    if (how == goes::cancelled) {
        w.signal.emit(asio::cancellation_type::terminal);
        held->open.count_down();
        run_until(*w.context, [&] { return w.ended; });
        if (w.error != nullptr)
            CHECK(code_of(w.error) == asio::error::operation_aborted);
        else
            CHECK(w.got == w.target());
        CHECK(w.ask("/after") == "/after");
        return;
    }
    if (how == goes::client_and_context)
        w.client.reset();
    w.context.reset();
    CHECK(!w.frame_lives());
    CHECK(!w.ended);
    if (w.client != nullptr) {
        CHECK(w.client->stats().leased == (at < kind::acquired ? 0u : 1u));
        w.context.emplace(1);
        asio::post(*w.context, [&] { held->open.count_down(); });
        CHECK(w.ask("/after") == "/after");
    } else {
        held->open.count_down();
    }
}

TEST_CASE("http: the caller goes while its worker is in the middle, and nothing goes with him")
{
    const auto before = open_descriptors();
    for (const auto what : {combination::keep_alive_offloaded, combination::null_offloaded}) {
        for (const bool secure : {false, true}) {
            for (const auto task : all_errands) {
                const situation s{what, secure, task};
                INFO(s.name());
                http_peer peer(answer_errands, secure);
                loopsafe::worker_threads workers;
                for (const auto at : all_kinds) {
                    if (at == kind::secured && !secure)
                        continue;
                    CAPTURE(static_cast<int>(at));
                    for (const auto how : all_goings) {
                        INFO(std::string(name_of(how)));
                        go(s, peer, workers, at, how);
                    }
                }
                CHECK(workers.join(10s));
            }
        }
    }
    CHECK(open_descriptors() == before);
}

} // namespace

} // namespace offloaded_tests
