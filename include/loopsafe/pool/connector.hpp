// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_CONNECTOR_HPP
#define LOOPSAFE_POOL_CONNECTOR_HPP

#include <loopsafe/config.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <concepts>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace loopsafe {

/// The connector names its connection: `using connection_type = ...;`. A connection moves without
/// throwing, and closes itself when it is destroyed.
template <class C>
concept names_a_connection_type =
    requires { typename C::connection_type; } &&
    std::is_nothrow_move_constructible_v<typename C::connection_type> &&
    std::is_nothrow_destructible_v<typename C::connection_type>;

/// `co_await c.connect(executor)` returns a connection whose objects are made on `executor`.
///
/// It runs on that context and must support terminal cancellation: the pool's connect deadline is a
/// cancellation. Throw the exception that best explains a failure.
template <class C>
concept can_connect = requires(const C& c, boost::asio::any_io_executor executor) {
    { c.connect(executor) } -> std::same_as<boost::asio::awaitable<typename C::connection_type>>;
};

/// `co_await c.connect(executor, where)` exists as well: `where` is the place of the `acquire()`,
/// for the errors of the connector.
template <class C>
concept can_connect_for =
    requires(const C& c, boost::asio::any_io_executor executor, std::source_location where) {
        {
            c.connect(executor, where)
        } -> std::same_as<boost::asio::awaitable<typename C::connection_type>>;
    };

/// `c.is_clean(connection)` returns whether the connection is between messages: every operation
/// begun on it has completed without error, nothing is left unread, no transaction is open.
///
/// It is called when a lease ends, on the thread that ends it and with a lock of the pool held: it
/// may only look at what the connection has in memory, and must not call the pool. If a connection
/// can be carried (`can_carry`), it is called once more before `detach()`.
template <class C>
concept can_tell_clean = requires(const C& c, const typename C::connection_type& connection) {
    { c.is_clean(connection) } noexcept -> std::same_as<bool>;
};

/// `c.probe(connection)` returns whether an idle connection still seems alive.
///
/// It is called before reuse, on the connection's context. It must not wait: check what the
/// operating system knows (a peek, as `seems_alive(socket)` of `<loopsafe/tcp.hpp>`), and return
/// false if in doubt.
template <class C>
concept can_probe = requires(const C& c, typename C::connection_type& connection) {
    { c.probe(connection) } noexcept -> std::same_as<bool>;
};

/// How connections of one kind are made, judged and probed.
///
/// All members are called through a const reference, possibly from several threads at once.
/// Closing is the destructor of the connection. More members are used if they exist, and those of
/// `can_carry`:
///
/// * `awaitable<void> reset(connection) const` resets a reused connection to the state of a new
///   one. It runs in the frame of the acquire that reuses the connection, under the connect
///   deadline; if it throws, the connection is closed and a new one is made. It requires `bool
///   needs_reset(const connection) const noexcept`, which is called first, under the rules of
///   `is_clean`.
/// * `bool postpone_reset(connection, std::chrono::milliseconds limit) const noexcept` has a
///   connection reset itself with its first operation, and that within `limit`, or returns false.
///   It is called before `reset`, under the rules of `is_clean`. Where a probe is due, `reset`
///   follows all the same.
/// * `void abandon(connection) const noexcept` closes the descriptor without sending anything to
///   the peer. A forked child calls it for connections that belong to its parent.
/// * `void returned(connection) const noexcept` is called when a lease has ended and its connection
///   is kept, under the rules of `is_clean`. Operations that the holder made and never awaited can
///   be made void there.
/// * `static constexpr bool frames_messages = true;` states that `is_clean` knows where messages
///   end. Without it, a connection is closed if its lease ends while an exception is passing
///   through, since that may have happened in mid-message.
/// * `bool needs_probe(const connection) const noexcept` has an idle connection probed, whatever
/// the
///   pool's `probe_after`. It is called before each reuse, under the rules of `is_clean`, and may
///   look at the socket.
template <class C>
concept connector = names_a_connection_type<C> && can_connect<C> && can_tell_clean<C> &&
                    can_probe<C> && std::move_constructible<C>;

