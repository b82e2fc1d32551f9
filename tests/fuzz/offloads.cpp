// SPDX-License-Identifier: BSL-1.0
// Programs over calls on a worker thread, and leases whose connections live there: made at once or
// begun late, cancelled in every way, given up, by callers whose contexts die before, during and
// after the function, on threads that are closed. A function runs once or, where it was withdrawn,
// never; its caller gets what it returned; its captures end where they should. The worker moves
// from one known point to the next while the program waits, so that a program runs the same each
// time.

#include "program.hpp"
#include "timers.hpp"
#include "worker_gate.hpp"

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/offload/connection_pool.hpp>
#include <loopsafe/offload/offload.hpp>
#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace {

namespace asio = boost::asio;
using loopsafe::errc;
using loopsafe::error_code;
using loopsafe::testing::connect_script;
using loopsafe::testing::scripted_connector;
using pool_type = loopsafe::connection_pool<scripted_connector, loopsafe::keep_alive_pool,
                                            loopsafe::thread_offload>;
using lease_type = pool_type::lease_type;

struct oops { // what the program's own functions throw
    int number;
};

class world {
    enum class kind { returns, throws, stoppable };

    struct call {
        int number;
        kind what;
        bool abandons = false;
        bool by_asio = false; // the signal belongs to asio::co_spawn, which trusts it to live
        bool started = false;
        loopsafe::context_ref at;
        std::optional<asio::cancellation_signal> signal{std::in_place};
        std::atomic<bool> begun = false;
        std::atomic<int> runs = 0;
        std::atomic<int> captures = 0;
        std::atomic<bool> ended_elsewhere = false;
        bool cancelled = false;
        bool withdrawn = false;
        int told = 0;
    };

    // What a function has captured.
    class capture {
    public:
        explicit capture(call& of) : of_(&of) { ++of_->captures; }
        capture(capture&& other) noexcept : of_(other.of_), thread_(other.thread_)
        {
            ++of_->captures;
        }
        capture(const capture& other) : of_(other.of_), thread_(other.thread_) { ++of_->captures; }
        ~capture()
        {
            if (ran && thread_ != std::this_thread::get_id())
                of_->ended_elsewhere = true;
            --of_->captures;
        }

        call& of() const { return *of_; }
        void runs_here()
        {
            ran = true;
            thread_ = std::this_thread::get_id();
        }

    private:
        call* of_;
        bool ran = false;
        std::thread::id thread_;
    };

public:
    explicit world(program& steps) : steps_(steps)
    {
        for (auto& each : io_)
            each.emplace(1);
    }

    void run()
    {
        make_workers();
        for (int n = 0; steps_.more() && n != 100; ++n)
            act(steps_.below(16));
        finish();
    }

private:
    void act(unsigned what)
    {
        switch (what) {
        case 0:
        case 1:
        case 2: offload(steps_.below(contexts), steps_.next()); break;
        case 3:
        case 4:
        case 5: poll(steps_.below(contexts), steps_.below(16)); break;
        case 6:
        case 7: let_go(); break;
        case 8: cancel(steps_.next(), steps_.below(3)); break;
        case 9: end_signal(steps_.next()); break;
        case 10: renew(steps_.below(contexts)); break;
        case 11: end_workers(steps_.below(4)); break;
        case 12: late(steps_.below(contexts), steps_.next()); break;
        case 13: acquire(steps_.below(contexts)); break;
        case 14: use_lease(steps_.below(contexts), steps_.next()); break;
        case 15: end_lease(steps_.below(4)); break;
        default: break;
        }
    }

    void make_workers()
    {
        const auto threads = steps_.below(8) == 0 ? 0u : 1u;
        steps_.tell(threads, " threads");
        worker_.emplace(threads);
        pool_.emplace(scripted_connector(script_), pool_type::options{.max_size = 2},
                      worker_->threads());
    }

    void end_workers(unsigned how)
    {
        if (how == 0) {
            steps_.tell("close the threads");
            closed_ = true;
            worker_->close();
        } else if (how == 1) {
            steps_.tell("destroy the pool");
            pool_.reset();
        }
    }

    // Contexts ------------------------------------------------------------------------------------

    void poll(std::size_t i, unsigned handlers)
    {
        steps_.tell("poll context ", i, ", ", handlers + 1, " handlers at most");
        poll_quietly(i, handlers);
    }

    bool poll_quietly(std::size_t i, unsigned handlers)
    {
        unsigned n = 0;
        io_[i]->restart();
        while (n <= handlers && io_[i]->poll_one() != 0) {
            ++n;
            worker_->settle();
        }
        return n != 0;
    }

