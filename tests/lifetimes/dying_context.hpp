// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_DYING_CONTEXT_HPP
#define LOOPSAFE_TESTS_LIFETIMES_DYING_CONTEXT_HPP

#include <loopsafe/connection_pool.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

// A context dies while an operation is pending on a connection that is leased, and another
// connection is idle. A `Kind` says what the connections are:
//
//   using stream = ...;
//   static awaitable<std::unique_ptr<stream>> connect(any_io_executor, tcp::endpoint);
//   static awaitable<void> serve(tcp::socket);   the peer's side of it
//   static awaitable<void> operate(stream&);     never completes by itself
//   static void touch(stream&);                  what a guard in a frame may do to it
namespace dying_context {

namespace asio = boost::asio;
using asio::ip::tcp;
using loopsafe::error_code;

enum class holder { guarded_frame, frame, survivor };
enum class services { older, younger }; // ours, than those of the streams

template <holder Holder, services Services>
struct death {
    static constexpr auto held_by = Holder;
    static constexpr auto ours = Services;
};

using guarded_older = death<holder::guarded_frame, services::older>;
using guarded_younger = death<holder::guarded_frame, services::younger>;
using frame_older = death<holder::frame, services::older>;
using frame_younger = death<holder::frame, services::younger>;
using survivor_older = death<holder::survivor, services::older>;
using survivor_younger = death<holder::survivor, services::younger>;

#define LOOPSAFE_EVERY_DEATH                                                                       \
    dying_context::guarded_older, dying_context::guarded_younger, dying_context::frame_older,      \
        dying_context::frame_younger, dying_context::survivor_older,                               \
        dying_context::survivor_younger

// Counts itself, and keeps its stream on the heap, where a sanitizer sees a late touch.
template <class Stream>
class connection {
public:
    connection(std::unique_ptr<Stream> stream, int& alive)
        : stream_(std::move(stream)), alive_(&alive)
    {
        ++alive;
    }
    connection(connection&& other) noexcept
        : stream_(std::move(other.stream_)), alive_(std::exchange(other.alive_, nullptr))
    {
    }
    connection& operator=(connection&&) = delete;
    ~connection()
    {
        stream_.reset();
        if (alive_ != nullptr)
            --*alive_;
    }

    Stream& stream() noexcept { return *stream_; }

private:
    std::unique_ptr<Stream> stream_;
    int* alive_;
};

template <class Kind>
class connector {
public:
    using connection_type = connection<typename Kind::stream>;

    connector(tcp::endpoint peer, int& alive) : peer_(std::move(peer)), alive_(&alive) {}

    asio::awaitable<connection_type> connect(asio::any_io_executor executor) const
    {
        co_return connection_type(co_await Kind::connect(executor, peer_), *alive_);
    }
    // Content with everything, so that only the pool's own rules protect a connection.
    bool is_clean(const connection_type&) const noexcept { return true; }
    bool probe(connection_type&) const noexcept { return true; }

private:
    tcp::endpoint peer_;
    int* alive_;
};

inline asio::awaitable<void> wait_for_ever(asio::any_io_executor executor)
{
    asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
}

template <class Kind>
class peer {
public:
    peer() : acceptor_(context_, {asio::ip::address_v4::loopback(), 0})
    {
        asio::co_spawn(context_, accept(), asio::detached);
    }

    tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
    void poll() { context_.poll(); }

private:
    asio::awaitable<void> accept()
    {
        for (;;) {
            auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
            asio::co_spawn(context_, Kind::serve(std::move(socket)), asio::detached);
        }
    }

    asio::io_context context_{1};
    tcp::acceptor acceptor_;
};

struct observed {
    const int& alive;
    int alive_with_frame = 0;
    bool operating = false;
    bool completed = false;
    bool frame_gone = false;
    bool guard_found_it = false;
    std::exception_ptr failure{};
};

template <class Kind>
using pool = loopsafe::connection_pool<connector<Kind>>;

template <class Kind>
struct guard {
    ~guard()
    {
        if (lease) {
            Kind::touch(lease->stream());
            seen.guard_found_it = true;
        }
    }