namespace detail {

// Says what a connector lacks. The pools check the concept as well: Clang then says no more.
template <class C>
struct checked_connector {
    static_assert(names_a_connection_type<C>,
                  "the connector does not meet the concept loopsafe::connector: it lacks `using "
                  "connection_type = ...;`, or that type may throw when it is moved");
};
template <names_a_connection_type C>
struct checked_connector<C> {
    static_assert(can_connect<C>,
                  "the connector does not meet the concept loopsafe::connector: it lacks "
                  "`boost::asio::awaitable<connection_type> connect(boost::asio::any_io_executor) "
                  "const`");
    static_assert(can_tell_clean<C>,
                  "the connector does not meet the concept loopsafe::connector: it lacks `bool "
                  "is_clean(const connection_type&) const noexcept`");
    static_assert(can_probe<C>, "the connector does not meet the concept loopsafe::connector: it "
                                "lacks `bool probe(connection_type&) const noexcept`");
    static_assert(
        std::move_constructible<C>,
        "the connector does not meet the concept loopsafe::connector: it cannot be moved");
};

} // namespace detail

/// It has `needs_reset()` and `reset()`; see `connector`.
template <class C>
concept can_reset = requires(const C& c, typename C::connection_type& connection) {
    { c.needs_reset(std::as_const(connection)) } noexcept -> std::same_as<bool>;
    { c.reset(connection) } -> std::same_as<boost::asio::awaitable<void>>;
};

/// It can reset, and has `postpone_reset()`; see `connector`.
template <class C>
concept can_postpone_reset =
    can_reset<C> && requires(const C& c, typename C::connection_type& connection) {
        {
            c.postpone_reset(connection, std::chrono::milliseconds())
        } noexcept -> std::same_as<bool>;
    };

/// It has `needs_probe()`; see `connector`.
template <class C>
concept can_ask_for_probe = requires(const C& c, typename C::connection_type& connection) {
    { c.needs_probe(std::as_const(connection)) } noexcept -> std::same_as<bool>;
};

/// It has `returned()`; see `connector`.
template <class C>
concept can_end_turn = requires(const C& c, typename C::connection_type& connection) {
    { c.returned(connection) } noexcept;
};

/// It has `abandon()`; see `connector`.
template <class C>
concept can_abandon = requires(const C& c, typename C::connection_type& connection) {
    { c.abandon(connection) } noexcept;
};

/// Its connections can be carried from a dying context to the next one (`carry_over_pool`).
///
/// * `using handle_type = ...;` holds a connection outside of any context. It moves without
///   throwing, and closes the connection when it is destroyed, on whatever thread.
/// * `c.detach(connection)` takes the connection out of its context, which is being destroyed, and
///   returns the handle, or nothing if that is not possible. No operation is pending on the
///   connection, and the rest of it is destroyed afterwards.
/// * `c.attach(std::move(handle), executor)` makes a connection from the handle, in the context of
///   `executor`, which runs the caller. It must not wait. If it throws, the handle is destroyed,
///   and the caller gets another connection.
/// * If `abandon(connection)` exists, `abandon(handle)` must exist, too: the destructor of the
///   handle then sends nothing to the peer. A connection made of sockets needs both: a socket that
///   was assign()ed its descriptor removes it from Asio's epoll set as it closes, and a forked
///   child shares that set with its parent. `tcp_connector` shows how.
///
/// A connector without `frames_messages` is carried only if its last lease ended in
/// `lease::release()`.
template <class C>
concept can_carry =
    requires { typename C::handle_type; } &&
    std::is_nothrow_move_constructible_v<typename C::handle_type> &&
    std::is_nothrow_destructible_v<typename C::handle_type> &&
    requires(const C& c, typename C::connection_type& connection, typename C::handle_type& handle,
             const boost::asio::any_io_executor& executor) {
        { c.detach(connection) } noexcept -> std::same_as<std::optional<typename C::handle_type>>;
        { c.attach(std::move(handle), executor) } -> std::same_as<typename C::connection_type>;
        requires !can_abandon<C> || requires {
            { c.abandon(handle) } noexcept;
        };
    };

/// `is_clean()` knows where messages end; see `connector`.
template <class C>
concept frames_messages = requires { requires C::frames_messages; };

} // namespace loopsafe

#endif
