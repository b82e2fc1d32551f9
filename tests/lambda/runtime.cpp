// SPDX-License-Identifier: BSL-1.0
// What the runtime does with events, handlers and responses.

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/scopes.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <lambda/served.hpp>
#include <set>
#include <stdexcept>

namespace runtime_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;
using loopsafe::testing::lambda_violation;

asio::awaitable<std::string> echo(lambda::invocation& in)
{
    co_return std::string(in.event());
}

TEST_CASE("an event comes to the handler with all that the service says of it")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once(), .invocation_ids = true});
        const auto handler = [](lambda::invocation& in) -> asio::awaitable<std::string> {
            CHECK(in.left() > 0ns);
            CHECK(in.left() < 4s);
            std::string all;
            for (const auto part : {in.id(), in.function_arn(), in.trace(), in.tenant(),
                                    in.client_context(), in.cognito_identity(), in.event()})
                all.append(part).append("|");
            co_return all;
        };
        served<Policy> function(service, handler);
        const auto reply = block_on(service.invoke("{}", {.tenant = "blue",
                                                          .client_context = "{\"a\": [",
                                                          .cognito_identity = "{\"i\":1}",
                                                          .trace = "Root=1-2",
                                                          .id = "id-7",
                                                          .arn = "arn:aws:lambda:x"}));
        CHECK(reply.ok());
        CHECK(reply.body == "id-7|arn:aws:lambda:x|Root=1-2|blue|{\"a\": [|{\"i\":1}|{}|");
        const auto next = block_on(service.invoke("2", {.id = "id-8", .arn = "b"}));
        CHECK(next.body == "id-8|b|||||2|");
        CHECK(function.stop() == 0);
        CHECK(service.violations().empty());
        CHECK(function.log().all().empty());
    });
}

TEST_CASE("the variable of the trace is that of the invocation, or there is none")
{
    const auto handler = [](lambda::invocation&) -> asio::awaitable<std::string> {
        const char* const trace = std::getenv("_X_AMZN_TRACE_ID");
        co_return trace != nullptr ? trace : "none";
    };
    lambda_service service;
    served<lambda::context_kept> function(service, handler, {.sets_trace_variable = true});
    CHECK(block_on(service.invoke("", {.trace = "Root=1"})).body == "Root=1");
    CHECK(block_on(service.invoke("")).body == "none");
    CHECK(block_on(service.invoke("", {.trace = "Root=2"})).body == "Root=2");
    CHECK(function.stop() == 0);
    ::unsetenv("_X_AMZN_TRACE_ID");
}

TEST_CASE("events of every size go both ways")
{
    lambda_service service;
    served<lambda::context_kept> function(service, echo);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16384},
                                   std::size_t{70'000}, std::size_t{6'000'000}}) {
        const std::string event(size, 'e');
        const auto reply = block_on(service.invoke(event, {.timeout = 20s}));
        CHECK(reply.ok());
        CHECK(reply.body == event);
    }
    const auto too_large = block_on(service.invoke(std::string(7'000'000, 'e'), {.timeout = 20s}));
    CHECK(!too_large.ok());
    CHECK(too_large.error_type == "Function.ResponseSizeTooLarge");
    CHECK(block_on(service.invoke("on")).body == "on");
    CHECK(function.stop() == 0);
}

struct refused {
    std::string order;
};

asio::awaitable<std::string> throw_what_the_event_says(lambda::invocation& in)
{
    if (in.event() == "runtime_error")
        throw std::runtime_error("boom");
    if (in.event() == "int")
        throw 7;
    if (in.event() == "own")
        throw refused{"order"};
    if (in.event() == "said")
        throw lambda::function_error("Function.OrderRefused", "no lines");
    if (in.event() == "nested") {
        try {
            throw std::runtime_error("inner");
        } catch (...) {
            std::throw_with_nested(std::logic_error("outer"));
        }
    }
    co_return "none";
}