    typename pool<Kind>::lease_type& lease;
    observed& seen;
};

struct frame_spy {
    ~frame_spy()
    {
        seen.frame_gone = true;
        seen.alive_with_frame = seen.alive;
    }
    observed& seen;
};

template <class Kind>
asio::awaitable<void> hold(pool<Kind>& from, holder held_by,
                           typename pool<Kind>::lease_type& outside, observed& seen)
{
    const frame_spy spy{seen};
    {
        const auto one = co_await from.acquire();
        const auto two = co_await from.acquire();
    }
    outside = co_await from.acquire(); // the other one stays idle
    typename pool<Kind>::lease_type inside;
    if (held_by != holder::survivor)
        inside = std::move(outside);
    auto& lease = held_by == holder::survivor ? outside : inside;
    std::optional<guard<Kind>> guarding;
    if (held_by == holder::guarded_frame)
        guarding.emplace(lease, seen);
    seen.operating = true;
    co_await Kind::operate(lease->stream());
    seen.completed = true;
}

inline void make_every_service(asio::io_context& context)
{
    const asio::steady_timer timer(context);
    tcp::socket(context).open(tcp::v4());
    const tcp::acceptor acceptor(context);
    const tcp::resolver resolver(context);
    const asio::posix::stream_descriptor descriptor(context);
}

// What is to be seen once the context is gone.
struct aftermath {
    bool frame_gone = true;
    bool completed = false;
    bool guard_found_it = false;
    int alive_with_frame = 0; // when the frame went
    int alive = 0;
    std::size_t leased = 0;
    std::size_t idle = 0;
    std::uint64_t closed_by_death = 2;
    bool lease_usable = false;
    std::string lease_says = "nothing"; // to whoever still uses it

    friend bool operator==(const aftermath&, const aftermath&) = default;
    friend std::ostream& operator<<(std::ostream& out, const aftermath& a)
    {
        return out << "frame gone " << a.frame_gone << ", completed " << a.completed
                   << ", found by the guard " << a.guard_found_it << ", alive with the frame "
                   << a.alive_with_frame << ", alive " << a.alive << ", leased " << a.leased
                   << ", idle " << a.idle << ", closed by the death " << a.closed_by_death
                   << ", lease usable " << a.lease_usable << ", lease says " << a.lease_says;
    }
};

template <class Death>
aftermath promised()
{
    aftermath a;
    a.guard_found_it = Death::held_by == holder::guarded_frame;
    if (Death::held_by == holder::survivor) {
        a.alive_with_frame = 1;
        a.lease_says = make_error_code(loopsafe::errc::lease_expired).message();
    }
    return a;
}

template <class Lease>
std::string use(const Lease& lease)
{
    try {
        *lease;
        return "its connection";
    } catch (const loopsafe::context_error& e) {
        return e.code().message();
    }
}

template <class Kind, class Death>
aftermath context_dies()
{
    peer<Kind> remote;
    int alive = 0;
    observed seen{alive};
    std::optional<asio::io_context> context(std::in_place, 1);
    if constexpr (Death::ours == services::older)
        asio::use_service<loopsafe::residents>(*context);
    else
        make_every_service(*context);
    pool<Kind> connections(*context, connector<Kind>(remote.endpoint(), alive));
    typename pool<Kind>::lease_type outside;
    asio::co_spawn(*context, hold<Kind>(connections, Death::held_by, outside, seen),
                   [&](const std::exception_ptr& e) { seen.failure = e; });
    while (!seen.operating && !seen.failure) {
        context->poll();
        remote.poll();
    }
    while (context->poll() != 0) {}
    REQUIRE(seen.failure == nullptr);
    REQUIRE_FALSE(seen.completed);
    REQUIRE(alive == 2);
    REQUIRE(connections.stats().leased == 1);
    REQUIRE(connections.stats().idle == 1);

    context.reset();

    const auto stats = connections.stats();
    return {.frame_gone = seen.frame_gone,
            .completed = seen.completed,
            .guard_found_it = seen.guard_found_it,
            .alive_with_frame = seen.alive_with_frame,
            .alive = alive,
            .leased = stats.leased,
            .idle = stats.idle,
            .closed_by_death = stats.closed(loopsafe::close_reason::context_died),
            .lease_usable = static_cast<bool>(outside),
            .lease_says = Death::held_by == holder::survivor ? use(outside) : "nothing"};
}

} // namespace dying_context

TYPE_TO_STRING_AS("guarded frame/older services", dying_context::guarded_older);
TYPE_TO_STRING_AS("guarded frame/younger services", dying_context::guarded_younger);
TYPE_TO_STRING_AS("frame/older services", dying_context::frame_older);
TYPE_TO_STRING_AS("frame/younger services", dying_context::frame_younger);
TYPE_TO_STRING_AS("outliving lease/older services", dying_context::survivor_older);
TYPE_TO_STRING_AS("outliving lease/younger services", dying_context::survivor_younger);

#endif
