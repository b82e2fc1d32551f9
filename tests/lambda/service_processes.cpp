// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it forks beside threads.
#include "raw_runtime.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <memory>
#include <optional>
#include <poll.h>
#include <string>
#include <support/descriptors.hpp>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

namespace service_processes_tests {

namespace {

using namespace lambda_support;
using namespace std::chrono_literals;
using loopsafe::testing::function_exit;
using loopsafe::testing::function_options;
using loopsafe::testing::function_process;

// A runtime of a few lines, whose events say what to do.
constexpr const char* script = R"(
import http.client, os, signal, sys, time
c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def call(method, path, fields={}, body=None):
    c.request(method, path, body, fields)
    answer = c.getresponse()
    return answer, answer.read().decode()
def watch(identifier):
    h = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    h.request("GET", "/2020-01-01/extension/event/next", None, {"Lambda-Extension-Identifier": identifier})
    return h
def polite(*_):
    print("good-bye", flush=True)
    os._exit(7)
for word in sys.argv[1:]:
    if word == "extension":
        answer, _ = call("POST", "/2020-01-01/extension/register", {"Lambda-Extension-Name": "x"}, '{"events":[]}')
        held = watch(answer.getheader("Lambda-Extension-Identifier"))
        signal.signal(signal.SIGTERM, polite)
    if word == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if word == "init":
        sys.exit(5)
while True:
    event, text = call("GET", "/2018-06-01/runtime/invocation/next")
    if text.startswith("exit "):
        sys.exit(int(text[5:]))
    if text == "signal":
        os.kill(os.getpid(), signal.SIGABRT)
    if text == "hang":
        time.sleep(600)
    if text == "environment":
        text = "\n".join(sorted(os.environ))
    if text.startswith("print "):
        print(text[6:], file=sys.stderr, flush=True)
    call("POST", "/2018-06-01/runtime/invocation/" + event.getheader("Lambda-Runtime-Aws-Request-Id") + "/response",
         {}, text)
)";

function_options python(std::vector<std::string> words = {})
{
    words.insert(words.begin(), {"python3", "-c", script});
    return {.program = "/usr/bin/env", .arguments = std::move(words)};
}

char state_of(pid_t pid)
{
    return loopsafe::testing::detail::process_state(pid);
}

// Waits for its end, whose child it may be.
void await_end(pid_t pid)
{
    const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (fd < 0)
        return;
    pollfd end{fd, POLLIN, 0};
    CHECK(::poll(&end, 1, 20000) == 1);
    ::close(fd);
}

TEST_CASE("a process serves as the function, with the environment that AWS gives")
{
    lambda_service service({.concurrency = 1});
    auto options = python();
    options.environment = {{"OWN", "1"}};
    const auto function = service.start(options);
    CHECK(block_on(service.invoke("\"hello\"")).body == "\"hello\"");
    const auto names = "\n" + block_on(service.invoke("environment")).body + "\n";
    for (const char* name :
         {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME",
          "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_RUNTIME_API",
          "AWS_REGION", "LAMBDA_TASK_ROOT", "_HANDLER", "OWN"})
        CHECK(names.find("\n" + std::string(name) + "\n") != names.npos);
    CHECK(names.find("\nHOME\n") == names.npos);
    CHECK(names.find("\nAWS_LAMBDA_MAX_CONCURRENCY\n") == names.npos);
    CHECK(kinds(service) == violations{});
    function.kill();
    CHECK(block_on(function.exit()) == function_exit{-1, SIGKILL});
    function.kill(); // nobody
}

TEST_CASE("what a process writes can be waited for")
{
    lambda_service service;
    const auto function = service.start(python());
    auto call = service.begin("print something");
    CHECK(block_on(function.says("something")));
    CHECK(block_on(call.reply()).how == how::response);
    CHECK(block_on(service.invoke("exit 0")).how == how::crashed);
    CHECK_FALSE(block_on(function.says("anything else")));
    CHECK(function.output() == "something\n");
}

TEST_CASE("a process that ends while it works has crashed, and another goes on")
{
    lambda_service service;
    for (const auto& [event, exit, text] :
         {std::tuple("exit 3", function_exit{3, 0}, "exit status 3"),
          std::tuple("signal", function_exit{-1, SIGABRT}, "signal 6")}) {
        const auto function = service.start(python());
        const auto reply = block_on(service.invoke(event));
        CHECK(reply.how == how::crashed);
        CHECK(reply.error_type == "Runtime.ExitError");
        CHECK(reply.body == "{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"RequestId: " +
                                reply.id + " Error: Runtime exited with error: " + text + "\"}");
        CHECK(block_on(function.exit()) == exit);
    }
    const auto another = service.start(python());
    CHECK(block_on(service.invoke("1")).body == "1");
}

TEST_CASE("a process that cannot be watched is not started")
{
    lambda_service service;
    const int first = ::dup(0);
    const int second = ::dup(0);
    const descriptors_exhausted meanwhile;
    ::close(first); // for the pipe, and no more
    ::close(second);
    CHECK_THROWS_AS(service.start(python()), boost::system::system_error);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
    CHECK(errno == ECHILD);
}

TEST_CASE("a process that is started beside another takes its place")
{
    lambda_service service;
    const auto first = service.start(python());
    block_on(service.ready());
    first.kill();
    const auto second = service.start(python());
    CHECK(block_on(service.invoke("1")).body == "1");
    CHECK(block_on(first.exit()) == function_exit{-1, SIGKILL});
    CHECK(block_on(service.invoke("2")).body == "2");
    CHECK(kinds(service) == violations{});
}

TEST_CASE("a process that ends while it starts has failed to start")
{
    lambda_service service;
    auto call = service.begin("{}");
    const auto function = service.start(python({"init"}));
    CHECK(block_on(call.reply()).how == how::failed_init);
    CHECK(block_on(function.exit()) == function_exit{5, 0});
    const auto none = service.start({.program = "/there/is/no/such/program"});
    CHECK(block_on(none.exit()) == function_exit{127, 0});
}

TEST_CASE("a process is frozen once the function is idle, until its next event")
{
    lambda_service service;
    const auto function = service.start(python());
    for (int i = 0; i < 5; ++i) {
        CHECK(block_on(service.invoke("1")).body == "1");
        CHECK(block_on(service.freeze(function.pid())));
        CHECK(state_of(function.pid()) == 'T');
        CHECK(block_on(service.invoke("2")).body == "2");
    }
    CHECK(kinds(service) == violations{});
}

TEST_CASE("a process that works is not frozen before it has answered and asked again")
{
    lambda_service service;
    const auto function = service.start(python());
    CHECK(block_on(service.invoke("1")).body == "1");
    auto call = service.begin("hang");
    while (service.requests(loopsafe::testing::at::next) < 2) {}
    block_on([](lambda_service& of, pid_t pid) -> asio::awaitable<void> {
        asio::steady_timer soon(co_await asio::this_coro::executor, 0s);
        asio::cancellation_signal stop;
        bool frozen = false;
        asio::co_spawn(soon.get_executor(), of.freeze(pid),
                       asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e, bool) {
                           frozen = e == nullptr;
                       }));
        co_await soon.async_wait(asio::use_awaitable);
        stop.emit(asio::cancellation_type::terminal);
        co_await asio::post(asio::use_awaitable);
        CHECK_FALSE(frozen);
    }(service, function.pid()));
    CHECK(state_of(function.pid()) != 'T');
    function.kill();
    CHECK(block_on(call.reply()).how == how::crashed);
    CHECK_FALSE(block_on(service.freeze(function.pid()))); // there is no such process
}

