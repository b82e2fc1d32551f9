// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/runner.hpp>
#include <loopsafe/scopes.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <support/ends_others.hpp>
#include <support/run_until.hpp>
#include <support/spies.hpp>
#include <support/texts.hpp>
#include <utility>
#include <vector>

namespace scopes_tests {

namespace {

using namespace support;
using boost::system::system_error;
using loopsafe::all;
using loopsafe::errc;
using loopsafe::first_success;
using loopsafe::race;
using loopsafe::task_scope;
using loopsafe::with_tasks;

enum class end { value, error, never };

// Operations that end when they are told to.
class operations {
public:
    explicit operations(asio::io_context& context) : context_(context) {}

    asio::awaitable<int> make(end how)
    {
        const auto number = static_cast<int>(timers_.size());
        timers_.push_back(
            std::make_unique<asio::steady_timer>(context_, asio::steady_timer::time_point::max()));
        return run(how, number, *timers_.back());
    }

    void end_one(int which) { timers_[static_cast<std::size_t>(which)]->cancel(); }

    names log;

private:
    asio::awaitable<int> run(end how, int number, asio::steady_timer& told)
    {
        const auto [ec] = co_await told.async_wait(asio::as_tuple(asio::use_awaitable));
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none) {
            log.push_back("cancelled " + std::to_string(number));
            throw system_error(ec);
        }
        if (how == end::error)
            throw std::runtime_error("error " + std::to_string(number));
        co_return number;
    }

    asio::io_context& context_;
    std::vector<std::unique_ptr<asio::steady_timer>> timers_;
};

struct outcome {
    std::string text; // "" while it has not ended
    static std::string of(const std::exception_ptr& error)
    {
        try {
            std::rethrow_exception(error);
        } catch (const loopsafe::all_failed& e) {
            std::string text = "all failed:";
            for (const auto& each : e.errors())
                text += ' ' + text_of<std::runtime_error>(each);
            return text;
        } catch (const system_error& e) {
            return e.code() == asio::error::operation_aborted ? "aborted" : e.code().message();
        } catch (const std::exception& e) {
            return e.what();
        }
    }
};

template <class Make>
std::string outcome_of(Make make, const std::vector<end>& how, const std::vector<int>& order)
{
    asio::io_context context(1);
    operations ops(context);
    std::string text;
    asio::co_spawn(context, make(ops, how),
                   [&](const std::exception_ptr& error, std::string value) {
                       text = error != nullptr ? outcome::of(error) : value;
                   });
    context.poll();
    for (const int each : order) {
        if (text.empty() && how[static_cast<std::size_t>(each)] != end::never) {
            ops.end_one(each);
            context.poll();
        }
    }
    CAPTURE(text);
    const bool stopped = context.stopped();
    CHECK(stopped != text.empty());
    return text.empty() ? "waits" : text;
}

using three = std::vector<end>;

asio::awaitable<std::string> all_three(operations& ops, const three& how)
{
    auto a = ops.make(how[0]), b = ops.make(how[1]), c = ops.make(how[2]);
    const auto [x, y, z] = co_await all(std::move(a), std::move(b), std::move(c));
    co_return std::to_string(x) + std::to_string(y) + std::to_string(z);
}
asio::awaitable<std::string> race_three(operations& ops, const three& how)
{
    auto a = ops.make(how[0]), b = ops.make(how[1]), c = ops.make(how[2]);
    const auto first = co_await race(std::move(a), std::move(b), std::move(c));
    const int value = std::visit([](int v) { return v; }, first);
    CHECK(static_cast<std::size_t>(value) == first.index());
    co_return std::to_string(value);
}
asio::awaitable<std::string> first_success_three(operations& ops, const three& how)
{
    auto a = ops.make(how[0]), b = ops.make(how[1]), c = ops.make(how[2]);
    const auto first = co_await first_success(std::move(a), std::move(b), std::move(c));
    co_return std::to_string(std::visit([](int v) { return v; }, first));
}
asio::awaitable<std::string> tasks_three(operations& ops, const three& how)
{
    const auto body = [&](task_scope& tasks) -> asio::awaitable<std::string> {
        for (const end each : how) {
            const bool started =
                tasks.start([&ops, each]() -> asio::awaitable<void> { co_await ops.make(each); });
            CHECK(started);
        }
        CHECK(tasks.running() == 3);
        co_return "012";
    };
    co_return co_await with_tasks(body);
}

// What each of them must come to.
struct model {
    std::string all, race, first_success;