TEST_CASE("whatever a handler throws fails its invocation, and not the process")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        served<Policy> function(service, throw_what_the_event_says);
        const auto type_of = [&](std::string_view event) {
            const auto reply = block_on(service.invoke(event));
            CHECK(reply.how == lambda_reply::kind::error);
            CHECK(!reply.xray_cause.empty());
            return reply.error_type;
        };
        CHECK(type_of("runtime_error") == "Function.RuntimeError");
        CHECK(type_of("int") == "Function.Int");
        CHECK(type_of("own") == "Function.Refused");
        CHECK(type_of("said") == "Function.OrderRefused");
        const auto nested = block_on(service.invoke("nested"));
        CHECK(nested.body.find("\"outer\"") != std::string::npos);
        CHECK(nested.body.find("\"inner\"") != std::string::npos);
        CHECK(block_on(service.invoke("")).body == "none");
        CHECK(function.stop() == 0);
        CHECK(service.violations().empty());
    });
}

TEST_CASE("a handler that throws where it is called is like one that throws later")
{
    lambda_service service;
    const auto handler = [](lambda::invocation&) -> asio::awaitable<std::string> {
        throw std::invalid_argument("no coroutine");
    };
    served<lambda::context_kept> function(service, handler);
    CHECK(block_on(service.invoke("")).error_type == "Function.InvalidArgument");
}

asio::awaitable<std::string> id_here()
{
    const auto in = co_await lambda::this_invocation();
    co_return std::string(in.id());
}

asio::awaitable<std::string> id_by_every_way(lambda::invocation& in)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    std::set<std::string> ids{std::string(in.id())};
    ids.insert(co_await id_here());
    ids.insert(co_await asio::co_spawn(executor, id_here(), asio::use_awaitable));
    ids.insert(
        co_await asio::co_spawn(asio::make_strand(executor), id_here(), asio::use_awaitable));
    const auto in_scope = [&](loopsafe::task_scope& tasks) -> asio::awaitable<void> {
        tasks.start([&]() -> asio::awaitable<void> { ids.insert(co_await id_here()); });
        ids.insert(co_await id_here());
    };
    co_await loopsafe::with_tasks(in_scope);
    auto spawned = std::make_shared<std::string>();
    asio::steady_timer done(executor, asio::steady_timer::time_point::max());
    const auto task = [spawned, &done]() -> asio::awaitable<void> {
        *spawned = co_await id_here();
        done.cancel();
    };
    loopsafe::spawn(executor, task());
    co_await done.async_wait(asio::as_tuple(asio::use_awaitable));
    ids.insert(*spawned);
    CHECK(ids.size() == 1);
    co_return *ids.begin();
}

TEST_CASE("coroutines of an invocation know it, whichever way they were started")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        served<Policy> function(service, id_by_every_way);
        for (const std::string id : {"one", "two", "three"})
            CHECK(block_on(service.invoke("", {.id = id})).body == id);
        CHECK(function.stop() == 0);
    });
}

TEST_CASE("outside of an invocation there is none, and the error says so")
{
    try {
        block_on(lambda::this_invocation());
        FAIL("there is one");
    } catch (const boost::system::system_error& e) {
        CHECK(e.code() == lambda::errc::no_invocation);
    }
}

using shared_timer = std::shared_ptr<std::optional<asio::steady_timer>>;

asio::awaitable<void> note_id_when(shared_timer held, std::vector<std::string>& seen)
{
    co_await (*held)->async_wait(asio::as_tuple(asio::use_awaitable));
    seen.push_back(co_await id_here());
}

