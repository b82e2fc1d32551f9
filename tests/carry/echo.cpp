// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/connection_pool.hpp>
#include <loopsafe/pool/carry_over_pool.hpp>
#include <loopsafe/tcp.hpp>
#include <loopsafe/tls.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <carry/dice.hpp>
#include <carry/disturb.hpp>
#include <carry/echo.hpp>
#include <carry/server.hpp>
#include <carry/tally.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace echo_tests {

namespace {

namespace asio = boost::asio;
using namespace carry;
using echo::manner;

// How an invocation ends, with its last lease. What follows names the place of the lease.
enum class ending {
    idle,               // all is answered, and given back by release()
    implicit,           // all is answered, and the lease just ends
    any_moment,         // after so many handlers, wherever that is
    half_read,          // in the middle of an answer, with nothing pending
    half_read_implicit, // the same, and the lease has ended without a word
    reading,
    reading_released, // somebody calls release() although a read is pending
    writing,
    writing_released,
    thrown,             // an exception in the middle of an answer
    cancelled_released, // a read is cancelled, and then comes release()
    unread_released,    // release() although the half that has come is not read
    unasked_released,   // an answer that is read, and what follows it is not
    gone_released,      // an answer that is read, and then the server's good-bye or end
    goodbye_released,   // the client's own good-bye
    count
};

constexpr const char* names[] = {"idle",
                                 "implicit",
                                 "any_moment",
                                 "half_read",
                                 "half_read_implicit",
                                 "reading",
                                 "reading_released",
                                 "writing",
                                 "writing_released",
                                 "thrown",
                                 "cancelled_released",
                                 "unread_released",
                                 "unasked_released",
                                 "gone_released",
                                 "goodbye_released"};
static_assert(std::size(names) == static_cast<std::size_t>(ending::count));

struct on_purpose : std::runtime_error {
    on_purpose() : runtime_error("on purpose") {}
};

struct tcp_world {
    using connector = loopsafe::tcp_connector;
    static constexpr const char* name = "tcp";
    static constexpr int tls = 0;

    static connector connect_to(const server& s)
    {
        return connector({asio::ip::address_v4::loopback(), s.port()});
    }
};

template <int Version>
struct tls_world {
    using connector = loopsafe::tls_connector;
    static constexpr const char* name = Version == TLS1_3_VERSION ? "tls 1.3" : "tls 1.2";
    static constexpr int tls = Version;

    static connector connect_to(const server& s)
    {
        loopsafe::tls_options options;
        options.trusted_file = s.root_file();
        return connector({asio::ip::address_v4::loopback(), s.port()}, options);
    }
};

// One context, from its birth to its death, and what it did with the pool.
template <class World>
class invocation {
public:
    using pool_type =
        loopsafe::connection_pool<typename World::connector, loopsafe::carry_over_pool>;
    using lease_type = typename pool_type::lease_type;
    using stream_type = typename World::connector::connection_type;

    invocation(const server& remote, pool_type& pool, tally& t, std::uint64_t seed, ports& spoilt)
        : remote_(remote), pool_(pool), tally_(t), seed_(seed), dice_(seed), spoilt_(spoilt)
    {
        how_ = static_cast<ending>(dice_.below(static_cast<std::size_t>(ending::count)));
        if (dice_.one_in(2))
            how_ = dice_.one_in(3) ? ending::any_moment : ending::idle;
        outside_ =
            dice_.one_in(2) || how_ == ending::reading_released || how_ == ending::writing_released;
        connections_ = 1 + dice_.below(dice_.one_in(3) ? 3 : 1);
        most_handlers_ = how_ == ending::any_moment ? dice_.below(40) : never;
    }

    void run()
    {
        asio::co_spawn(
            *context_, live(),
            asio::bind_cancellation_slot(signal_.slot(), [this](const std::exception_ptr& e) {
                done_ = true;
                error_ = e;
            }));
        for (std::size_t n = 0; n != most_handlers_ && !done_ && !stuck_; ++n)
            context_->run_one();
        while (stuck_ && !done_ && context_->poll() != 0) {}
        if (how_ == ending::cancelled_released && stuck_) {
            signal_.emit(asio::cancellation_type::terminal);
            while (!done_)
                context_->run_one();
        }
        if (how_ == ending::reading_released || how_ == ending::writing_released)
            kept_.back().release();
        judge();
        tally_.cut_short += pool_.stats().connecting;
        if (dice_.one_in(8))
            kept_.clear();
        context_.reset();
        kept_.clear();
        ++tally_.invocations;
        ++tally_.deaths[names[static_cast<std::size_t>(how_)]];
    }

private:
    static constexpr auto never = static_cast<std::size_t>(-1);
    static constexpr std::size_t most = 40'000;

    void judge()
    {
        if (error_ == nullptr)
            return;
        try {
            std::rethrow_exception(error_);
        } catch (const on_purpose&) {
        } catch (const std::exception& e) {
            if (how_ != ending::reading_released && how_ != ending::writing_released)
                tally_.note(tally_.errors, seed_, e.what());
        }
    }