    void renew(std::size_t i)
    {
        steps_.tell("context ", i, " is destroyed, and there is a new one");
        io_[i].reset();
        worker_->settle();
        io_[i].emplace(1);
    }

    asio::any_io_executor executor(std::size_t i)
    {
        if (steps_.below(2) == 0)
            return io_[i]->get_executor();
        return asio::make_strand(*io_[i]);
    }

    // Calls ---------------------------------------------------------------------------------------

    call& new_call(std::size_t i, unsigned how)
    {
        auto& c = calls_.emplace_back();
        c.number = static_cast<int>(calls_.size());
        c.what = static_cast<kind>(how % 3);
        c.abandons = how / 3 % 2 != 0;
        c.at = loopsafe::context_of(*io_[i]);
        constexpr const char* names[] = {"that returns", "that throws", "that can be stopped"};
        steps_.tell("call ", c.number, " on context ", i, ": a function ", names[how % 3],
                    c.abandons ? ", abandoned where it is cancelled" : "");
        return c;
    }

    int perform(capture& own, bool stop_requested)
    {
        auto& c = own.of();
        own.runs_here();
        ++c.runs;
        c.begun = true;
        worker_->pass();
        if (c.what == kind::throws)
            throw oops{c.number};
        return stop_requested ? -c.number : c.number;
    }

    auto function(call& c)
    {
        return [this, own = capture(c)]() mutable { return perform(own, false); };
    }

    auto stoppable(call& c)
    {
        return [this, own = capture(c)](std::stop_token stop) mutable {
            perform(own, false);
            return stop.stop_requested() ? -own.of().number : own.of().number;
        };
    }

    auto teller(call& c)
    {
        return [this, &c](const std::exception_ptr& error, int result) { told(c, error, result); };
    }

    loopsafe::offload_options options(const call& c)
    {
        return {.workers = worker_->threads(),
                .cancelled = c.abandons ? loopsafe::on_cancel::abandon : loopsafe::on_cancel::wait};
    }

    asio::awaitable<int> awaited(call& c)
    {
        if (c.what == kind::stoppable)
            return loopsafe::offload(options(c), stoppable(c));
        return loopsafe::offload(options(c), function(c));
    }

    void offload(std::size_t i, unsigned how)
    {
        if (calls_.size() > 30)
            return;
        auto& c = new_call(i, how);
        const auto on = executor(i);
        c.started = true;
        if (how / 6 % 2 != 0) {
            c.by_asio = true;
            asio::co_spawn(*io_[i], awaited(c),
                           asio::bind_cancellation_slot(c.signal->slot(), teller(c)));
        } else {
            auto handler =
                asio::bind_cancellation_slot(c.signal->slot(), asio::bind_executor(on, teller(c)));
            if (c.what == kind::stoppable)
                loopsafe::async_offload(on, stoppable(c), std::move(handler), options(c));
            else
                loopsafe::async_offload(on, function(c), std::move(handler), options(c));
        }
        worker_->settle();
    }

    // Made now, and begun or dropped later.
    void late(std::size_t i, unsigned how)
    {
        if (how % 2 != 0 && !late_.empty()) {
            const auto begin = std::move(late_.back());
            late_.pop_back();
            if (how % 4 == 1)
                begin(i);
        } else if (calls_.size() < 30) {
            auto& c = new_call(i, how / 2);
            const auto made = std::make_shared<asio::awaitable<int>>(awaited(c));
            late_.push_back([=, this, &c](std::size_t on) {
                steps_.tell("call ", c.number, " begins on context ", on);
                c.at = loopsafe::context_of(*io_[on]);
                c.started = c.by_asio = true;
                asio::co_spawn(*io_[on], std::move(*made),
                               asio::bind_cancellation_slot(c.signal->slot(), teller(c)));
            });
        }
        worker_->settle();
    }

    void told(call& c, const std::exception_ptr& error, int result)
    {
        require(++c.told == 1, "a caller is told twice");
        require(c.at.alive(), "a caller is told by a context that is gone");
        if (error == nullptr) {
            steps_.tell("    call ", c.number, " returns ", result);
            require(c.runs == 1 && c.what != kind::throws && std::abs(result) == c.number,
                    "not what the function returned");
            require(result > 0 || c.cancelled, "a stop that nobody requested");
            return;
        }
        try {
            std::rethrow_exception(error);
        } catch (const oops& e) {
            steps_.tell("    call ", c.number, " throws");
            require(e.number == c.number && c.runs == 1, "not what the function threw");
        } catch (const boost::system::system_error& e) {
            steps_.tell("    call ", c.number, ": ", e.code().message());
            explain(c, e.code());
        }
    }

