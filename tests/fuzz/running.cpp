// SPDX-License-Identifier: BSL-1.0
// Programs over run, runner and spawn: mains and tasks that wait, throw, spawn, replace themselves,
// hold a lease, ignore their cancellation, stop their context or destroy their runner, beside
// handlers that throw. Each coroutine takes its next step from the same bytes when its turn comes.
// Nobody waits who should have been cancelled; what run() returns or throws is what has happened;
// nothing is left over. One thread and no time, so that a program runs the same each time.

#include "program.hpp"
#include "quiet.hpp"
#include "timers.hpp"

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/run/spawn.hpp>
#include <loopsafe/runner.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <utility>

namespace {

namespace asio = boost::asio;
using loopsafe::errc;
using loopsafe::testing::connect_script;
using loopsafe::testing::scripted_connector;
using pool_type = loopsafe::connection_pool<scripted_connector, loopsafe::carry_over_pool>;

enum class by { main, task, handler };

struct oops { // what the program's own functions throw
    by whom;
    int number;
};

class world {
    // A coroutine of the program.
    struct actor {
        int number;
        by who;
        bool once; // of run(), and not of the runner
        bool alive = false;
        bool goes_on = false;  // after an error
        bool hardened = false; // it has seen to it that a cancellation does not end it
        bool replaces_itself = false;
        bool woken = false;
        asio::steady_timer* waits = nullptr;
    };

public:
    explicit world(program& steps) : steps_(steps)
    {
        when_quiet = [this] { wake_somebody(); };
    }
    world(const world&) = delete;
    ~world() { when_quiet = nullptr; }

    void run()
    {
        for (int n = 0; steps_.more() && n != 50; ++n)
            act(steps_.below(7));
        steps_.tell("the end");
        end_runner();
        require(alive(by::main) + alive(by::task) == 0, "a coroutine is left");
        const auto left = pool_.stats();
        require(left.leased + left.connecting + left.waiting == 0, "a lease is left");
        pool_.close();
        require(script_->open() == 0, "a connection is left");
    }

private:
    void act(unsigned what)
    {
        switch (what) {
        case 0:
        case 1: run_once(); break;
        case 2:
            if (runner_ == nullptr) {
                steps_.tell("a new runner");
                runner_ = std::make_unique<loopsafe::runner>();
            }
            break;
        case 3:
        case 4: run_on_runner(); break;
        case 5:
            if (runner_ != nullptr) {
                steps_.tell("close the runner");
                end_tasks([this] { runner_->close(); });
            }
            break;
        case 6:
            if (runner_ != nullptr && steps_.below(2) != 0)
                spawn(runner_->get_executor());
            else
                end_runner();
            break;
        default: break;
        }
    }

    // What is run ---------------------------------------------------------------------------------

    void run_once()
    {
        steps_.tell("run:");
        once_ = true;
        const program::inner deeper(steps_);
        judge([this](actor& main) { loopsafe::run([&] { return play(main); }); });
        require(alive(by::main) + alive(by::task) == 0, "a coroutine is left after run()");
        errors_of_tasks().clear();
        once_ = ending_ = false;
    }

    void run_on_runner()
    {
        if (runner_ == nullptr)
            return;
        steps_.tell("run on the runner:");
        const program::inner deeper(steps_);
        judge([this](actor& main) { runner_->run([&] { return play(main); }); });
        require(alive(by::main) == 0, "main is left after run()");
        if (runner_ == nullptr) { // it was destroyed by what it ran, with all of its tasks
            require(alive(by::task) == 0, "a task is left after its context");
            errors_of_tasks().clear();
        }
    }

    template <class Run>
    void judge(Run run)
    {
        stopped_ = forgot_ = main_must_end_ = false;
        handler_error_.reset();
        main_error_.reset();
        auto& main = add(by::main);
        main_ended_ = false;
        try {
            run(main);
            steps_.tell("returns");
            require(main_ended_ && !main_error_, "run() returns, and main has not ended well");
            require(!handler_error_, "run() returns, and a handler threw");
            require(!once_ || errors_of_tasks().empty(), "run() returns, and a task threw");
        } catch (const oops& e) {
            tell_thrown(e);
            require(e.whom != by::main || main_error_ == e.number, "not what main threw");
            require(e.whom != by::handler || handler_error_ == e.number, "not the first handler's");
            require(e.whom != by::task ||
                        (once_ && !main_error_ && errors_of_tasks().contains(e.number)),
                    "not what a task threw");
        } catch (const boost::system::system_error& e) {
            steps_.tell("throws ", e.what());
            if (e.code() == errc::main_stuck)
                require(stopped_ || forgot_, "main_stuck, and it is not");
            else
                require(e.code() == asio::error::operation_aborted && main_error_ == aborted,
                        "an error that nothing explains");
        }
    }