    model(const three& how, const std::vector<int>& order)
    {
        std::string failures;
        int values = 0;
        for (const int each : order) {
            const auto number = std::to_string(each);
            const auto what = how[static_cast<std::size_t>(each)];
            if (what == end::never)
                continue;
            if (what == end::value) {
                ++values;
                if (first_success.empty())
                    first_success = number;
            } else {
                failures += " error " + number;
                if (all.empty())
                    all = "error " + number;
            }
            if (race.empty())
                race = what == end::value ? number : "error " + number;
        }
        if (all.empty())
            all = values == 3 ? "012" : "waits";
        if (race.empty())
            race = "waits";
        if (first_success.empty())
            first_success = failures.size() == 24 ? "all failed:" + failures : "waits";
    }
};

TEST_CASE("scopes: operations that end in any order, with a value, an error or never")
{
    for (int code = 0; code != 27; ++code) {
        const three how{static_cast<end>(code % 3), static_cast<end>(code / 3 % 3),
                        static_cast<end>(code / 9)};
        std::vector<int> order{0, 1, 2};
        do {
            CAPTURE(code);
            CAPTURE(order[0]);
            CAPTURE(order[1]);
            const model expected(how, order);
            CHECK(outcome_of(all_three, how, order) == expected.all);
            CHECK(outcome_of(tasks_three, how, order) == expected.all);
            CHECK(outcome_of(race_three, how, order) == expected.race);
            CHECK(outcome_of(first_success_three, how, order) == expected.first_success);
        } while (std::next_permutation(order.begin(), order.end()));
    }
}

TEST_CASE(
    "scopes: a caller that is cancelled cancels all, awaits them, and hears of its cancellation")
{
    const auto check = [](auto make) {
        const three never(3, end::never);
        asio::io_context context(1);
        operations ops(context);
        asio::cancellation_signal signal;
        std::string text;
        asio::co_spawn(context, make(ops, never),
                       asio::bind_cancellation_slot(
                           signal.slot(), [&](const std::exception_ptr& error, const std::string&) {
                               text = outcome::of(error);
                           }));
        context.poll();
        signal.emit(asio::cancellation_type::terminal);
        signal.emit(asio::cancellation_type::terminal);
        CHECK(text.empty());
        context.poll();
        CHECK(text == "aborted");
        std::sort(ops.log.begin(), ops.log.end());
        CHECK(ops.log == names{"cancelled 0", "cancelled 1", "cancelled 2"});
        CHECK(context.stopped());
    };
    check(all_three);
    check(race_three);
    check(first_success_three);
    check(tasks_three);
}

TEST_CASE("scopes: an error comes before the caller's cancellation")
{
    loopsafe::runner loop;
    const auto stubborn = []() -> asio::awaitable<void> {
        try {
            asio::steady_timer timer(co_await asio::this_coro::executor,
                                     asio::steady_timer::time_point::max());
            co_await timer.async_wait(asio::use_awaitable);
        } catch (const system_error&) {
            throw std::runtime_error("while it was cancelled");
        }
    };
    const auto main = [&]() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        asio::cancellation_signal signal;
        std::string text;
        asio::co_spawn(
            executor, all(stubborn()),
            asio::bind_cancellation_slot(
                signal.slot(), [&](const std::exception_ptr& e, auto) { text = outcome::of(e); }));
        co_await asio::post(asio::use_awaitable);
        co_await asio::post(asio::use_awaitable);
        signal.emit(asio::cancellation_type::terminal);
        while (text.empty())
            co_await asio::post(asio::use_awaitable);
        CHECK(text == "while it was cancelled");
    };
    loop.run(main);
    loop.close();
}

TEST_CASE("scopes: values that cannot be copied, nothing, and none at all")
{
    loopsafe::run([]() -> asio::awaitable<void> {
        const auto owned = []() -> asio::awaitable<std::unique_ptr<int>> {
            co_return std::make_unique<int>(7);
        };
        const auto nothing = []() -> asio::awaitable<void> { co_return; };
        auto [pointer, none] = co_await all(owned(), nothing());
        CHECK(*pointer == 7);
        CHECK(none == std::monostate());
        CHECK(co_await all() == std::tuple<>());
        auto first = co_await race(owned());
        CHECK(*std::get<0>(first) == 7);
        const auto body = [&](task_scope&) { return owned(); };
        CHECK(*co_await with_tasks(body) == 7);
    });
}

