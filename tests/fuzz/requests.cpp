// SPDX-License-Identifier: BSL-1.0
// Programs of requests over a few kept connections: bodies in memory and bodies that are made,
// whole or not, cancelled in the middle, given up or written on after an error; beside a server
// that answers late, early, in parts, too little, too much or never. The server checks every byte:
// what comes on a connection is requests as they were asked for, one after the other, and nothing
// after one that was not sent to its end. The client checks that every answer is that to its
// question. No error that the program does not explain, nothing that never ends, nothing left over.
// One thread, UNIX sockets, and a clock that the program moves, so that a program runs the same
// each time.

#include "left_over.hpp"
#include "program.hpp"
#include "request_server.hpp"

#include <loopsafe/http.hpp>
#include <loopsafe/testing/manual_clock.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <deque>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/timerfd.h>
#include <utility>
#include <vector>

namespace {

using namespace requests_fuzz;
namespace asio = boost::asio;
namespace http = loopsafe::http;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;
using loopsafe::testing::manual_clock;
using client_type =
    http::basic_client<loopsafe::basic_keep_alive_pool<loopsafe::pool_mutex, manual_clock>>;

struct oops {}; // what the program's own functions throw

const listener& the_listener()
{
    static const listener one;
    return one;
}

class world {
public:
    explicit world(program& steps) : steps_(steps) { manual_clock::reset(); }

    void run()
    {
        const auto ending = steps_.below(4);
        make_client(steps_.next());
        for (int n = 0; steps_.more() && n != 200; ++n)
            act(steps_.below(14));
        if (ending > 1) {
            end_orderly();
            client_.reset();
            context_.reset();
        } else if (ending == 1) {
            client_.reset();
            context_.reset();
        } else {
            context_.reset();
            client_.reset();
        }
        require(frames_ == 0, "a coroutine is left");
        require(acquired_ == returned_, "a connection was not returned");
        accept();
        for (auto& each : sides_) {
            do
                each.read_on();
            while (each.serve(everything));
            require(!each.is_open(), "a connection is left");
        }
    }

private:
    void make_client(unsigned how)
    {
        client_type::options with;
        with.base_url = "http://h";
        with.unix_socket = the_listener().name();
        with.lifetime_jitter = 0;
        with.max_per_origin = how % 3 + 1;
        if (how / 3 % 3 == 0)
            with.max_total = with.max_per_origin;
        narrow_ = how / 9 % 4 != 0;
        if (how / 36 % 4 != 0 || narrow_) {
            with.on_event = [this](const http::event& e) {
                acquired_ += e.what == http::event::kind::acquired ? 1 : 0;
                returned_ += e.what == http::event::kind::returned ? 1 : 0;
                if (e.what == http::event::kind::connected && narrow_)
                    the_listener().narrow_clients();
            };
        }
        client_.emplace(*context_, with);
    }

    void act(unsigned what)
    {
        switch (what) {
        case 0:
        case 1:
        case 2:
        case 3: ask(); break;
        case 4:
        case 5:
            steps_.tell("poll");
            poll(steps_.next());
            break;
        case 6: poll(1); break;
        case 7:
        case 8:
        case 9: serve(steps_.next()); break;
        case 10: cancel(steps_.next()); break;
        case 11: pass(steps_.below(4)); break;
        case 12:
            accept();
            if (const auto n = steps_.next(); !sides_.empty())
                sides_[n % sides_.size()].close_idle();
            break;
        case 13: end_some(steps_.below(8)); break;
        default: break;
        }
    }

    void end_some(unsigned how)
    {
        steps_.tell(how == 0 ? "close" : how < 4 ? "invalidate" : "thaw", " the client");
        if (how == 0) {
            closed_ = true;
            client_->close();
        } else if (how < 4) {
            client_->invalidate();
        } else {
            client_->thaw();
        }
    }

    // Requests ------------------------------------------------------------------------------------