    template <class End>
    void end_tasks(End end)
    {
        stopped_ = false;
        handler_error_.reset();
        ending_ = true;
        const program::inner deeper(steps_);
        try {
            end();
            require(!handler_error_ && errors_of_tasks().empty(),
                    "close() returns, and something threw");
        } catch (const oops& e) {
            tell_thrown(e);
            require(e.whom == by::handler ? handler_error_ == e.number
                                          : !handler_error_ && errors_of_tasks().contains(e.number),
                    "not the first error");
        }
        ending_ = false;
        errors_of_tasks().clear();
        require(stopped_ || alive(by::task) == 0, "a task is left after close()");
    }

    void end_runner()
    {
        if (runner_ == nullptr)
            return;
        steps_.tell("destroy the runner");
        const program::inner deeper(steps_);
        ending_ = true;
        runner_.reset();
        ending_ = false;
        errors_of_tasks().clear();
        require(alive(by::task) == 0, "a task is left after its runner");
    }

    void tell_thrown(const oops& e) const
    {
        steps_.tell("throws what ",
                    e.whom == by::main   ? "main"
                    : e.whom == by::task ? "task "
                                         : "a handler",
                    e.whom == by::task ? std::to_string(e.number) : "", " threw");
    }

    // Coroutines ----------------------------------------------------------------------------------

    actor& add(by who)
    {
        return actors_.emplace_back(static_cast<int>(actors_.size()), who, once_);
    }

    // Asio tells of an error at once or a turn later, so the first one may be another's.
    std::set<int>& errors_of_tasks() { return task_errors_[once_ ? 1 : 0]; }

    int alive(by who) const
    {
        return static_cast<int>(std::ranges::count_if(
            actors_, [&](const actor& a) { return a.alive && a.who == who && a.once == once_; }));
    }

    static const char* name(const actor& me) { return me.who == by::main ? "main " : "task "; }

    template <class... Parts>
    void tell(const actor& me, const Parts&... parts) const
    {
        steps_.tell(name(me), me.number, ": ", parts...);
    }

    void spawn(const asio::any_io_executor& on)
    {
        if (actors_.size() > 30)
            return;
        auto& task = add(by::task);
        steps_.tell("spawn task ", task.number);
        loopsafe::spawn(on, play(task));
    }

    // Notes that a coroutine begins, ends, or is destroyed.
    class presence {
    public:
        presence(world& all, actor& me) : all_(all), me_(me) { me_.alive = true; }
        presence(const presence&) = delete;
        ~presence()
        {
            me_.alive = false;
            me_.waits = nullptr;
            if (me_.who == by::main)
                all_.ending_ = all_.once_;
        }

    private:
        world& all_;
        actor& me_;
    };

    asio::awaitable<void> play(actor& me)
    {
        const presence here(*this, me);
        const auto executor = co_await asio::this_coro::executor;
        std::optional<pool_type::lease_type> lease;
        std::exception_ptr error;
        for (bool more = true; more;) {
            try {
                more = co_await step(me, lease, executor);
            } catch (...) {
                error = std::current_exception();
                more = me.goes_on;
                tell(me, more ? "goes on after an error" : "ends by an error");
            }
            if (more && error != nullptr) { // perhaps of its cancellation, which then is over
                error = nullptr;
                me.hardened = true;
                co_await asio::this_coro::throw_if_cancelled(false);
            }
        }
        if (me.replaces_itself)
            spawn(executor);
        if (error == nullptr)
            tell(me, "ends");
        conclude(me, error);
    }

    void conclude(const actor& me, const std::exception_ptr& error)
    {
        if (me.who == by::main)
            main_ended_ = true;
        if (error == nullptr)
            return;
        int what = aborted;
        try {
            std::rethrow_exception(error);
        } catch (const oops& e) {
            what = e.number;
        } catch (const boost::system::system_error& e) {
            const bool known = e.code() == asio::error::operation_aborted;
            require(known || e.code() == errc::pool_closed, "a step fails for no reason");
        }
        if (me.who == by::main)
            main_error_ = what;
        else if (what != aborted)
            errors_of_tasks().insert(what);
        std::rethrow_exception(error);
    }