TEST_CASE("scopes: the captures of a task live as long as it does, and no longer")
{
    const auto witness = std::make_shared<int>(1);
    loopsafe::run([&]() -> asio::awaitable<void> {
        const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
            tasks.start([copy = witness]() -> asio::awaitable<void> {
                co_await asio::post(asio::use_awaitable);
                CHECK(copy.use_count() == 2);
            });
            co_return;
        };
        co_await with_tasks(body);
        CHECK(witness.use_count() == 1);
    });
}

TEST_CASE("scopes: nothing begins in a scope that was cancelled, or has ended")
{
    int begun = 0;
    const auto counts = [&]() -> asio::awaitable<void> {
        ++begun;
        co_return;
    };
    task_scope* kept = nullptr;
    loopsafe::run([&]() -> asio::awaitable<void> {
        const auto body = [&](task_scope& tasks) -> asio::awaitable<int> {
            kept = &tasks;
            CHECK(tasks.start(counts));
            tasks.cancel();
            tasks.cancel();
            CHECK(tasks.is_cancelled());
            CHECK_FALSE(tasks.start(counts));
            co_return 5; // it had no need to wait
        };
        CHECK(co_await with_tasks(body) == 5);
        CHECK(begun <= 1);

        const auto waits = [&](task_scope& tasks) -> asio::awaitable<int> {
            tasks.cancel();
            co_await asio::post(asio::use_awaitable);
            co_return 5;
        };
        std::string text;
        try {
            co_await with_tasks(waits);
        } catch (...) {
            text = outcome::of(std::current_exception());
        }
        CHECK(text == "aborted");

        const auto none = [&](task_scope& tasks) -> asio::awaitable<void> {
            tasks.cancel();
            co_await asio::post(asio::use_awaitable);
        };
        co_await with_tasks(none); // what a cancellation of the scope ends is no error
    });
    CHECK(kept != nullptr);
}

TEST_CASE("scopes: a function whose copy throws begins no task, and the scope goes on without it")
{
    struct no_copy {
        no_copy() = default;
        no_copy(const no_copy&) { throw std::runtime_error("copy"); }
        asio::awaitable<void> operator()() const { co_return; }
    };
    loopsafe::run([]() -> asio::awaitable<void> {
        const auto body = [](task_scope& tasks) -> asio::awaitable<int> {
            const no_copy function;
            CHECK_THROWS_WITH_AS(tasks.start(function), "copy", std::runtime_error);
            CHECK(tasks.running() == 0);
            CHECK_FALSE(tasks.is_cancelled());
            co_await asio::post(asio::use_awaitable);
            co_return 5;
        };
        CHECK(co_await with_tasks(body) == 5);
    });
}

TEST_CASE("scopes: tasks may start others, and those are awaited, too")
{
    int ended = 0;
    loopsafe::run([&]() -> asio::awaitable<void> {
        std::function<asio::awaitable<void>(task_scope&, int)> grow =
            [&](task_scope& tasks, int depth) -> asio::awaitable<void> {
            co_await asio::post(asio::use_awaitable);
            for (int i = 0; depth != 0 && i != 3; ++i)
                CHECK(tasks.start([&, depth] { return grow(tasks, depth - 1); }));
            ++ended;
        };
        const auto body = [&](task_scope& tasks) { return grow(tasks, 5); };
        co_await with_tasks(body);
    });
    CHECK(ended == 364);
}

TEST_CASE("scopes: no more tasks than max_running at once, in order, whichever way they end")
{
    std::size_t most = 0, running = 0;
    std::vector<int> order;
    loopsafe::run([&]() -> asio::awaitable<void> {
        const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
            for (int i = 0; i != 100; ++i) {
                const auto one = [&, i]() -> asio::awaitable<void> {
                    order.push_back(i);
                    most = std::max(most, ++running);
                    CHECK(tasks.running() <= 4);
                    for (int turns = 0; turns != i % 7; ++turns)
                        co_await asio::post(asio::use_awaitable);
                    --running;
                    if (i % 5 == 0)
                        throw std::runtime_error("error " + std::to_string(i));
                };
                CHECK(co_await tasks.start_when_free(one));
            }
        };
        std::vector<loopsafe::task_error> further;
        std::string first;
        try {
            co_await with_tasks(
                body, {.errors = loopsafe::on_error::wait, .max_running = 4, .further = &further});
        } catch (const std::runtime_error& e) {
            first = e.what();
        }
        CHECK(first == "error 0");
        CHECK(further.size() == 19);
        CHECK(std::string(further.back().started.file_name()).ends_with("scopes.cpp"));
    });
    CHECK(most == 4);
    std::vector<int> expected(100);
    std::iota(expected.begin(), expected.end(), 0);
    CHECK(order == expected);
}

