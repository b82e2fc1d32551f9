// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/http.hpp>
#include <loopsafe/pool/carry_over_pool.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <carry/dice.hpp>
#include <carry/disturb.hpp>
#include <carry/http_echo.hpp>
#include <carry/server.hpp>
#include <carry/tally.hpp>
#include <exception>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace http_echo_tests {

namespace {

namespace asio = boost::asio;
namespace http = loopsafe::http;
using namespace carry;
using http_echo::manner;
using client_type = http::basic_client<loopsafe::carry_over_pool>;

// How a caller's last request ends, if it ends.
enum class ending {
    idle,
    half_read,      // in the middle of a body, with nothing pending
    half_read_left, // the reader does not want the rest
    half_read_thrown,
    reading,
    writing,
    write_cancelled, // and the maker writes on
    cancelled,
    count
};

constexpr const char* names[] = {"idle",    "half_read", "half_read_left",  "half_read_thrown",
                                 "reading", "writing",   "write_cancelled", "cancelled"};
static_assert(std::size(names) == static_cast<std::size_t>(ending::count));

struct on_purpose : std::runtime_error {
    on_purpose() : runtime_error("on purpose") {}
};

// One of several who use the client in one context.
class user {
public:
    user(asio::io_context& context, server& remote, client_type& client, tally& t,
         std::uint64_t seed, std::uint64_t which)
        : context_(context),
          remote_(remote),
          client_(client),
          tally_(t),
          seed_(seed),
          dice_(seed * 4 + which)
    {
        how_ = static_cast<ending>(dice_.below(static_cast<std::size_t>(ending::count)));
        if (dice_.one_in(2))
            how_ = ending::idle;
    }

    void start()
    {
        asio::co_spawn(
            context_, live(),
            asio::bind_cancellation_slot(signal_.slot(), [this](const std::exception_ptr& e) {
                done_ = true;
                judge(e);
            }));
    }

    ending how() const noexcept { return how_; }
    bool done() const noexcept { return done_; }
    bool at_rest() const noexcept { return done_ || stuck_; }
    bool wants_cancellation() const noexcept
    {
        return how_ == ending::cancelled && stuck_ && !done_;
    }
    void cancel() { signal_.emit(asio::cancellation_type::terminal); }

private:
    static constexpr std::size_t most = 40'000;

    void judge(const std::exception_ptr& error)
    {
        try {
            if (error != nullptr)
                std::rethrow_exception(error);
        } catch (const on_purpose&) {
        } catch (const std::exception& e) {
            if (how_ != ending::cancelled || !stuck_)
                tally_.note(tally_.errors, seed_, e.what());
        }
    }

    asio::awaitable<void> live()
    {
        for (auto n = dice_.below(4); n != 0; --n)
            co_await exchange(any_manner());
        co_await end();
    }

    manner any_manner()
    {
        return dice_.one_in(2)
                   ? manner::plain
                   : static_cast<manner>(dice_.below(static_cast<std::size_t>(manner::half)));
    }