TEST_CASE("a task that outlives its invocation still belongs to it, and to no other")
{
    lambda_service service;
    std::vector<std::string> seen;
    const auto held = std::make_shared<std::optional<asio::steady_timer>>();
    const auto handler = [&](lambda::invocation& in) -> asio::awaitable<std::string> {
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        if (!*held) {
            held->emplace(executor, asio::steady_timer::time_point::max());
            loopsafe::spawn(executor, note_id_when(held, seen));
            co_await asio::post(asio::use_awaitable);
        } else {
            (*held)->cancel();
            co_await asio::post(asio::use_awaitable);
            co_await asio::post(asio::use_awaitable);
        }
        seen.push_back(std::string(in.id()));
        co_return "";
    };
    served<lambda::context_kept> function(service, handler);
    CHECK(block_on(service.invoke("", {.id = "one"})).ok());
    CHECK(block_on(service.invoke("", {.id = "two"})).ok());
    CHECK(function.stop() == 0);
    CHECK(seen == std::vector<std::string>{"one", "one", "two"});
    held->reset();
}

TEST_CASE("a context is kept, or made for each invocation, as the policy says")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        const auto handler = [](lambda::invocation&) -> asio::awaitable<std::string> {
            const loopsafe::context_ref here = co_await loopsafe::this_context();
            co_return std::to_string(here.id().number());
        };
        served<Policy> function(service, handler);
        std::set<std::string> contexts;
        for (int i = 0; i < 5; ++i)
            contexts.insert(block_on(service.invoke("")).body);
        CHECK(contexts.size() == (std::same_as<Policy, lambda::context_per_invocation> ? 5u : 1u));
        CHECK(function.stop() == 0);
    });
}

asio::awaitable<void> count_its_end(std::atomic<int>& ended)
{
    struct counted {
        std::atomic<int>& n;
        ~counted() { ++n; }
    };
    const counted at_the_end{ended};
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

TEST_CASE("with a context per invocation, what it leaves behind has ended before its answer")
{
    lambda_service service;
    std::atomic<int> ended{0};
    const auto handler = [&](lambda::invocation&) -> asio::awaitable<std::string> {
        const auto executor = co_await asio::this_coro::executor;
        loopsafe::spawn(executor, count_its_end(ended));
        asio::co_spawn(executor, count_its_end(ended), asio::detached);
        co_await asio::post(asio::use_awaitable);
        co_return "";
    };
    served<lambda::context_per_invocation> function(service, handler);
    for (int i = 1; i <= 3; ++i) {
        CHECK(block_on(service.invoke("")).ok());
        CHECK(ended == 2 * i);
    }
    CHECK(function.stop() == 0);
}

// Does not end before it is cancelled; and then, if it is stubborn.
template <bool Stubborn>
asio::awaitable<std::string> never_end(lambda::invocation& in)
{
    if (in.event() != "hang")
        co_return std::string(in.event());
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             asio::steady_timer::time_point::max());
    do {
        co_await asio::this_coro::throw_if_cancelled(false);
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    } while (Stubborn);
    throw boost::system::system_error(asio::error::operation_aborted);
}

TEST_CASE("a handler that does not end in time is cancelled, and there is an answer")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        served<Policy> function(service, never_end<false>);
        const auto reply = block_on(service.invoke("hang", {.timeout = 60s, .deadline = "100"}));
        CHECK(reply.how == lambda_reply::kind::error);
        CHECK(reply.body.find("Runtime.HandlerTimeout") != std::string::npos);
        CHECK(block_on(service.invoke("on")).body == "on");
        CHECK(function.stop() == 0);
        CHECK(service.violations().empty());
    });
}

TEST_CASE("a handler that ignores its cancellation is answered for, and left to itself")
{
    for_each_policy([]<class Policy>() {
        lambda_service service({.concurrency = at_once()});
        served<Policy> function(service, never_end<true>, {.stop_within = 20ms});
        const auto reply = block_on(service.invoke("hang", {.timeout = 60s, .deadline = "100"}));
        CHECK(reply.how == lambda_reply::kind::error);
        CHECK(reply.body.find("Runtime.HandlerTimeout") != std::string::npos);
        CHECK(block_on(service.invoke("on")).body == "on");
        CHECK(function.stop() == 0);
    });
}