TEST_CASE("scopes: whoever waits for room is let go when the scope is cancelled")
{
    loopsafe::run([&]() -> asio::awaitable<void> {
        bool begun = false;
        const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
            tasks.start([&]() -> asio::awaitable<void> {
                co_await asio::post(asio::use_awaitable);
                throw std::runtime_error("first");
            });
            const auto late = [&]() -> asio::awaitable<void> {
                begun = true;
                co_return;
            };
            co_await tasks.start_when_free(late);
        };
        std::string text;
        try {
            co_await with_tasks(body, {.max_running = 1});
        } catch (const std::exception& e) {
            text = e.what();
        }
        CHECK(text == "first");
        CHECK_FALSE(begun);
    });
}

TEST_CASE("scopes: room that a waiter was woken for, and gives up, is the next one's")
{
    asio::io_context context(1);
    asio::cancellation_signal cancels;
    asio::steady_timer over(context, asio::steady_timer::time_point::max());
    bool begun = false;
    std::string first;
    const auto blocks = [&]() -> asio::awaitable<void> {
        co_await asio::post(asio::use_awaitable);
        // Runs when the end of this has woken the first, before that goes on.
        asio::post(context, [&] { cancels.emit(asio::cancellation_type::terminal); });
    };
    const auto never_begins = []() -> asio::awaitable<void> {
        FAIL_CHECK("begun");
        co_return;
    };
    const auto begins = [&]() -> asio::awaitable<void> {
        begun = true;
        over.cancel();
        co_return;
    };
    const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
        tasks.start(blocks);
        asio::co_spawn(
            context, tasks.start_when_free(never_begins),
            asio::bind_cancellation_slot(cancels.slot(), [&](const std::exception_ptr& e, bool) {
                first = outcome::of(e);
            }));
        asio::co_spawn(context, tasks.start_when_free(begins), asio::detached);
        co_await over.async_wait(asio::as_tuple(asio::use_awaitable));
    };
    asio::co_spawn(context, with_tasks(body, {.max_running = 1}), asio::detached);
    context.poll();
    CHECK(first == "aborted");
    CHECK(begun);
    CHECK(context.stopped());
}

TEST_CASE("scopes: without a limit there is always room")
{
    int ended = 0;
    loopsafe::run(
        [&]() -> asio::awaitable<void> {
            const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
                const auto waits = [&]() -> asio::awaitable<void> {
                    co_await asio::post(asio::use_awaitable);
                    ++ended;
                };
                CHECK(co_await tasks.start_when_free(waits));
                CHECK(co_await tasks.start_when_free(waits));
                CHECK(ended == 0);
            };
            co_await with_tasks(body);
        },
        {.quiet_limit = 1s});
    CHECK(ended == 2);
}

TEST_CASE("scopes: a max_running of 0 is refused, and nothing begins")
{
    bool begun = false;
    const auto body = [&](task_scope&) -> asio::awaitable<void> {
        begun = true;
        co_return;
    };
    const auto main = [&] { return with_tasks(body, {.max_running = 0}); };
    const auto refused = thrown_by<system_error>([&] { loopsafe::run(main); });
    CHECK(refused.code() == errc::bad_option);
    CHECK(std::string(refused.what()).find("max_running is 0") != std::string::npos);
    CHECK_FALSE(begun);
}

TEST_CASE("scopes: errors after the first come at the end of run, unless they are asked for")
{
    const auto fails = [](std::string what) -> asio::awaitable<void> {
        co_await asio::post(asio::use_awaitable);
        co_await asio::this_coro::throw_if_cancelled(false);
        throw std::runtime_error(what);
    };
    bool caught = false;
    const auto main = [&]() -> asio::awaitable<void> {
        try {
            co_await all(fails("first"), fails("second"));
        } catch (const std::runtime_error& e) {
            caught = std::string(e.what()) == "first";
        }
    };
    CHECK_THROWS_WITH_AS(loopsafe::run(main), "second", std::runtime_error);
    CHECK(caught);
}

