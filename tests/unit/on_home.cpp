// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/context_bound.hpp>
#include <loopsafe/scopes.hpp>
#include <loopsafe/testing/scripted_connector.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <support/run_until.hpp>
#include <support/running_coroutine.hpp>
#include <support/spies.hpp>
#include <utility>
#include <vector>

namespace on_home_tests {

namespace {

using namespace support;
using boost::system::system_error;
using loopsafe::context_of;
using loopsafe::errc;
using loopsafe::hop_to;
using loopsafe::on_home;
using loopsafe::testing::connect_script;
using loopsafe::testing::mortal_context;
using loopsafe::testing::scripted_connector;
using loopsafe::testing::two_contexts;
using pool_type = loopsafe::connection_pool<scripted_connector>;

static_assert(loopsafe::stays_at_home<pool_type::lease_type> &&
              loopsafe::stays_at_home<std::optional<pool_type::lease_type>> &&
              loopsafe::stays_at_home<std::pair<int, std::vector<loopsafe::tcp_stream>>> &&
              !loopsafe::stays_at_home<std::vector<std::string>>);

// Runs both until nothing is ready.
void run_both(two_contexts& two)
{
    for (std::size_t done = 1; done != 0;) {
        two.a.restart();
        two.b.restart();
        done = two.a.poll() + two.b.poll();
    }
}

asio::awaitable<int> wait_there(int turns, bool for_ever = false)
{
    const auto executor = co_await asio::this_coro::executor;
    for (; turns != 0; --turns)
        co_await asio::post(executor, asio::use_awaitable);
    if (for_ever) {
        asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::use_awaitable);
    }
    co_return 7;
}

TEST_CASE("on_home: a pool is used on its home, and the result comes back")
{
    two_contexts two;
    const auto script = std::make_shared<connect_script>();
    pool_type pool(two.a, scripted_connector(script));
    const auto use = [](pool_type& p) -> asio::awaitable<int> {
        auto lease = co_await p.acquire();
        CHECK((co_await loopsafe::this_context()) == p.home());
        co_return 5;
    };
    const auto main = [&]() -> asio::awaitable<int> {
        const int n = co_await on_home(pool, use, std::ref(pool));
        CHECK((co_await loopsafe::this_context()) == context_of(two.b));
        co_return n;
    };
    running_coroutine away(two.b, main());
    run_both(two);
    CHECK(away.text == "5");
    CHECK(script->opened == 1);
}

TEST_CASE("hop_to: functions, coroutines, values of every kind, and errors")
{
    two_contexts two;
    const auto main = [&]() -> asio::awaitable<int> {
        const auto a = two.a.get_executor();
        CHECK(co_await hop_to(a, [](int x) { return x + 1; }, 6) == 7);
        co_await hop_to(a, [] {});
        co_await hop_to(a, [] { return wait_there(2); });
        auto owned = std::make_unique<int>(8);
        const auto back =
            co_await hop_to(a, [](std::unique_ptr<int> p) { return p; }, std::move(owned));
        CHECK(*back == 8);
        const auto fails = []() -> asio::awaitable<void> {
            throw std::runtime_error("there");
            co_return;
        };
        std::string text;
        try {
            co_await hop_to(a, fails);
        } catch (const std::runtime_error& e) {
            text = e.what();
        }
        CHECK(text == "there");
        text = "";
        try {
            co_await hop_to(a, []() -> int { throw std::runtime_error("plainly"); });
        } catch (const std::runtime_error& e) {
            text = e.what();
        }
        CHECK(text == "plainly");
        co_return 1;
    };
    running_coroutine away(two.b, main());
    run_both(two);
    CHECK(away.text == "1");
}

TEST_CASE("on_home: at home, and where there is none, it is a direct call")
{
    asio::io_context context(1);
    const auto script = std::make_shared<connect_script>();
    pool_type pool(context, scripted_connector(script));
    loopsafe::connection_pool<scripted_connector, loopsafe::null_pool> anywhere{
        scripted_connector(script)};
    bool ended = false;
    const auto main = [&]() -> asio::awaitable<int> {
        int order = 0;
        const auto now = [&] { return ++order; };
        CHECK(co_await on_home(pool, now) == 1);
        CHECK(co_await on_home(anywhere, now) == 2);
        CHECK(co_await on_home(context.get_executor(), now) == 3);
        CHECK(co_await hop_to(context.get_executor(), now) == 4);
        ended = true;
        co_return 0;
    };
    running_coroutine here(context, main());
    context.poll_one();
    CHECK(ended);
    context.run();
    CHECK(here.text == "0");
}

TEST_CASE("hop_to: a strand of the same context is another place")
{
    asio::io_context context(1);
    const auto strand = asio::make_strand(context);
    const auto main = [&]() -> asio::awaitable<int> {
        CHECK_FALSE(strand.running_in_this_thread());
        const auto is_there = [=] { return strand.running_in_this_thread(); };
        const bool hopped = co_await hop_to(strand, is_there);
        CHECK(hopped);
        CHECK_FALSE(strand.running_in_this_thread());
        const bool direct = co_await on_home(strand, is_there);
        CHECK_FALSE(direct);
        co_return 1;
    };
    running_coroutine one(context, main());
    context.run();
    CHECK(one.text == "1");
}

TEST_CASE(
    "on_home: from another context, on the strand that is given, also of a context seen before")
{
    two_contexts two;
    const auto strand = asio::make_strand(two.b);
    const auto is_there = [=] { return strand.running_in_this_thread(); };
    for (const bool seen : {false, true}) {
        CAPTURE(seen);
        const loopsafe::context_bound<int> first_seen(seen ? two.b : two.a, 1);
        bool function = false, coroutine = false;
        const auto main = [&]() -> asio::awaitable<int> {
            function = co_await on_home(strand, is_there);
            const auto later = [&]() -> asio::awaitable<bool> {
                co_await asio::post(asio::use_awaitable);
                co_return is_there();
            };
            coroutine = co_await on_home(strand, later);
            co_return 1;
        };
        running_coroutine one(two.a, main());
        for (int i = 0; i != 8; ++i) {
            run_ready(two.a);
            run_ready(two.b);
        }
        CHECK(one.text == "1");
        CHECK(function);
        CHECK(coroutine);
    }
}

TEST_CASE("hop_to: a caller that is cancelled before the function begins goes on at once")
{
    two_contexts two;
    auto witness = std::make_shared<int>(1); // const, it could not be moved on
    bool begun = false;
    std::optional<running_coroutine> away;
    {
        const auto function = [&begun, witness] {
            begun = true;
            return 1;
        };
        away.emplace(two.b, hop_to(two.a.get_executor(), function));
    }
    two.b.poll();
    CHECK(witness.use_count() == 2);
    away->cancel.emit(asio::cancellation_type::terminal);
    two.b.restart();
    two.b.poll();
    CHECK(away->text == "aborted");
    CHECK(witness.use_count() == 1);
    two.a.poll();
    CHECK_FALSE(begun);
}

TEST_CASE("hop_to: a coroutine is cancelled with its caller, who waits for it")
{
    two_contexts two;
    running_coroutine away(two.b, hop_to(two.a.get_executor(), [] { return wait_there(0, true); }));
    run_both(two);
    away.cancel.emit(asio::cancellation_type::terminal);
    two.b.restart();
    two.b.poll();
    CHECK(away.text.empty());
    run_both(two);
    CHECK(away.text == "aborted");
}

TEST_CASE("hop_to: no context is an error, and a dead one, too")
{
    asio::io_context context(1);
    const auto code_of = [&](auto make) {
        loopsafe::error_code ec;
        const auto main = [&]() -> asio::awaitable<int> {
            try {
                co_await make();
            } catch (const loopsafe::context_error& e) {
                ec = e.code();
            }
            co_return 0;
        };
        running_coroutine here(context, main());
        run_ready(context);
        CHECK(here.text == "0");
        return ec;
    };
    CHECK(code_of([] { return hop_to(asio::system_executor(), [] {}); }) == errc::no_context);
    CHECK(code_of([] { return hop_to(asio::any_io_executor(), [] {}); }) == errc::no_context);
    mortal_context dies;
    const loopsafe::context_bound<int> value(*dies, 1);
    auto early = hop_to(dies->get_executor(), [] {});
    dies.reborn();
    CHECK(code_of([&] { return on_home(value, [] {}); }) == errc::context_closed);
    CHECK(code_of([&] { return std::move(early); }) == errc::context_closed);
}

// What the context_error says that the call ends with.
std::string refusal_of(asio::io_context& context, asio::awaitable<void> call)
{
    std::string text;
    asio::co_spawn(context, std::move(call), [&](const std::exception_ptr& e) {
        try {
            std::rethrow_exception(e);
        } catch (const loopsafe::context_error& error) {
            text = error.what();
        }
    });
    run_ready(context);
    return text;
}

TEST_CASE("hop_to: what has no context, or no executor, is told apart, and what to do")
{
    struct stranger { // of a context where nothing lives
        loopsafe::context_ref home() const { return where; }
        loopsafe::context_ref where;
    };
    const auto has = [](const std::string& text, const std::string& what) {
        CAPTURE(text);
        CHECK(text.find(what) != std::string::npos);
    };
    const auto called = [] {};
    asio::io_context context(1), empty(1);
    has(refusal_of(context, hop_to(asio::system_executor(), called)),
        "cure:  pass an io_context, a thread_pool, or an executor of one");
    const stranger unknown{context_of(empty)};
    has(refusal_of(context, on_home(unknown, called)),
        "so none of its executors is known: pass one of them instead");
}

TEST_CASE("hop_to: an error names what was called, and where")
{
    mortal_context dies;
    asio::io_context context(1);
    const loopsafe::context_bound<int> value(*dies, 1);
    std::string place;
    const auto called = [] {};
    const auto at_next_line = [&](std::source_location here = std::source_location::current()) {
        place = "on_home.cpp:" + std::to_string(here.line() + 1);
    };
    at_next_line();
    auto hops = hop_to(*dies, called);
    const auto place_of_hop = place;
    at_next_line();
    auto goes_home = on_home(*dies, called);
    const auto place_of_home = place;
    at_next_line();
    auto without = hop_to(asio::any_io_executor(), called);
    const auto place_without = place;
    dies.reborn();
    const auto has = [](const std::string& text, const std::string& what, const std::string& at) {
        CAPTURE(text);
        CHECK(text.find(what) != std::string::npos);
        CHECK(text.find(at) != std::string::npos);
    };
    has(refusal_of(context, std::move(hops)), "hop_to", place_of_hop);
    has(refusal_of(context, std::move(goes_home)), "on_home", place_of_home);
    has(refusal_of(context, std::move(without)), "hop_to", place_without);
    at_next_line();
    auto of_value = on_home(value, called);
    has(refusal_of(context, std::move(of_value)), "on_home", place);
}

// What a function captures; and what its coroutine has on its frame.
struct books {
    int functions = 0;
    int frames = 0;
};
struct counted {
    explicit counted(int& of) : n(&of) { ++*n; }
    counted(const counted& other) : n(other.n) { ++*n; }
    counted& operator=(const counted&) = delete;
    ~counted() { --*n; }
    int* n;
};

struct job {
    asio::awaitable<int> operator()() const
    {
        const counted frame(all->frames);
        co_return co_await wait_there(2, for_ever);
    }
    books* all;
    bool for_ever;
    counted mark{all->functions};
};

TEST_CASE("hop_to: whichever context dies, after each step, nothing is left and nobody waits")
{
    for (const bool strand : {false, true}) {
        for (const bool home_dies : {false, true}) {
            for (const bool for_ever : {false, true}) {
                for (int steps = 0; steps != 12; ++steps) {
                    CAPTURE(home_dies);
                    CAPTURE(for_ever);
                    CAPTURE(steps);
                    books all;
                    mortal_context home, away;
                    std::optional<running_coroutine> one;
                    {
                        const loopsafe::context_bound<int> first_seen(*home, 1);
                        const asio::any_io_executor to =
                            strand ? asio::any_io_executor(asio::make_strand(*home))
                                   : home->get_executor();
                        const job function{.all = &all, .for_ever = for_ever};
                        one.emplace(*away, hop_to(to, function));
                    }
                    for (int i = 0; i != steps; ++i) {
                        auto& next = i % 2 == 0 ? away : home;
                        next->restart();
                        next->poll_one();
                    }
                    if (home_dies) {
                        home.die();
                        CHECK(all.frames == 0);
                        away->restart();
                        away->poll();
                        CHECK((one->text == "closed" || (one->text == "7" && !for_ever)));
                    } else {
                        const bool had_ended = !one->text.empty();
                        away.die();
                        CHECK(one->text.empty() != had_ended);
                        home->restart();
                        home->poll();
                        CHECK(all.frames == 0);
                        CHECK(home->stopped());
                    }
                    CHECK(all.functions == 0);
                }
            }
        }
    }
}

TEST_CASE("hop_to: cancelled after each step, the caller hears of it, and nothing is left")
{
    for (const bool for_ever : {false, true}) {
        for (int steps = 0; steps != 12; ++steps) {
            CAPTURE(steps);
            books all;
            two_contexts two;
            const job function{.all = &all, .for_ever = for_ever};
            std::optional<running_coroutine> one;
            one.emplace(two.a, [](auto to, job f) -> asio::awaitable<int> {
                co_return co_await hop_to(to, f);
            }(two.b.get_executor(), function));
            for (int i = 0; i != steps; ++i) {
                auto& next = i % 2 == 0 ? two.a : two.b;
                next.restart();
                next.poll_one();
            }
            one->cancel.emit(asio::cancellation_type::terminal);
            run_both(two);
            CHECK((one->text == "aborted" || (one->text == "7" && !for_ever)));
            CHECK(all.frames == 0);
            CHECK(all.functions == 1); // the one here
        }
    }
}

TEST_CASE("hop_to: a coroutine that is destroyed unfinished on a living home is an error")
{
    two_contexts two;
    keeper kept;
    running_coroutine away(two.b, hop_to(two.a.get_executor(), [&]() -> asio::awaitable<int> {
                               co_await kept.wait();
                               co_return 1;
                           }));
    run_both(two);
    kept.let_go();
    run_both(two);
    CHECK(away.text == loopsafe::error_code(errc::task_lost).message());
}

} // namespace

} // namespace on_home_tests