TEST_CASE("without a deadline a handler takes the time that it takes")
{
    lambda_service service;
    const auto handler = [](lambda::invocation& in) -> asio::awaitable<std::string> {
        CHECK(!in.due());
        co_return in.left() == std::chrono::nanoseconds::max() ? "for ever" : "not long";
    };
    served<lambda::context_kept> function(service, handler);
    CHECK(block_on(service.invoke("", {.deadline = "none"})).body == "for ever");
    CHECK(block_on(service.invoke("", {.deadline = "soon"})).body == "for ever");
}

TEST_CASE("a deadline is taken from the wall clock once, and is not more than Lambda allows")
{
    const std::chrono::system_clock::time_point wall(1'700'000'000'000ms);
    const std::chrono::steady_clock::time_point now(5s);
    using lambda::detail::due_at;
    CHECK(due_at("1700000003000", wall, now) == now + 3s);
    CHECK(due_at("1699999999999", wall, now) == now);
    CHECK(due_at("1800000000000", wall, now) == now + 15min);
    CHECK(due_at("600000", wall, now) == now + 10min); // cargo-lambda's constant
    CHECK(!due_at("", wall, now));
    CHECK(!due_at("-1", wall, now));
    CHECK(!due_at("12 ", wall, now));
    CHECK(!due_at("99999999999999999999", wall, now));
}

TEST_CASE("before each event the pools of the process are told that it may have been frozen")
{
    for_each_policy([]<class Policy>() {
        using loopsafe::testing::connect_script;
        lambda_service service({.concurrency = at_once()});
        const auto script = std::make_shared<connect_script>();
        using pool_type = loopsafe::connection_pool<loopsafe::testing::scripted_connector,
                                                    loopsafe::per_context_pool>;
        pool_type pool{loopsafe::testing::scripted_connector(script),
                       {.probe_after = loopsafe::never}};
        const auto handler = [&](lambda::invocation&) -> asio::awaitable<std::string> {
            for (int i = 0; i < 2; ++i) {
                auto lease = co_await pool.acquire();
                lease.release();
            }
            co_return "";
        };
        served<Policy> function(service, handler);
        for (int i = 0; i < 3; ++i)
            CHECK(block_on(service.invoke("")).ok());
        CHECK(function.stop() == 0);
        const bool fresh = std::same_as<Policy, lambda::context_per_invocation>;
        CHECK(script->probes == (fresh || at_once() > 1 ? 0 : 2));
        CHECK(script->opened == (fresh ? 3 : 1));
    });
}

TEST_CASE("stop() ends a runtime that waits for an event, and one that is at work")
{
    for_each_policy([]<class Policy>() {
        for (const bool at_work : {false, true}) {
            lambda_service service({.concurrency = at_once()});
            served<Policy> function(service, never_end<false>);
            std::optional<testing::lambda_invocation> under_way;
            block_on(service.ready());
            if (at_work)
                under_way.emplace(service.begin("hang", {.timeout = 60s}));
            CHECK(function.stop() == 0);
        }
    });
}

TEST_CASE("SIGTERM ends a runtime that has registered an extension, at work or not")
{
    for_each_policy([]<class Policy>() {
        for (const bool at_work : {false, true}) {
            lambda_service service({.concurrency = at_once()});
            std::promise<void> begun;
            const auto handler = [&](lambda::invocation& in) -> asio::awaitable<std::string> {
                if (in.event() == "hang")
                    begun.set_value();
                return never_end<false>(in);
            };
            served<Policy> function(service, handler, {}, true);
            CHECK(block_on(service.invoke("on")).body == "on");
            std::optional<testing::lambda_invocation> under_way;
            if (at_work) {
                under_way.emplace(service.begin("hang", {.timeout = 60s}));
                begun.get_future().wait();
            } else {
                block_on(service.ready());
            }
            CHECK(service.requests(at::extension_register) == 1);
            std::raise(SIGTERM);
            CHECK(function.end() == 0);
            CHECK(service.violations().empty());
        }
    });
}

// What a lifespan did, in order.
struct told {
    std::mutex mutex;
    std::vector<std::string> all;