TEST_CASE("scopes: tasks that end while they are being cancelled, and end their neighbours")
{
    asio::io_context context(1);
    ends_others ends(5);
    const auto main = [&]() -> asio::awaitable<void> {
        const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
            for (std::size_t i = 0; i != ends.size(); ++i)
                tasks.start([&, i] { return ends.wait(i); });
            co_await asio::post(asio::use_awaitable);
            tasks.cancel();
            CHECK(tasks.running() == 0);
        };
        co_await with_tasks(body);
    };
    bool ended = false;
    asio::co_spawn(context, main(), [&](const std::exception_ptr& e) { ended = e == nullptr; });
    context.run();
    CHECK(ended);
    CHECK(ends.ended() == ends.size());
}

TEST_CASE("scopes: a caller whose last task ends while it is being cancelled goes on afterwards")
{
    asio::io_context context(1);
    ends_others ends(2);
    bool ended = false;
    asio::cancellation_signal signal;
    const auto main = [&]() -> asio::awaitable<void> {
        const auto body = [&](task_scope&) { return ends.wait(0); };
        try {
            co_await with_tasks(body);
        } catch (const system_error&) {
            ended = true;
        }
    };
    asio::co_spawn(context, main(), asio::bind_cancellation_slot(signal.slot(), asio::detached));
    run_ready(context);
    do_on(context, [&] {
        signal.emit(asio::cancellation_type::terminal);
        CHECK(ends.ended() == 1);
        CHECK_FALSE(ended);
    });
    CHECK(ended);
}

TEST_CASE("scopes: a task that is cancelled before it began does not begin")
{
    asio::io_context context(1);
    bool begun = false;
    const auto main = [&]() -> asio::awaitable<void> {
        const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
            tasks.start([&]() -> asio::awaitable<void> {
                begun = true;
                co_return;
            });
            tasks.cancel();
            co_return;
        };
        co_await with_tasks(body);
    };
    // What is dispatched to this executor does not run at once.
    const asio::any_io_executor later =
        asio::require(context.get_executor(), asio::execution::blocking.never);
    bool ended = false;
    asio::co_spawn(later, main(), [&](const std::exception_ptr& e) { ended = e == nullptr; });
    context.run();
    CHECK(ended);
    CHECK_FALSE(begun);
}

TEST_CASE("scopes: a caller that is cancelled while its tasks begin")
{
    asio::io_context context(1);
    asio::cancellation_signal signal;
    std::string text;
    const auto main = [&]() -> asio::awaitable<void> {
        const auto body = [&](task_scope&) -> asio::awaitable<void> {
            signal.emit(asio::cancellation_type::terminal);
            asio::steady_timer timer(context, asio::steady_timer::time_point::max());
            co_await timer.async_wait(asio::use_awaitable);
        };
        co_await with_tasks(body);
    };
    asio::co_spawn(context, main(),
                   asio::bind_cancellation_slot(
                       signal.slot(), [&](const std::exception_ptr& e) { text = outcome::of(e); }));
    context.poll();
    CHECK(text == "aborted");
}

TEST_CASE("scopes: a task that is destroyed unfinished is an error, and nobody waits for it")
{
    // An executor that drops what it is given.
    loopsafe::run([]() -> asio::awaitable<void> {
        std::string place;
        const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
            place = next_line();
            tasks.start([]() -> asio::awaitable<void> {
                const auto forget = [](auto handler) { (void)handler; };
                co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
                    forget, asio::use_awaitable);
            });
            co_return;
        };
        loopsafe::error_code ec;
        std::string text;
        try {
            co_await with_tasks(body);
        } catch (const system_error& e) {
            ec = e.code();
            text = e.what();
        }
        CHECK(ec == errc::task_lost);
        CHECK(text.starts_with("started at " + place));
    });
}

