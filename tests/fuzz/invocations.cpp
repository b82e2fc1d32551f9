// SPDX-License-Identifier: BSL-1.0
// Whatever the Runtime API answers, however it is cut, and wherever it ends: no invocation is
// answered twice, or with the response of another, none is asked for before the last has its
// answer, and the runtime serves or ends with an exit code and a reason. One thread, and a machine
// without a network, whose time the program moves, so that a program runs the same each time.

#include "invocation_service.hpp"
#include "left_over.hpp"
#include "machine.hpp"
#include "program.hpp"

#include <loopsafe/lambda.hpp>
#include <loopsafe/scopes.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace invocations_fuzz;
namespace asio = boost::asio;
namespace lambda = loopsafe::lambda;
using namespace std::chrono_literals;

class world {
public:
    explicit world(program& steps)
        : steps_(steps), how_(steps.next()), service_(steps, is_concurrent() ? 2 : 1)
    {
    }

    void run()
    {
        const bool snap = how_ / 32 % 4 == 3;
        set("AWS_LAMBDA_INITIALIZATION_TYPE", snap ? "snap-start" : "");
        set("AWS_LAMBDA_MAX_CONCURRENCY", is_concurrent() ? "2" : "");
        switch (how_ % 4) {
        case 0:
        case 1: serve<lambda::context_kept>(); break;
        case 2: serve<lambda::context_per_invocation>(); break;
        default: serve<lambda::concurrent>();
        }
        require(frames_ == 0, "a coroutine is left");
    }

private:
    static void set(const char* name, const char* value) { ::setenv(name, value, 1); }

    bool is_concurrent() const { return how_ % 4 == 3; }

    template <class Policy>
    void serve()
    {
        lambda::runtime_options options;
        options.endpoint = "127.0.0.1:1";
        options.ends_on_sigterm = how_ / 8 % 2 != 0;
        unsigned lines = 0;
        options.log = [&](std::string_view line) {
            ++lines;
            steps_.tell("log: ", line);
        };
        loopsafe::lifespan app;
        if (how_ / 16 % 2 != 0) {
            app.add("app", [this] { return start(); }, [this] { return start(); });
            options.lifespan = &app;
            if (std::same_as<Policy, lambda::context_per_invocation> && how_ >= 180)
                service_.starts_fail();
        }
        options.snapshot_hooks = {{[this] { hook(); }, [this] { hook(); }}};
        lambda::basic_runtime<Policy> runtime(options);
        machine::when_quiet = [&](int timeout) {
            act(timeout, [&] {
                service_.stopped();
                runtime.stop();
            });
        };
        machine::when_connecting = [this](int other) { return service_.connected(other); };
        int code = 0;
        if (how_ / 4 % 2 == 0)
            code = runtime.serve([this](lambda::invocation& in) { return answer(in); });
        else
            code = runtime.serve(
                lambda::streamed([this](lambda::invocation& in, lambda::response_writer& out) {
                    return write(in, out);
                }));
        steps_.tell("exit code ", code);
        require(code != 0 || service_.is_stopped(), "it ends, and nobody has stopped it");
        require(code == 0 || code == 1 || code == 64 || code == 65, "an unknown exit code");
        require(code == 0 || lines != 0, "it ends, and does not say why");
    }

    template <class Stop>
    void act(int timeout, const Stop& stop)
    {
        service_.read_all();
        if (steps_.more()) {
            const auto what = steps_.below(17);
            if (what == 16 && !service_.is_stopped() && steps_.below(4) == 0) {
                steps_.tell("stop");
                stop();
            } else {
                service_.act(what % 16, timeout);
            }
            return;
        }
        require(++turns_ < 1000, "it does not end");
        if (!service_.is_stopped())
            stop();
        else if (!service_.finish())
            service_.pass(timeout, 5);
    }

    void hook()
    {
        steps_.tell("a hook");
        if (how_ >= 200)
            throw std::runtime_error("no hook");
    }

    asio::awaitable<void> start()
    {
        const counted alive(frames_);
        if (how_ >= 220)
            throw std::runtime_error("no app");
        if (how_ >= 180)
            co_await wait(false);
    }

    asio::awaitable<void> wait(bool ignores)
    {
        const counted alive(frames_);
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        if (ignores)
            co_await asio::this_coro::throw_if_cancelled(false);
        do
            co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        while (ignores);
    }

    void take(const lambda::invocation& in)
    {
        service_.taken(in.id(), lambda::detail::runtime_api::nonce_of(in), in.event());
    }

    // What events of these kinds want.
    asio::awaitable<void> behave(char kind)
    {
        const counted alive(frames_);
        if (kind == 't')
            throw std::runtime_error("it broke");
        if (kind == 'p')
            co_await asio::post(asio::use_awaitable);
        if (kind == 'w' || kind == 'i')
            co_await wait(kind == 'i');
        if (kind == 's')
            loopsafe::spawn(co_await asio::this_coro::executor, wait(false));
    }

    static char kind_of(const lambda::invocation& in)
    {
        return in.event().empty() ? 'e' : in.event().front();
    }

    asio::awaitable<std::string> answer(lambda::invocation& in)
    {
        const counted alive(frames_);
        take(in);
        co_await behave(kind_of(in));
        co_return response_to(in.id(), in.event());
    }

    asio::awaitable<void> write(lambda::invocation& in, lambda::response_writer& out)
    {
        const counted alive(frames_);
        take(in);
        const auto text = response_to(in.id(), in.event());
        const auto part = text.size() / 2;
        if (kind_of(in) != 'e')
            co_await out.write(std::string_view(text).substr(0, part));
        co_await behave(kind_of(in));
        co_await out.write(kind_of(in) != 'e' ? std::string_view(text).substr(part)
                                              : std::string_view(text));
    }

    program& steps_;
    const unsigned how_;
    service service_;
    int frames_ = 0;
    int turns_ = 0;
};

void run(const std::uint8_t* data, std::size_t size)
{
    program steps(data, size);
    world(steps).run();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static const bool warm = [] { // what signals need stays
        const std::uint8_t with_signals = 8;
        run(&with_signals, 1);
        return true;
    }();
    require(warm, "it has run once");
    const auto before = open_among(64);
    run(data, size);
    require(open_among(64) == before, "a descriptor is left");
    return 0;
}