    loopsafe::lifespan::hook says(std::string text)
    {
        return [this, text]() -> asio::awaitable<void> {
            const std::lock_guard lock(mutex);
            all.push_back(text);
            co_return;
        };
    }
};

TEST_CASE("what a function starts is started before its first event, and stopped at the end")
{
    for_each_policy([]<class Policy>() {
        for (const auto mode :
             {loopsafe::lifespan_mode::once_per_context, loopsafe::lifespan_mode::per_invocation}) {
            told steps;
            loopsafe::lifespan app(mode);
            app.add("a", steps.says("a"), steps.says("-a")).add("b", steps.says("b"), {});
            lambda_service service({.concurrency = at_once()});
            const auto contexts =
                mode == loopsafe::lifespan_mode::per_invocation ? at_once() : std::size_t{1};
            served<Policy> function(service, echo, {.contexts = contexts, .lifespan = &app});
            CHECK(block_on(service.invoke("1")).body == "1");
            CHECK(block_on(service.invoke("2")).body == "2");
            CHECK(function.stop() == 0);
            const bool often = mode == loopsafe::lifespan_mode::per_invocation ||
                               std::same_as<Policy, lambda::context_per_invocation>;
            std::vector<std::string> expected{"a", "b", "-a"};
            if (often)
                expected.insert(expected.end(), {"a", "b", "-a"});
            std::string all;
            for (const auto& each : steps.all)
                all += each + " ";
            CAPTURE(all);
            CAPTURE(function.log().all().size());
            CHECK(steps.all == expected);
        }
    });
}

TEST_CASE(
    "a start that fails is reported, and ends the runtime, but around invocations it fails these")
{
    const auto fails = []() -> asio::awaitable<void> {
        throw std::runtime_error("no database");
        co_return;
    };
    {
        loopsafe::lifespan app;
        app.add("database", fails);
        lambda_service service;
        served<lambda::context_kept> function(service, echo, {.lifespan = &app});
        const auto reply = block_on(service.invoke("1", {.timeout = 60s}));
        CHECK(reply.how == lambda_reply::kind::failed_init);
        CHECK(reply.body.find("no database") != std::string::npos);
        CHECK(function.end() == 1);
    }
    {
        loopsafe::lifespan app;
        app.add("database", fails);
        lambda_service service;
        served<lambda::context_per_invocation> function(service, echo, {.lifespan = &app});
        CHECK(block_on(service.invoke("1")).body.find("no database") != std::string::npos);
        CHECK(!block_on(service.invoke("2")).ok());
        CHECK(function.stop() == 0);
    }
}

TEST_CASE("a lifespan around each of several invocations on one context is refused")
{
    loopsafe::lifespan app(loopsafe::lifespan_mode::per_invocation);
    const variable most("AWS_LAMBDA_MAX_CONCURRENCY", "2");
    lambda_service service({.concurrency = 2});
    {
        served<lambda::concurrent> function(service, echo, {.lifespan = &app});
        CHECK(function.end() == 1);
        CHECK(function.log().has("2 invocations at once run on 1 contexts"));
    }
    served<lambda::concurrent> function(service, echo, {.contexts = 2, .lifespan = &app});
    CHECK(block_on(service.invoke("1")).body == "1");
    CHECK(function.stop() == 0);
}

TEST_CASE("a snapshot is taken after the start, and hooks run around it")
{
    for_each_policy([]<class Policy>() {
        const variable kind("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start");
        lambda_service service({.concurrency = at_once(), .snap_start = true});
        told steps;
        const auto note = [&steps](std::string text) {
            return [&steps, text] { steps.all.push_back(text); };
        };
        lambda::runtime_options options;
        options.snapshot_hooks = {{note("before a"), note("after a")},
                                  {note("before b"), note("after b")}};
        served<Policy> function(service, echo, options);
        block_on(service.prepared());
        CHECK(block_on(service.restore()).ok());
        CHECK(block_on(service.invoke("1")).body == "1");
        CHECK(function.stop() == 0);
        CHECK(steps.all == std::vector<std::string>{"before b", "before a", "after a", "after b"});
        CHECK(service.violations().empty());
    });
}