TEST_CASE("without an extension a process gets no SIGTERM")
{
    lambda_service service;
    const auto function = service.start(python());
    block_on(service.ready());
    const auto end = block_on(service.terminate(function.pid(), 10s));
    CHECK_FALSE(end.asked);
    CHECK(end.killed);
    CHECK(block_on(function.exit()) == function_exit{-1, SIGKILL});
}

TEST_CASE("with an extension it gets one, frozen or not, and has its time to end")
{
    for (const bool frozen : {false, true}) {
        lambda_service service;
        const auto function = service.start(python({"extension"}));
        block_on(service.ready());
        if (frozen)
            CHECK(block_on(service.freeze(function.pid())));
        const auto end = block_on(service.terminate(function.pid(), 20s));
        CHECK(end.asked);
        CHECK_FALSE(end.killed);
        CHECK(end.took < 20s);
        CHECK(block_on(function.exit()) == function_exit{7, 0});
        CHECK(function.output() == "good-bye\n");
    }
}

TEST_CASE("a process may have for ever to end")
{
    lambda_service service;
    const auto function = service.start(python({"extension"}));
    block_on(service.ready());
    const auto end = block_on(service.terminate(function.pid(), loopsafe::never));
    CHECK_FALSE(end.killed);
    CHECK(block_on(function.exit()) == function_exit{7, 0});
}