    asio::awaitable<void> live()
    {
        std::vector<lease_type> in_frame;
        auto& leases = outside_ ? kept_ : in_frame;
        for (std::size_t i = 0; i != connections_; ++i) {
            co_await acquire(leases);
            for (auto n = dice_.below(3); n != 0; --n) {
                co_await exchange(*leases.back(), any_manner());
                if (!dice_.one_in(4))
                    continue;
                leases.back().release();
                leases.pop_back();
                co_await acquire(leases);
            }
        }
        for (std::size_t i = 0; i + 1 != connections_; ++i)
            leases[i].release();
        co_await end(leases);
    }

    // What was parked and is good is adopted, and nothing else.
    asio::awaitable<void> acquire(std::vector<lease_type>& leases)
    {
        const auto before = pool_.stats();
        auto lease = co_await pool_.acquire();
        const auto after = pool_.stats();
        leases.push_back(std::move(lease));
        const bool there = before.idle != 0 || before.parked > spoilt_.size();
        if (there == (after.connects != before.connects))
            tally_.note(tally_.refound, seed_,
                        there ? "a good connection was not adopted" : "adopted what is spoilt");
        forget_closed(spoilt_, remote_.client_descriptors());
        std::erase(spoilt_, port_of(leases.back()));
        if constexpr (World::tls != 0) {
            SSL* const ssl = leases.back()->native_handle();
            if (SSL_is_init_finished(ssl) == 0 || SSL_has_pending(ssl) == 1) {
                tally_.note(tally_.refound, seed_, "adopted in the middle of a message");
                throw on_purpose();
            }
        }
    }

    manner any_manner()
    {
        static constexpr std::array usual{manner::plain, manner::plain, manner::ticket_before,
                                          manner::keys_before};
        return usual[dice_.below(usual.size())];
    }

    asio::awaitable<void> ask(stream_type& stream, manner how, std::size_t size = most + 1)
    {
        asked_ = dice_.next() | 1;
        wanted_ = dice_.size(most);
        const auto text =
            echo::request(asked_, size > most ? dice_.size(most) : size, wanted_, how);
        co_await asio::async_write(stream, asio::buffer(text), asio::use_awaitable);
    }

