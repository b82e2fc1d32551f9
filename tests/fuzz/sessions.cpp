// SPDX-License-Identifier: BSL-1.0
// Programs over leased PostgreSQL sessions: operations that are made and begun at once, later, when
// their lease has ended and its session is another's, or never; cancelled, failed and cut off;
// beside leases, contexts and servers that end. An operation gets the answer to its own statement,
// and one whose lease has ended never reaches the server. One thread, UNIX sockets and no cancel
// requests, which need a thread, so that a program runs the same each time.

#include "program.hpp"
#include "session_server.hpp"
#include "timers.hpp"

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/postgres.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace sessions_fuzz;
namespace asio = boost::asio;
namespace pg = loopsafe::postgres;
using loopsafe::errc;
using loopsafe::error_code;

const listener& the_listener()
{
    static const listener one;
    return one;
}

template <class Policy>
class world {
    using pool_type = loopsafe::connection_pool<pg::connector, Policy>;
    using lease_type = typename pool_type::lease_type;

    // One lease, and what may be wrong with its session.
    struct holder {
        int number;
        lease_type lease;
        int backend = 0;
        bool ended = false;
        bool spoiled = false;
        int running = 0;
    };

    struct operation {
        int number;
        holder* of;
        std::string sql;
        std::optional<asio::awaitable<pg::result>> made;
        asio::cancellation_signal signal;
        bool begun = false;
        bool late = false; // begun when its lease had ended
        bool beside_another = false;
        bool cancelled = false;
        bool ended = false;
    };

public:
    explicit world(program& steps) : steps_(steps) {}

    void run()
    {
        make_pool();
        for (int n = 0; steps_.more() && n != 200; ++n)
            act(steps_.below(18));
        finish();
    }

private:
    void make_pool()
    {
        typename Policy::options how;
        how.max_size = 2;
        how.lifetime_jitter = 0;
        how.connect_timeout = loopsafe::never;
        const auto reset = steps_.below(3);
        pg::connector connect("host=" + listener::host() + " user=u dbname=d",
                              {.reset = static_cast<pg::reset_session>(reset),
                               .reuse_after_error = steps_.below(2) != 0,
                               .cancel_timeout = std::chrono::milliseconds(0)});
        constexpr const char* names[] = {"if they are used", "always", "never"};
        steps_.tell("a pool of 2 sessions, which are reset ", names[reset]);
        if constexpr (Policy::has_home)
            pool_.emplace(*context_, std::move(connect), how);
        else
            pool_.emplace(std::move(connect), how);
    }

    void act(unsigned what)
    {
        switch (what) {
        case 0:
        case 1: acquire(); break;
        case 2:
        case 3:
        case 4: go_on(steps_.next()); break;
        case 5: poll(steps_.below(8)); break;
        case 6: serve(steps_.next()); break;
        case 7:
        case 8:
        case 9: make(steps_.next(), steps_.next()); break;
        case 10:
        case 11:
        case 12: begin(steps_.next()); break;
        case 13:
        case 14: end_lease(steps_.next(), steps_.below(3)); break;
        case 15: cancel(steps_.next()); break;
        case 16: disturb(steps_.below(4), steps_.next()); break;
        case 17: renew(steps_.below(4)); break;
        default: break;
        }
    }

    void acquire()
    {
        if (holders_.size() + static_cast<std::size_t>(asking_) > 12)
            return;
        const auto number = ++asked_;
        steps_.tell("caller ", number, " acquires");
        ++asking_;
        asio::co_spawn(*context_, pool_->acquire(),
                       [this, number](const std::exception_ptr& error, lease_type lease) {
                           --asking_;
                           if (error != nullptr) {
                               steps_.tell("caller ", number, " gets none");
                               require(disturbed_, "an acquire fails for no reason");
                               return;
                           }
                           auto& h = holders_.emplace_back();
                           h.number = number;
                           h.backend = lease->backend_pid();
                           h.lease = std::move(lease);
                           steps_.tell("caller ", number, " has a lease, of session ", h.backend);
                       });
    }

    holder* some_holder(unsigned which)
    {
        std::vector<holder*> with;
        for (auto& each : holders_) {
            if (!each.ended)
                with.push_back(&each);
        }
        return with.empty() ? nullptr : with[which % with.size()];
    }

    void make(unsigned which, unsigned what)
    {
        auto* const h = some_holder(which);
        if (h == nullptr || operations_.size() > 24 || !h->lease.home().alive())
            return;
        auto& op = operations_.emplace_back();
        op.number = static_cast<int>(operations_.size());
        op.of = h;
        constexpr const char* words[] = {"ask ",  "ask ", "ask ",   "ask ",
                                         "fail ", "die ", "begin ", "commit "};
        op.sql = words[what % 8] + std::to_string(what % 16 < 8 ? op.number : what % 2);
        steps_.tell("with lease ", h->number, ", operation ", op.number, " is made: ", op.sql);
        op.made.emplace(h->lease->query(op.sql));
        if (what < 160)
            begin(op);
    }

    void begin(unsigned which)
    {
        std::vector<operation*> waiting;
        for (auto& each : operations_) {
            if (!each.begun)
                waiting.push_back(&each);
        }
        if (!waiting.empty())
            begin(*waiting[which % waiting.size()]);
    }

    void begin(operation& op)
    {
        steps_.tell("operation ", op.number, " is awaited");
        op.begun = true;
        asio::co_spawn(
            *context_, carry_out(op),
            asio::bind_cancellation_slot(op.signal.slot(), [](const std::exception_ptr&) {}));
    }