TEST_CASE("a hook around a snapshot that fails ends the runtime, and says which")
{
    const variable kind("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start");
    const auto fails = [] { throw std::runtime_error("no entropy"); };
    {
        lambda_service service({.snap_start = true});
        lambda::runtime_options options;
        options.snapshot_hooks = {{fails, {}}};
        served<lambda::context_kept> function(service, echo, options);
        CHECK(function.end() == 64);
        CHECK(function.log().has("a hook before the snapshot has failed: "));
        CHECK(function.log().has("no entropy"));
        CHECK(service.requests(at::init_error) == 1);
    }
    {
        lambda_service service({.snap_start = true});
        lambda::runtime_options options;
        options.snapshot_hooks = {{{}, fails}};
        served<lambda::context_per_invocation> function(service, echo, options);
        block_on(service.prepared());
        const auto reply = block_on(service.restore());
        CHECK(reply.body.find("no entropy") != std::string::npos);
        CHECK(reply.error_type == "Runtime.AfterRestoreError");
        CHECK(function.end() == 65);
        CHECK(function.log().has("a hook after the restore has failed: "));
    }
}

TEST_CASE("a runtime that nobody has started as a function says so")
{
    log_lines log;
    CHECK(lambda::serve(echo, {.log = log.writer()}) == 1);
    CHECK(log.has("AWS_LAMBDA_RUNTIME_API is not set"));
    CHECK(lambda::serve(echo, {.endpoint = "127.0.0.1:no", .log = log.writer()}) == 1);
    CHECK(log.has("\"127.0.0.1:no\" is not host:port"));
    CHECK(lambda::serve(echo, {.endpoint = "127.0.0.1:65536", .log = log.writer()}) == 1);
    CHECK(log.has("\"127.0.0.1:65536\" is not host:port (runtime_options::endpoint)"));
    const variable wrong("AWS_LAMBDA_RUNTIME_API", "nowhere:");
    CHECK(lambda::serve(echo, {.log = log.writer()}) == 1);
    CHECK(log.has("\"nowhere:\" is not host:port (AWS_LAMBDA_RUNTIME_API)"));
}

TEST_CASE("64 invocations at once on two contexts: each gets its own answer")
{
    const variable most("AWS_LAMBDA_MAX_CONCURRENCY", "64");
    lambda_service service({.concurrency = 64, .invocation_ids = true});
    const auto handler = [](lambda::invocation& in) -> asio::awaitable<std::string> {
        const auto executor = co_await asio::this_coro::executor;
        for (int i = 0; i < 3; ++i)
            co_await asio::post(executor, asio::use_awaitable);
        const auto me = co_await lambda::this_invocation();
        CHECK(me.id() == in.id());
        co_return std::string(me.id())
            .append("/")
            .append(me.tenant())
            .append("/")
            .append(me.event());
    };
    served<lambda::concurrent> function(service, handler, {.contexts = 2});
    constexpr int each = 40;
    int wrong = 0;
    const auto caller = [&](int number) -> asio::awaitable<void> {
        for (int i = 0; i < each; ++i) {
            const auto id = std::to_string(number) + "-" + std::to_string(i);
            const auto tenant = "t" + std::to_string(number);
            const auto reply =
                co_await service.invoke(id, {.timeout = 60s, .tenant = tenant, .id = id});
            wrong += reply.body != id + "/" + tenant + "/" + id;
        }
    };
    const auto all = [&](loopsafe::task_scope& tasks) -> asio::awaitable<void> {
        for (int number = 0; number < 64; ++number)
            tasks.start([&caller, number] { return caller(number); });
        co_return;
    };
    block_on(loopsafe::with_tasks(all));
    CHECK(wrong == 0);
    CHECK(function.stop() == 0);
    CHECK(service.violations().empty());
}

} // namespace

} // namespace runtime_tests