    // The next so many bytes of the answer, in pieces of any size.
    asio::awaitable<void> read(stream_type& stream, std::size_t size)
    {
        const auto from = got_.size();
        got_.resize(from + size);
        for (std::size_t at = from; at != got_.size();) {
            const auto piece = std::min(got_.size() - at, 1 + dice_.size(20'000));
            at += co_await stream.async_read_some(asio::buffer(&got_[at], piece),
                                                  asio::use_awaitable);
        }
    }

    asio::awaitable<void> hear(stream_type& stream)
    {
        got_.clear();
        const auto expected = echo::answer(asked_, wanted_);
        co_await read(stream, sizeof(echo::head));
        if (std::string_view(got_) == std::string_view(expected).substr(0, got_.size()))
            co_await read(stream, wanted_);
        ++tally_.exchanges;
        if (got_ != expected) {
            tally_.note(tally_.wrong, seed_, "wrong bytes");
            throw on_purpose();
        }
    }

    asio::awaitable<void> exchange(stream_type& stream, manner how)
    {
        co_await ask(stream, how);
        co_await hear(stream);
    }

    // With half of an answer read, and the other half owed.
    asio::awaitable<void> hear_half(stream_type& stream)
    {
        co_await ask(stream, manner::half);
        got_.clear();
        co_await read(stream, 1 + dice_.below((sizeof(echo::head) + wanted_) / 2));
    }

    asio::awaitable<void> wait_for_ever()
    {
        asio::steady_timer never_expires(*context_, asio::steady_timer::time_point::max());
        stuck_ = true;
        co_await never_expires.async_wait(asio::use_awaitable);
    }

    asio::awaitable<void> end(std::vector<lease_type>& leases)
    {
        auto& stream = *leases.back();
        std::array<char, 1> byte;
        switch (how_) {
        case ending::idle:
        case ending::any_moment:
            co_await exchange(stream, behind());
            leases.back().release();
            break;
        case ending::implicit: co_await exchange(stream, manner::plain); break;
        case ending::half_read:
            co_await hear_half(stream);
            co_await wait_for_ever();
            break;
        case ending::half_read_implicit:
            co_await hear_half(stream);
            leases.pop_back();
            break;
        case ending::reading:
        case ending::reading_released:
            co_await ask(stream, manner::silent);
            stuck_ = true;
            co_await stream.async_read_some(asio::buffer(byte), asio::use_awaitable);
            break;
        case ending::writing:
        case ending::writing_released:
            stream.lowest_layer().set_option(asio::socket_base::send_buffer_size(4096));
            stuck_ = true;
            co_await overfill(stream);
            break;
        case ending::thrown: co_await hear_half(stream); throw on_purpose();
        case ending::cancelled_released: {
            co_await ask(stream, manner::silent);
            stuck_ = true;
            const auto [ec, n] = co_await stream.async_read_some(
                asio::buffer(byte), asio::as_tuple(asio::use_awaitable));
            if (ec == asio::error::operation_aborted)
                leases.back().release();
            break;
        }
        case ending::unread_released: {
            co_await ask(stream, manner::plain);
            got_.clear();
            await_input(stream.lowest_layer().native_handle());
            co_await read(stream, 1 + dice_.below(sizeof(echo::head) - 1));
            await_rest(stream);
            spoil(leases);
            break;
        }
        case ending::unasked_released:
            co_await exchange(stream, manner::unasked_behind);
            await_rest(stream);
            spoil(leases);
            break;
        case ending::gone_released:
            co_await exchange(stream,
                              dice_.one_in(2) ? manner::goodbye_behind : manner::close_behind);
            await_rest(stream);
            spoil(leases);
            break;
        case ending::goodbye_released:
            co_await exchange(stream, manner::plain);
            if constexpr (World::tls != 0)
                SSL_shutdown(stream.native_handle());
            leases.back().release();
            break;
        case ending::count: break;
        }
    }

    manner behind()
    {
        static constexpr std::array some{manner::plain, manner::plain, manner::ticket_behind,
                                         manner::keys_behind};
        return some[dice_.below(some.size())];
    }

    asio::awaitable<void> overfill(stream_type& stream)
    {
        const auto text = echo::request(1, 500'000, 0, manner::deaf);
        co_await asio::async_write(stream, asio::buffer(text), asio::use_awaitable);
    }

    // Until what the server said has come, or is in memory.
    static void await_rest(stream_type& stream)
    {
        if constexpr (World::tls != 0) {
            if (SSL_has_pending(stream.native_handle()) == 1)
                return;
        }
        await_input(stream.lowest_layer().native_handle());
    }

    // It may be parked, but must not be adopted.
    void spoil(std::vector<lease_type>& leases)
    {
        spoilt_.push_back(port_of(leases.back()));
        leases.back().release();
    }

    static unsigned short port_of(const lease_type& lease)
    {
        return lease->lowest_layer().local_endpoint().port();
    }

    std::vector<lease_type> kept_; // outlives the context
    std::unique_ptr<asio::io_context> context_ = std::make_unique<asio::io_context>(1);
    const server& remote_;
    pool_type& pool_;
    tally& tally_;
    const std::uint64_t seed_;
    dice dice_;
    ports& spoilt_; // of what is parked, maybe, and is good for nothing
    ending how_{};
    bool outside_ = false;
    std::size_t connections_ = 1;
    std::size_t most_handlers_ = never;
    asio::cancellation_signal signal_;
    bool done_ = false;
    bool stuck_ = false;
    std::exception_ptr error_;
    std::uint64_t asked_ = 0;
    std::size_t wanted_ = 0;
    std::string got_;
};

template <class World>
void run_many(std::uint64_t many)
{
    server remote(echo::serve, World::tls);
    tally t;
    loopsafe::pool_stats s;
    const auto started = std::chrono::steady_clock::now();
    {
        typename invocation<World>::pool_type pool(World::connect_to(remote));
        ports spoilt;
        for (std::uint64_t i = 0; i != many; ++i) {
            const auto seed = first_seed() + i;
            invocation<World>(remote, pool, t, seed, spoilt).run();
            s = pool.stats();
            const auto parked = remote.client_descriptors();
            check_figures(t, seed, s, parked.size());
            forget_closed(spoilt, parked);
            remote.tell(0, [](caller& c) { c.deaf = false; });
            dice d(~seed);
            for (const auto& each : parked) {
                if (d.one_in(4) &&
                    std::find(spoilt.begin(), spoilt.end(), each.port) == spoilt.end() &&
                    !disturb(remote, each, d, t, World::tls, echo::unasked()))
                    spoilt.push_back(each.port);
            }
        }
    }
    remote.tell(0, [](caller&) {});
    if (many != few)
        print(World::name, t, s, remote.accepted(), std::chrono::steady_clock::now() - started);
    INFO(t.first, "; the server: ", remote.first_wrong());
    CHECK(s.adopted > many / 8); // else nothing of this was tried
    check_end(t, s, static_cast<std::uint64_t>(remote.accepted()),
              static_cast<std::uint64_t>(remote.wrong()));
}

template <class World>
void run_all(std::uint64_t parts, std::uint64_t of)
{
    check_leaves_nothing(invocations(parts, of), [](std::uint64_t many) { run_many<World>(many); });
}

} // namespace

TEST_CASE("an echo over TCP survives any number of deaths without a wrong byte")
{
    run_all<tcp_world>(2, 10);
}

TEST_CASE("an echo over TLS 1.3 survives any number of deaths without a wrong byte")
{
    run_all<tls_world<TLS1_3_VERSION>>(3, 10);
}

TEST_CASE("an echo over TLS 1.2 survives any number of deaths without a wrong byte")
{
    run_all<tls_world<TLS1_2_VERSION>>(1, 10);
}

} // namespace echo_tests