TEST_CASE("scopes: a deadline ends all tasks, and an error of theirs comes before it")
{
    const auto waits = []() -> asio::awaitable<void> {
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::use_awaitable);
    };
    bool begun = false;
    const auto fails_then = [&]() -> asio::awaitable<void> {
        begun = true;
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        throw std::runtime_error("while it was cancelled");
    };
    const auto text_with = [&](auto body, loopsafe::task_scope_options options) {
        std::string text = "none";
        loopsafe::run([&]() -> asio::awaitable<void> {
            try {
                co_await with_tasks(body, options);
            } catch (...) {
                text = outcome::of(std::current_exception());
            }
        });
        return text;
    };
    const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
        begun = true;
        tasks.start(waits);
        co_await waits();
    };
    const auto failing = [&](task_scope& tasks) -> asio::awaitable<void> {
        tasks.start(fails_then);
        co_return;
    };
    const auto quick = [&](task_scope&) -> asio::awaitable<void> { co_return; };
    const auto late = loopsafe::error_code(errc::timed_out).message();
    // One that passes before anything begins says nothing; the machine decides which that is.
    const auto text_once_begun = [&](auto with_body) {
        std::string text;
        begun = false;
        auto limit = 1ms;
        do {
            text = text_with(with_body, {.deadline = limit});
            limit *= 2;
        } while (!begun);
        return text;
    };
    CHECK(text_once_begun(body) == late);
    CHECK(text_once_begun(failing) == "while it was cancelled");
    CHECK(text_with(quick, {.deadline = 1h}) == "none");
    begun = false;
    CHECK(text_with(body, {.deadline = 0ms}) == late);
    CHECK_FALSE(begun);
}

TEST_CASE("scopes: a task that ignores its cancellation is reported with its place, and awaited")
{
    loopsafe::run([]() -> asio::awaitable<void> {
        asio::steady_timer ends(co_await asio::this_coro::executor,
                                asio::steady_timer::time_point::max());
        std::vector<loopsafe::task_error> further;
        bool ended = false;
        std::string place;
        const auto stubborn = [&]() -> asio::awaitable<void> {
            co_await asio::this_coro::throw_if_cancelled(false);
            asio::steady_timer look(co_await asio::this_coro::executor);
            while (further.empty()) {
                look.expires_after(1ms);
                co_await look.async_wait(asio::as_tuple(asio::use_awaitable));
            }
            ended = true;
        };
        const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
            place = next_line();
            tasks.start(stubborn);
            tasks.cancel();
            co_return;
        };
        co_await with_tasks(body, {.further = &further, .grace = 1ms});
        CHECK(ended);
        CHECK(further.size() == 1);
        const auto text = text_of(further.front().error);
        CAPTURE(text);
        CHECK(text.find("started at " + place) != std::string::npos);
        CHECK(code_of(further.front().error) == errc::task_stuck);
    });
}

TEST_CASE("scopes: tasks from another context, until scope and context are gone")
{
    asio::io_context home(1);
    auto away = std::make_unique<asio::io_context>(1);
    std::optional<loopsafe::remote_task_scope> remote;
    int ran = 0;
    const auto task = [&]() -> asio::awaitable<void> {
        co_await asio::post(asio::use_awaitable);
        ++ran;
    };
    const auto body = [&](task_scope& tasks) -> asio::awaitable<void> {
        remote = tasks.remote();
        asio::steady_timer over(co_await asio::this_coro::executor,
                                asio::steady_timer::time_point::max());
        co_await over.async_wait(asio::as_tuple(asio::use_awaitable));
    };
    std::string text;
    asio::co_spawn(home, with_tasks(body), [&](const std::exception_ptr& e) {
        text = e != nullptr ? outcome::of(e) : "ended";
    });
    home.poll();
    const auto ask = [&](asio::io_context& from) {
        std::optional<bool> started;
        asio::co_spawn(from, remote->start(task),
                       [&](const std::exception_ptr& e, bool s) { started = e == nullptr && s; });
        for (int i = 0; i != 4; ++i) {
            run_ready(from);
            run_ready(home);
        }
        return started.value();
    };
    CHECK(remote->post(task));
    CHECK(ran == 0);
    run_ready(home);
    CHECK(ran == 1);
    CHECK(ask(*away));
    CHECK(ask(home));
    CHECK(ran == 3);
    CHECK(remote->post([]() -> asio::awaitable<void> {
        throw std::runtime_error("from afar");
        co_return;
    }));
    run_ready(home);
    CHECK(text == "from afar");
    CHECK_FALSE(remote->post(task));
    CHECK_FALSE(ask(*away));
    {
        asio::io_context dies(1);
        asio::co_spawn(dies, with_tasks(body), asio::detached);
        dies.poll();
        CHECK(remote->post(task));
    }
    CHECK_FALSE(remote->post(task));
    CHECK_FALSE(ask(*away));
    CHECK(ran == 3);
    away.reset();
}

} // namespace

} // namespace scopes_tests