    asio::awaitable<void> carry_out(operation& op)
    {
        struct end_of {
            operation& op;
            ~end_of()
            {
                op.ended = true;
                --op.of->running;
            }
        };
        auto& h = *op.of;
        op.late = h.ended;
        op.beside_another = h.running++ != 0;
        const end_of at_the_end{op};
        try {
            const auto rows = co_await std::move(*op.made);
            steps_.tell("operation ", op.number, " gets its answer");
            require(!op.late, "an operation of a lease that has ended is carried out");
            require(rows.empty() || rows[0][0].template as<std::string>() == op.sql,
                    "the answer to another statement");
        } catch (const boost::system::system_error& e) {
            steps_.tell("operation ", op.number, " fails: ", e.what());
            explain(op, e.code());
            h.spoiled = true;
        }
    }

    void explain(const operation& op, const error_code& ec) const
    {
        const auto& h = *op.of;
        if (op.late) {
            require(ec != pg::condition::unique_violation, "a late operation reaches the server");
        } else if (ec == errc::lease_expired) {
            require(h.ended, "lease_expired, and it is not");
        } else if (ec == pg::errc::busy) {
            require(op.beside_another || h.running > 1, "busy, and it is not");
        } else if (ec == pg::condition::unique_violation) {
            require(op.sql.starts_with("fail"), "an error of another statement");
        } else if (ec == asio::error::operation_aborted) {
            require(op.cancelled || h.ended, "aborted, and nobody has cancelled it");
        } else if (ec == errc::wrong_context || ec == errc::context_closed) {
            require(renewed_, "another context, and there is none");
        } else {
            require(h.spoiled || h.ended || disturbed_ || op.sql.starts_with("die"),
                    "an error that nothing explains");
        }
    }

    void cancel(unsigned which)
    {
        if (operations_.empty())
            return;
        auto& op = operations_[which % operations_.size()];
        if (!op.begun || op.ended)
            return;
        steps_.tell("cancel operation ", op.number);
        op.cancelled = op.of->spoiled = true;
        op.signal.emit(asio::cancellation_type::terminal);
    }

    void end_lease(unsigned which, unsigned how)
    {
        auto* const h = some_holder(which);
        if (h == nullptr)
            return;
        constexpr const char* names[] = {"release", "discard", "destroy"};
        steps_.tell(names[how], " lease ", h->number);
        h->ended = true;
        if (how == 0)
            h->lease.release();
        else if (how == 1)
            h->lease.discard();
        else
            lease_type(std::move(h->lease));
    }

    void disturb(unsigned how, unsigned which)
    {
        disturbed_ = true;
        if (how < 2 && !sides_.empty()) {
            steps_.tell("the server ends a session");
            sides_[which % sides_.size()].close();
        } else if (how == 2) {
            steps_.tell("invalidate the pool");
            pool_->invalidate();
        } else {
            steps_.tell("thaw the pool");
            pool_->thaw();
        }
    }

    // Everything of the old one ends.
    void renew(unsigned how)
    {
        if (Policy::has_home || how != 0)
            return;
        steps_.tell("the context is destroyed, and there is a new one");
        renewed_ = true;
        context_.reset();
        asking_ = 0;
        context_.emplace(1);
    }

    // Whose turn it is ----------------------------------------------------------------------------

    unsigned poll(unsigned handlers)
    {
        context_->restart();
        unsigned n = 0;
        while (n <= handlers && context_->poll_one() != 0)
            ++n;
        return n;
    }

    void accept()
    {
        for (int d = the_listener().accept(); d != -1; d = the_listener().accept())
            sides_.emplace_back(d, static_cast<int>(sides_.size()) + 1, heard_);
    }

    void serve(unsigned which)
    {
        accept();
        if (!sides_.empty())
            sides_[which % sides_.size()].serve();
    }

    bool serve_all()
    {
        accept();
        bool any = false;
        for (auto& each : sides_) {
            while (each.serve())
                any = true;
        }
        return any;
    }

    void go_on(unsigned turns)
    {
        for (unsigned n = 0; n <= turns; ++n) {
            const bool any = poll(20) != 0;
            if (!serve_all() && !any)
                break;
        }
    }

    void hear(std::string_view sql)
    {
        if (sql.back() < '0' || sql.back() > '9' || sql.starts_with("deallocate"))
            return; // the library's own
        const auto sent = std::ranges::any_of(operations_, [&](const operation& op) {
            return op.sql == sql && op.begun && !op.late;
        });
        require(sent, "the server hears of an operation whose lease has ended");
    }

    void finish()
    {
        steps_.tell("the end");
        go_on(200);
        while (some_holder(0) != nullptr) {
            end_lease(0, 0);
            go_on(200);
        }
        require(asking_ == 0 || renewed_, "an acquire does not end");
        for (const auto& each : operations_)
            require(!each.begun || each.ended || renewed_, "an operation does not end");
        const auto left = pool_->stats();
        require(left.leased + left.connecting + left.waiting == 0, "a pool counts what is gone");
        const bool pool_first = steps_.below(2) != 0;
        if (pool_first)
            pool_.reset();
        operations_.clear();
        context_.reset();
        pool_.reset();
        holders_.clear();
        serve_all();
        for (const auto& each : sides_)
            require(!each.is_open(), "a session is left");
    }

    program& steps_;
    const side::listens heard_ = [this](int, std::string_view sql) { hear(sql); };
    std::deque<side> sides_;
    std::deque<holder> holders_;
    std::deque<operation> operations_;
    std::optional<asio::io_context> context_{std::in_place, 1};
    std::optional<pool_type> pool_;
    int asked_ = 0;
    int asking_ = 0;
    bool disturbed_ = false;
    bool renewed_ = false;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    the_listener();
    program steps(data, size);
    if (steps.below(2) == 0)
        world<loopsafe::keep_alive_pool>(steps).run();
    else
        world<loopsafe::carry_over_pool>(steps).run();
    return 0;
}