    http::request request(manner how)
    {
        asked_ = dice_.next();
        // What comes behind an answer comes along with it, if both are small.
        wanted_ = dice_.size(how == manner::unasked_behind ? 4'000 : most);
        const auto text = std::make_shared<std::string>(content(asked_, dice_.size(most)));
        const auto make = [this, text](http::body_writer& to) { return write(to, text); };
        http::request_body body(*text);
        if (how == manner::early || dice_.one_in(4))
            body = http::request_body::streamed(make, text->size(), true);
        http::request asks("POST", http_echo::target(how, asked_, wanted_), std::move(body));
        asks.replay = http::replay::safe;
        return asks;
    }

    asio::awaitable<void> write(http::body_writer& to, std::shared_ptr<std::string> text)
    {
        const auto half = text->size() / 2;
        if (co_await to.write(std::string_view(*text).substr(0, half))) {
            // The server has had its turn.
            remote_.tell(0, [](caller&) {});
            co_await to.write(std::string_view(*text).substr(half));
        }
    }

    asio::awaitable<void> exchange(manner how)
    {
        auto asks = request(how);
        const auto answer = co_await client_.send(std::move(asks));
        ++tally_.exchanges;
        if (answer.status != 200 || answer.headers.find("X-Id") != std::to_string(asked_) ||
            answer.body != content(~asked_, wanted_)) {
            tally_.note(tally_.wrong, seed_, "wrong bytes");
            throw on_purpose();
        }
    }

    asio::awaitable<void> wait_for_ever()
    {
        asio::steady_timer never_expires(context_, asio::steady_timer::time_point::max());
        stuck_ = true;
        co_await never_expires.async_wait(asio::use_awaitable);
    }

    asio::awaitable<void> read_half(http::incoming_response& r)
    {
        std::string some(wanted_ / 2, '\0');
        std::size_t got = 0;
        if (!some.empty())
            got = co_await r.read_some(asio::buffer(some));
        if (content(~asked_, wanted_).compare(0, got, some, 0, got) != 0)
            tally_.note(tally_.wrong, seed_, "wrong bytes in a half");
        if (how_ == ending::half_read)
            co_await wait_for_ever();
        if (how_ == ending::half_read_thrown)
            throw on_purpose();
    }

    asio::awaitable<void> end()
    {
        switch (how_) {
        case ending::idle: co_await exchange(any_manner()); break;
        case ending::half_read:
        case ending::half_read_left:
        case ending::half_read_thrown: {
            auto asks = request(dice_.one_in(2) ? manner::half : manner::plain);
            auto reader = [this](http::incoming_response& r) { return read_half(r); };
            co_await client_.with_response(std::move(asks), reader);
            break;
        }
        case ending::reading:
        case ending::cancelled: {
            auto asks = request(manner::silent);
            stuck_ = true;
            co_await client_.send(std::move(asks));
            break;
        }
        case ending::writing: {
            http::request asks("POST", http_echo::target(manner::deaf, 1, 0),
                               std::string(6'000'000, 'x'));
            asks.replay = http::replay::safe;
            stuck_ = true;
            co_await client_.send(std::move(asks));
            break;
        }
        case ending::write_cancelled: {
            const auto make = [this](http::body_writer& to) { return cancel_and_write_on(to); };
            http::request asks("POST", http_echo::target(manner::deaf, 1, 0),
                               http::request_body::streamed(make, 6'000'001, true));
            asks.replay = http::replay::safe; // an answer's close may come while this is written
            try {
                co_await client_.send(std::move(asks));
                tally_.note(tally_.wrong, seed_, "a broken body was sent");
            } catch (const http::error& e) {
                if (e.code() != http::errc::broken_write)
                    throw;
            }
            break;
        }
        case ending::count: break;
        }
    }

    asio::awaitable<void> cancel_and_write_on(http::body_writer& to)
    {
        using namespace asio::experimental::awaitable_operators;
        const std::string much(6'000'000, 'x'); // more than a deaf server's socket takes
        asio::steady_timer now(context_, asio::steady_timer::time_point::min());
        co_await (to.write(much) || now.async_wait(asio::use_awaitable));
        co_await to.write("G");
    }

    asio::io_context& context_;
    server& remote_;
    client_type& client_;
    tally& tally_;
    const std::uint64_t seed_;
    dice dice_;
    ending how_{};
    asio::cancellation_signal signal_;
    bool done_ = false;
    bool stuck_ = false; // waits for what does not come
    std::uint64_t asked_ = 0;
    std::size_t wanted_ = 0;
};

// One context, from its birth to its death.
void invoke(server& remote, client_type& client, tally& t, std::uint64_t seed)
{
    dice d(~seed);
    std::list<user> users;
    asio::io_context context(1);
    for (auto n = 1 + d.below(d.one_in(3) ? 3 : 1); n != 0; --n)
        users.emplace_back(context, remote, client, t, seed, n);
    for (auto& each : users)
        each.start();
    const bool at_any_moment = d.one_in(4);
    const auto limit = at_any_moment ? d.below(60) : static_cast<std::size_t>(-1);
    const auto all_at_rest = [&] {
        return std::all_of(users.begin(), users.end(), [](auto& each) { return each.at_rest(); });
    };
    for (std::size_t n = 0; n != limit && !all_at_rest(); ++n)
        context.run_one();
    if (!at_any_moment) {
        context.restart();
        while (context.poll() != 0) {}
        for (auto& each : users) {
            if (each.wants_cancellation()) {
                each.cancel();
                while (!each.done())
                    context.run_one();
            }
        }
    }
    t.cut_short += client.stats().connecting;
    ++t.invocations;
    for (const auto& each : users)
        ++t.deaths[at_any_moment && !each.done() ? "any_moment"
                                                 : names[static_cast<std::size_t>(each.how())]];
}

void run_many(std::uint64_t many, int tls)
{
    server remote(http_echo::serve, tls);
    tally t;
    loopsafe::pool_stats s;
    const auto started = std::chrono::steady_clock::now();
    {
        http::carried_client_options with;
        with.base_url =
            (tls != 0 ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(remote.port());
        if (tls != 0)
            with.tls.trusted_file = remote.root_file();
        with.idle_timeout = std::chrono::minutes(10);
        with.probe_after = std::chrono::milliseconds::zero();
        client_type client(with);
        for (std::uint64_t i = 0; i != many; ++i) {
            const auto seed = first_seed() + i;
            invoke(remote, client, t, seed);
            s = client.stats();
            const auto parked = remote.client_descriptors();
            check_figures(t, seed, s, parked.size());
            remote.tell(0, [](caller& c) { c.deaf = false; });
            dice d(seed);
            for (const auto& each : parked) {
                if (d.one_in(4))
                    disturb(remote, each, d, t, tls, http_echo::unasked());
            }
        }
    }
    remote.tell(0, [](caller&) {});
    if (many != few)
        print(tls != 0 ? "https" : "http", t, s, remote.accepted(),
              std::chrono::steady_clock::now() - started);
    INFO(t.first, "; the server: ", remote.first_wrong());
    CHECK(s.adopted > many / 8);
    check_end(t, s, static_cast<std::uint64_t>(remote.accepted()),
              static_cast<std::uint64_t>(remote.wrong()));
}

} // namespace

TEST_CASE("an echo over HTTP survives any number of deaths without a wrong byte")
{
    check_leaves_nothing(invocations(2, 10), [](std::uint64_t many) { run_many(many, 0); });
}

TEST_CASE("an echo over HTTPS survives any number of deaths without a wrong byte")
{
    check_leaves_nothing(invocations(2, 10),
                         [](std::uint64_t many) { run_many(many, TLS1_3_VERSION); });
}

} // namespace http_echo_tests