TEST_CASE("a process that does not end in time is killed")
{
    lambda_service service;
    const auto function = service.start(python({"extension", "deaf"}));
    block_on(service.ready());
    const auto end = block_on(service.terminate(function.pid(), 10ms));
    CHECK(end.asked);
    CHECK(end.killed);
    CHECK(end.took >= 10ms);
    CHECK(block_on(function.exit()) == function_exit{-1, SIGKILL});
}

TEST_CASE("an extension that asked for it is told of the end")
{
    lambda_service service({.external_extensions = {"agent"}});
    raw_runtime agent(service);
    const auto entered =
        agent.call("POST", std::string(extension_path) + "register",
                   "Lambda-Extension-Name: agent\r\n", R"({"events":["SHUTDOWN"]})");
    const auto function = service.start(python());
    agent.ask("GET", std::string(extension_path) + "event/next",
              "Lambda-Extension-Identifier: " + entered.field("Lambda-Extension-Identifier") +
                  "\r\n");
    block_on(service.ready());
    CHECK(block_on(service.terminate(function.pid())).asked);
    CHECK(agent.listen().body.starts_with(
        R"({"eventType":"SHUTDOWN","shutdownReason":"SPINDOWN","deadlineMs":)"));
}

TEST_CASE("a process ends with its handle, and with its service")
{
    std::optional<lambda_service> service(std::in_place);
    pid_t first = 0;
    {
        const auto function = service->start(python());
        first = function.pid();
    }
    await_end(first);
    auto second = service->start(python());
    service.reset();
    CHECK(block_on(second.exit()) == function_exit{-1, SIGKILL});
    CHECK(::kill(second.pid(), 0) == -1);
}

TEST_CASE("a process ends with the test's own, however that ends")
{
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    const pid_t test = ::fork();
    if (test == 0) {
        lambda_service service;
        const auto function = service.start( // it would not notice that its service has gone
            {.program = "/bin/sh", .arguments = {"-c", "echo up; exec sleep 600"}});
        block_on(function.says("up"));
        const auto pid = function.pid();
        [[maybe_unused]] const auto said = ::write(pipe[1], &pid, sizeof pid);
        ::pause();
        ::_exit(0);
    }
    pid_t function = 0;
    REQUIRE(::read(pipe[0], &function, sizeof function) == sizeof function);
    CHECK(::kill(function, 0) == 0);
    ::kill(test, SIGKILL);
    ::waitpid(test, nullptr, 0);
    await_end(function);
    ::close(pipe[0]);
    ::close(pipe[1]);
}

} // namespace

} // namespace service_processes_tests