    std::size_t some_size()
    {
        constexpr std::size_t sizes[] = {1, 2, 15, 16, 17, 100, 2000, 5000, 8192, 8193, 20'000};
        const auto n = steps_.next();
        return n < 200 ? n % 40 + 1 : sizes[n % std::size(sizes)];
    }

    std::vector<step> some_steps()
    {
        std::vector<step> made(steps_.below(8));
        for (auto& each : made) {
            const auto what = steps_.next();
            constexpr auto kinds = static_cast<unsigned>(step::kind::last) + 1;
            // Most of them move bytes.
            each.what = what < 100 ? step::kind::transfer : static_cast<step::kind>(what % kinds);
            each.size = some_size();
        }
        return made;
    }

    void ask()
    {
        if (all_.size() == 12)
            return;
        auto& r = all_.emplace_back();
        r.id = static_cast<int>(all_.size());
        constexpr const char* methods[] = {"GET",   "HEAD",   "POST",    "PUT",
                                           "PATCH", "DELETE", "OPTIONS", "QUERY"};
        r.method = methods[steps_.below(8)];
        steps_.tell("request ", r.id, ": ", r.method);
        http::request what(r.method, "/" + std::to_string(r.id));
        make_request_body(r, what, steps_.below(8));
        const auto flags = steps_.next();
        if ((flags & 1) != 0)
            what.headers.add("X-Some", "field");
        if ((flags & 2) != 0)
            what.headers.add("Idempotency-Key", "7");
        if ((flags & 4) != 0)
            what.replay = (flags & 8) != 0 ? http::replay::safe : http::replay::never;
        if ((flags & 16) != 0) {
            what.timeouts.emplace();
            what.timeouts->total = (flags & 32) != 0 ? 1min : 15ms;
        }
        r.goes_on = (flags & 64) != 0;
        if ((flags & 128) != 0) {
            r.reads = some_steps();
            r.reads.push_back({step::kind::stop, 0});
        }
        expect(r, what);
        make_answer(r);
        asio::co_spawn(
            *context_, carry_out(r, std::move(what)),
            asio::bind_cancellation_slot(r.signal.slot(), [this, &r](const std::exception_ptr& e) {
                require(!std::exchange(r.ended, true), "a request has ended twice");
                steps_.tell("    request ", r.id, e == nullptr ? " succeeds" : " fails");
                if (e != nullptr)
                    explain(r, e);
            }));
    }

    void make_request_body(asked& r, http::request& what, unsigned kind)
    {
        if (kind == 0)
            return;
        steps_.tell("    with a body", kind < 3 ? "" : " that is made");
        r.present = true;
        if (kind < 3) {
            r.length = some_size() - 1;
            what.body = http::request_body(noise(r.id, 0, *r.length));
            return;
        }
        r.streamed = true;
        r.steps = some_steps();
        if (kind < 6) {
            std::uint64_t all = 0;
            for (const auto& each : r.steps) {
                using enum step::kind;
                all += each.what == transfer || each.what == cancelled_transfer ? each.size : 0;
            }
            r.length =
                kind == 5 ? all + steps_.next() % 64 - std::min<std::uint64_t>(all, 20) : all;
        }
        const bool again = steps_.below(3) == 0;
        what.body = http::request_body::streamed(
            [this, &r](http::body_writer& to) { return make_body(r, to); }, r.length, again);
    }

    // What the server must get, written down once more.
    void expect(asked& r, const http::request& what)
    {
        r.head = r.method + " /" + std::to_string(r.id) + " HTTP/1.1\r\nHost: h\r\n";
        for (const auto [name, value] : what.headers)
            r.head += std::string(name) + ": " + std::string(value) + "\r\n";
        r.head += "User-Agent: loopsafe\r\nAccept: */*\r\n";
        const auto& m = r.method;
        if (r.present && !r.length)
            r.head += "Transfer-Encoding: chunked\r\n";
        else if (r.present || m == "POST" || m == "PUT" || m == "PATCH")
            r.head += "Content-Length: " + std::to_string(r.length.value_or(0)) + "\r\n";
        r.head += "\r\n";
        const bool harmless = what.replay == http::replay::safe || m == "GET" || m == "HEAD" ||
                              m == "PUT" || m == "DELETE" || m == "OPTIONS" ||
                              what.headers.contains("Idempotency-Key");
        if (harmless && what.replay != http::replay::never && what.body.repeatable())
            r.most_heads = 2;
    }

    void make_answer(asked& r)
    {
        using end = script::end;
        using form = script::form;
        auto& a = r.answer;
        const auto how = steps_.next();
        a.at = how < 160 ? script::when::whole : static_cast<script::when>(how % 4);
        a.as = static_cast<form>(steps_.below(4));
        const auto then = steps_.next();
        a.then = then < 128 ? end::keep : static_cast<end>(then % 6);
        a.middle = some_size();
        const auto more = steps_.next();
        a.stalls = more % 4 == 1 && a.at != script::when::whole;
        a.interim = more / 4 % 4;
        const auto id = std::to_string(r.id);
        a.status = a.as == form::no_body ? 204 : 200;
        a.body = "answer " + id + std::string(some_size(), static_cast<char>('a' + r.id));
        if (a.as == form::until_close && a.then != end::no_answer)
            a.then = end::close; // nobody can know that it is cut
        a.text = "HTTP/1.1 " + std::to_string(a.status) + " Some\r\nX-Id: " + id + "\r\n";
        if (a.then == end::announced_close || a.as == form::until_close)
            a.text += "Connection: close\r\n";
        if (a.as == form::length)
            a.text += "Content-Length: " + std::to_string(a.body.size()) + "\r\n";
        else if (a.as == form::chunks)
            a.text += "Transfer-Encoding: chunked\r\n";
        a.text += "\r\n";
        if (r.method == "HEAD" || a.as == form::no_body)
            a.body.clear();
        else if (a.as == form::chunks)
            a.text += "1\r\na\r\n" + hexadecimal(a.body.size() - 1) + "\r\n" + a.body.substr(1) +
                      "\r\n0\r\nX-Trailer: " + id + "\r\n\r\n";
        else
            a.text += a.body;
    }

    static std::string hexadecimal(std::size_t n)
    {
        char text[20];
        return {text, std::to_chars(text, text + sizeof(text), n, 16).ptr};
    }

    asio::awaitable<void> carry_out(asked& r, http::request what)
    {
        const counted frame(frames_);
        if (r.reads.empty()) {
            const auto got = co_await client_->send(std::move(what));
            check_head(r, got);
            check_end(r, got.body, got.trailers);
        } else {
            const auto reader = [this, &r](http::incoming_response& in) { return read(r, in); };
            co_await client_->with_response(std::move(what), reader);
        }
        require(r.made.empty() || !r.made.back().broken, "a body that is broken, and no error");
    }

    static void check_head(const asked& r, const http::response_head& got)
    {
        require(r.answered && got.status == r.answer.status &&
                    got.headers["X-Id"] == std::to_string(r.id),
                "an answer to another request");
        require(r.early || r.whole || !r.present, "an answer to a request that was not sent");
    }

    static void check_end(const asked& r, const std::string& body, const http::fields& trailers)
    {
        require(r.answer.then != script::end::cut, "half an answer");
        require(body == r.answer.body, "the body of an answer");
        const bool some = r.answer.as == script::form::chunks && r.method != "HEAD";
        require(trailers["X-Trailer"] == (some ? std::to_string(r.id) : ""), "a trailer");
    }

    asio::awaitable<void> make_body(asked& r, http::body_writer& to)
    {
        const counted frame(frames_);
        auto& m = r.made.emplace_back();
        manual_clock::timer timer(co_await asio::this_coro::executor);
        for (const auto& each : r.steps) {
            using enum step::kind;
            try {
                if (each.what == transfer) {
                    co_await write(r, m, to, each.size);
                } else if (each.what == nothing) {
                    co_await write(r, m, to, 0);
                } else if (each.what == cancelled_transfer) {
                    timer.expires_after(10ms);
                    r.cancelled = true;
                    co_await (write(r, m, to, each.size) || timer.async_wait(asio::use_awaitable));
                } else if (each.what == trailer) {
                    to.trailers.set("X-Trailer", "some");
                    m.trailers = "X-Trailer: some\r\n";
                } else if (each.what == stop) {
                    break;
                } else {
                    co_await do_else(each, timer);
                }
            } catch (...) {
                explain(r, std::current_exception());
                if (!r.goes_on)
                    throw;
            }
        }
        r.wrong_length |= r.length && m.offered != *r.length;
        m.finished = true;
    }

    asio::awaitable<void> write(asked& r, making& m, http::body_writer& to, std::size_t size)
    {
        const counted frame(frames_);
        co_await nothing(); // from here on the write begins, since nobody can cancel it before
        const auto part = noise(r.id, m.next, size);
        m.next += size;
        const bool was_broken = m.broken;
        const bool too_long = r.length && m.next > *r.length;
        if (!was_broken && !m.refused && !too_long)
            m.offered = m.next;
        r.wrong_length |= too_long;
        struct attempt {
            making& of;
            bool done = false;

            ~attempt() { of.broken |= !done; }
        } now{m};
        const bool more = co_await to.write(part);
        now.done = true;
        require(!was_broken, "a write after one that was not finished");
        require(!more || !m.refused, "a write that succeeds after one that was refused");
        require(!more || !too_long || size == 0, "a body that is too long");
        require(more || r.answered || r.lost, "a write that is refused for no reason");
        m.refused |= !more;
    }

    // What a step does that moves no bytes.
    static asio::awaitable<void> do_else(const step& what, manual_clock::timer& timer)
    {
        using enum step::kind;
        if (what.what == wait) {
            timer.expires_after(10ms);
            co_await timer.async_wait(asio::use_awaitable);
        } else if (what.what == post) {
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        } else if (what.what == ignore_cancellation) {
            co_await asio::this_coro::throw_if_cancelled(false);
        } else if (what.what == fail) {
            throw oops();
        }
    }

    static asio::awaitable<void> nothing() { co_return; }

    asio::awaitable<void> read(asked& r, http::incoming_response& in)
    {
        const counted frame(frames_);
        check_head(r, in.head());
        manual_clock::timer timer(co_await asio::this_coro::executor);
        for (const auto& each : r.reads) {
            using enum step::kind;
            try {
                if (each.what == transfer) {
                    co_await read_some(r, in, each.size);
                } else if (each.what == trailer) { // all that is left
                    while (co_await read_some(r, in, each.size + 500)) {}
                } else if (each.what == cancelled_transfer) {
                    timer.expires_after(10ms);
                    r.cancelled = true;
                    co_await (read_some(r, in, each.size) || timer.async_wait(asio::use_awaitable));
                } else if (each.what == stop) {
                    break;
                } else {
                    co_await do_else(each, timer);
                }
            } catch (...) {
                explain(r, std::current_exception());
                if (!r.goes_on)
                    throw;
            }
        }
    }

    asio::awaitable<bool> read_some(asked& r, http::incoming_response& in, std::size_t most)
    {
        const counted frame(frames_);
        std::string some(most, '\0');
        const auto got = co_await in.read_some(asio::buffer(some));
        r.read.append(some, 0, got);
        require(r.answer.body.starts_with(r.read), "the body of an answer");
        if (got == 0)
            check_end(r, r.read, in.trailers());
        co_return got != 0;
    }

    void explain(const asked& r, const std::exception_ptr& error) const
    {
        try {
            std::rethrow_exception(error);
        } catch (const oops&) {
        } catch (const asio::multiple_exceptions& all) {
            explain(r, all.first_exception());
        } catch (const boost::system::system_error& e) {
            require(is_explained(r, e.code()), e.what());
        }
    }

    bool is_explained(const asked& r, const loopsafe::error_code& ec) const
    {
        if (ec == http::errc::broken_write)
            return !r.made.empty() && r.made.back().broken;
        if (ec == http::errc::bad_length)
            return r.wrong_length;
        if (ec == asio::error::operation_aborted)
            return r.cancelled || passed_;
        if (ec == loopsafe::errc::pool_closed)
            return closed_;
        if (ec == http::condition::timeout)
            return passed_;
        return ec == http::condition::connection_lost && r.lost;
    }

    void cancel(unsigned which)
    {
        if (all_.empty())
            return;
        auto& r = all_[which % all_.size()];
        if (r.ended)
            return;
        steps_.tell("cancel request ", r.id);
        r.cancelled = true;
        r.signal.emit(asio::cancellation_type::terminal);
    }

    // Time, and whose turn it is ------------------------------------------------------------------

    bool poll(unsigned handlers)
    {
        context_->restart();
        unsigned n = 0;
        while (n <= handlers && context_->poll_one() != 0)
            ++n;
        return n != 0;
    }

    void accept()
    {
        for (int d = the_listener().accept(); d != -1; d = the_listener().accept()) {
            if (narrow_)
                listener::narrow(d);
            sides_.emplace_back(d, all_);
        }
    }

    void serve(unsigned how)
    {
        accept();
        constexpr std::size_t most[] = {everything, 1, 100, 3000};
        steps_.tell("the server takes and gives ", most[how % 4], " bytes at most");
        if (!sides_.empty())
            sides_[how / 4 % sides_.size()].serve(most[how % 4]);
    }

    bool serve_all()
    {
        accept();
        bool moved = false;
        for (auto& each : sides_)
            moved |= each.serve(everything);
        return moved;
    }

    void pass(unsigned how)
    {
        constexpr std::chrono::nanoseconds steps[] = {1ms, 10ms, 1s, 1min};
        passed_ = true;
        steps_.tell(steps[how] / 1ms, " ms pass");
        manual_clock::advance(*context_, steps[how]);
        // The system's timer is due, but takes its time, which would make runs differ.
        itimerspec ignored{};
        for (int d = 0; d != most_descriptors; ++d) {
            if (::timerfd_gettime(d, &ignored) != 0)
                continue;
            pollfd one{d, POLLIN, 0};
            ::poll(&one, 1, 1000);
        }
    }

    void end_orderly()
    {
        const auto goes_on = [](const asked& r) { return !r.ended; };
        for (int passes = 0; passes != 60;) {
            const bool polled = poll(1000);
            if (serve_all() || polled)
                continue;
            if (std::none_of(all_.begin(), all_.end(), goes_on))
                break;
            require(std::any_of(all_.begin(), all_.end(),
                                [](const asked& r) { return !r.ended && r.waits(); }) ||
                        std::any_of(sides_.begin(), sides_.end(),
                                    [](const side& s) { return s.stalls(); }),
                    "nothing happens any more, and a request has not ended");
            pass(++passes < 20 ? 1 : 3);
        }
        require(std::none_of(all_.begin(), all_.end(), goes_on), "a request does not end");
        const auto stats = client_->stats();
        require(stats.leased + stats.waiting + stats.connecting == 0, "a connection is lost");
        require(context_->stopped(), "a context has work when all has ended");
    }

    program& steps_;
    int frames_ = 0;
    int acquired_ = 0;
    int returned_ = 0;
    bool narrow_ = false;
    bool passed_ = false;
    bool closed_ = false;
    std::deque<asked> all_;
    std::deque<side> sides_;
    std::optional<asio::io_context> context_{std::in_place, 1};
    std::optional<client_type> client_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    the_listener();
    const auto before = open_among(most_descriptors);
    program steps(data, size);
    world(steps).run();
    require(open_among(most_descriptors) == before, "a descriptor is left");
    return 0;
}