    // False at the end.
    asio::awaitable<bool> step(actor& me, std::optional<pool_type::lease_type>& lease,
                               const asio::any_io_executor& executor)
    {
        if (!steps_.more())
            co_return false;
        switch (steps_.below(16)) {
        case 0:
        case 1:
            tell(me, "lets others run");
            co_await asio::post(executor, asio::use_awaitable);
            break;
        case 2:
        case 3: co_await wait(me, executor); break;
        case 4:
        case 5: spawn(executor); break;
        case 6: post(executor, steps_.below(6)); break;
        case 7: tell(me, "throws"); throw oops{me.who, me.number};
        case 8: co_return false;
        case 9: try_nested(executor); break;
        case 10:
            tell(me, "does not let itself be cancelled");
            me.hardened = true;
            co_await asio::this_coro::throw_if_cancelled(false);
            break;
        case 11: me.goes_on = true; break;
        case 12: me.replaces_itself = true; break;
        case 13:
            if (steps_.below(2) != 0) {
                stop(executor);
            } else if (me.who == by::main) {
                tell(me, "awaits what nobody will complete");
                forgot_ = true;
                co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
                    [](auto) {}, asio::use_awaitable);
            }
            break;
        case 14:
            if (runner_ != nullptr && !once_ && !ending_) {
                tell(me, "destroys the runner");
                runner_.reset();
            }
            break;
        case 15:
            if (!lease) {
                tell(me, "acquires");
                lease.emplace(co_await pool_.acquire());
                tell(me, "has a lease");
            } else {
                tell(me, "gives its lease back");
                lease.reset();
            }
            break;
        default: break;
        }
        co_return true;
    }

    asio::awaitable<void> wait(actor& me, const asio::any_io_executor& executor)
    {
        tell(me, "waits for ever");
        asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
        me.woken = false;
        me.waits = &timer;
        const auto [ec] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        me.waits = nullptr;
        tell(me, me.woken ? "is woken" : "is cancelled");
        if (!me.woken)
            throw boost::system::system_error(ec);
    }

    void stop(const asio::any_io_executor& executor)
    {
        steps_.tell("stop the context");
        stopped_ = main_must_end_ = true;
        static_cast<asio::io_context&>(executor.context()).stop();
    }

    void post(const asio::any_io_executor& executor, unsigned what)
    {
        constexpr const char* names[] = {"spawns",       "throws", "stops",
                                         "does nothing", "runs",   "posts"};
        steps_.tell("post a handler that ", names[what]);
        const auto number = ++handlers_;
        asio::post(executor, [=, this] {
            steps_.tell("a handler ", names[what]);
            switch (what) {
            case 0: spawn(executor); break;
            case 1:
                if (!handler_error_)
                    handler_error_ = number;
                main_must_end_ = true;
                throw oops{by::handler, number};
            case 2: stop(executor); break;
            case 4: try_nested(executor); break;
            case 5: post(executor, steps_.below(6)); break;
            default: break;
            }
        });
    }

    void try_nested(const asio::any_io_executor&)
    {
        steps_.tell("run inside run");
        bool refused = false;
        try {
            loopsafe::run([]() -> asio::awaitable<void> { co_return; });
        } catch (const boost::system::system_error& e) {
            refused = e.code() == errc::nested_run;
        }
        require(refused, "run inside run is not refused");
    }

    // Nothing is ready, and run() or close() waits.
    void wake_somebody()
    {
        for (const auto& each : actors_) {
            if (each.waits == nullptr || each.hardened || each.once != once_)
                continue;
            require(each.who != by::task || !ending_, "a task waits that nobody has cancelled");
            require(each.who != by::main || !main_must_end_, "main waits, and is not cancelled");
        }
        const auto one = std::ranges::find_if(
            actors_, [&](const actor& a) { return a.waits != nullptr && a.once == once_; });
        require(one != actors_.end(), "everybody waits, and nobody for something");
        one->woken = true;
        std::exchange(one->waits, nullptr)->cancel();
    }

    static constexpr int aborted = -1;

    program& steps_;
    const std::shared_ptr<connect_script> script_ = std::make_shared<connect_script>();
    pool_type pool_{scripted_connector(script_), {.max_size = 1}};
    std::deque<actor> actors_;
    std::unique_ptr<loopsafe::runner> runner_;
    int handlers_ = 0;
    bool once_ = false;   // it is run(), which ends the tasks when main has ended
    bool ending_ = false; // the tasks are being ended
    bool stopped_ = false;
    bool forgot_ = false;
    bool main_must_end_ = false;
    bool main_ended_ = false;
    std::optional<int> main_error_;
    std::optional<int> handler_error_;
    std::set<int> task_errors_[2]; // of the runner, and of run()
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    program steps(data, size);
    world(steps).run();
    return 0;
}