    void explain(call& c, const error_code& ec)
    {
        if (ec == asio::error::operation_aborted) {
            require(c.cancelled, "aborted, and nobody has cancelled it");
            require(!c.begun || c.abandons, "a function that runs is waited for");
        } else if (ec == errc::workers_closed) {
            require(closed_, "workers_closed, and they are not");
        } else if (ec == errc::queue_full) {
            require(calls_.size() + acquired_ > 4, "queue_full, and there are not so many");
        } else {
            require(ec == errc::busy || ec == errc::lease_expired || ec == errc::pool_closed,
                    "an error that nothing explains");
        }
        c.withdrawn = !c.begun;
    }

    void let_go()
    {
        if (worker_->let_go())
            steps_.tell("the function that runs goes on");
    }

    void cancel(unsigned which, unsigned how)
    {
        if (calls_.empty())
            return;
        auto& c = calls_[which % calls_.size()];
        if (!c.signal || c.told != 0 || (c.by_asio && !c.at.alive()))
            return;
        constexpr asio::cancellation_type kinds[] = {asio::cancellation_type::terminal,
                                                     asio::cancellation_type::partial,
                                                     asio::cancellation_type::total};
        constexpr const char* names[] = {"terminal", "partial", "total"};
        steps_.tell("cancel call ", c.number, ", ", names[how]);
        c.cancelled = true;
        c.signal->emit(kinds[how]);
        worker_->settle();
    }

    void end_signal(unsigned which)
    {
        if (calls_.empty())
            return;
        auto& c = calls_[which % calls_.size()];
        if (!c.signal || c.by_asio || !c.started)
            return;
        steps_.tell("destroy the signal of call ", c.number);
        c.signal.reset();
    }

    // Leases --------------------------------------------------------------------------------------

    void acquire(std::size_t i)
    {
        if (leases_.size() > 3 || !pool_)
            return;
        steps_.tell("acquire on context ", i);
        ++acquired_;
        pool_->async_acquire(io_[i]->get_executor(),
                             [this](error_code ec, lease_type lease) {
                                 steps_.tell("    a lease: ", ec.message());
                                 if (!ec)
                                     leases_.push_back(std::move(lease));
                             },
                             {.timeout = std::chrono::milliseconds(0)});
        worker_->settle();
    }

    void use_lease(std::size_t i, unsigned how)
    {
        if (leases_.empty() || calls_.size() > 30)
            return;
        auto& c = new_call(i, how);
        c.what = c.what == kind::stoppable ? kind::returns : c.what;
        auto work = [this, own = capture(c)](auto& connection) mutable {
            require(connection->number() > 0, "a connection");
            return perform(own, false);
        };
        const auto mode = c.abandons ? loopsafe::on_cancel::abandon : loopsafe::on_cancel::wait;
        c.started = c.by_asio = true;
        asio::awaitable<int> made = leases_.front().run(std::move(work), mode);
        asio::co_spawn(*io_[i], std::move(made),
                       asio::bind_cancellation_slot(c.signal->slot(), teller(c)));
        worker_->settle();
    }

    void end_lease(unsigned how)
    {
        if (leases_.empty())
            return;
        steps_.tell("a lease ends");
        if (how == 0)
            leases_.front().discard();
        leases_.pop_front();
        worker_->settle();
    }

    // The end -------------------------------------------------------------------------------------

    void finish()
    {
        steps_.tell("the end");
        late_.clear();
        leases_.clear();
        for (bool more = true; more;) {
            more = worker_->let_go();
            for (std::size_t i = 0; i != contexts; ++i)
                more |= poll_quietly(i, 1000);
        }
        leases_.clear();
        worker_->settle();
        for (const auto& c : calls_)
            require(c.told == 1 || !c.at.alive() || !c.started, "a caller was never told");
        if (steps_.below(2) != 0)
            pool_.reset();
        for (auto& each : io_)
            each.reset();
        pool_.reset();
        worker_.reset();
        for (const auto& c : calls_) {
            require(c.captures == 0, "a function is left");
            require(c.runs <= 1 && !(c.withdrawn && c.begun), "a function runs that was withdrawn");
            require(!c.ended_elsewhere, "a function ends on another thread than the worker's");
        }
        require(script_->open() == 0, "a connection is left");
    }

    static constexpr std::size_t contexts = 2;

    program& steps_;
    const std::shared_ptr<connect_script> script_ = std::make_shared<connect_script>();
    std::deque<call> calls_;
    std::optional<gated_worker> worker_;
    std::optional<pool_type> pool_;
    std::deque<lease_type> leases_;
    std::deque<std::function<void(std::size_t)>> late_;
    std::array<std::optional<asio::io_context>, contexts> io_;
    std::size_t acquired_ = 0;
    bool closed_ = false;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    program steps(data, size);
    world(steps).run();
    return 0;
}
