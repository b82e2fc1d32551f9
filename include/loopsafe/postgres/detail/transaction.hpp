// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_TRANSACTION_HPP
#define LOOPSAFE_POSTGRES_DETAIL_TRANSACTION_HPP

#include <loopsafe/async/detail/is_awaitable.hpp>
#include <loopsafe/postgres/detail/exchange.hpp>

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace loopsafe::postgres::detail {

template <class Body, class Connection>
using awaitable_of = std::invoke_result_t<Body&, Connection&>;

template <class Body, class Connection>
concept transaction_body = std::invocable<Body&, Connection&> &&
                           loopsafe::detail::is_awaitable<std::invoke_result_t<Body&, Connection&>>;

// Its name stands in the compiler's error.
struct pass_a_coroutine_that_takes_a_connection_by_reference_and_returns_an_awaitable {};

inline asio::awaitable<std::uint64_t> affected_rows(asio::awaitable<result> pending)
{
    co_return (co_await std::move(pending)).affected_rows();
}

inline asio::awaitable<void> begin(session_in_turn asked, statement sql)
{
    const auto& s = asked.get();
    if (s != nullptr && !s->closed() && !s->broken && s->in_transaction()) {
        asked.require(co_await asio::this_coro::executor, "transaction", sql.where());
        throw error(errc::transaction_open, stage::transaction, {}, sql.where());
    }
    const auto where = sql.where();
    const auto kept = s;
    co_await exchange(std::move(asked), std::move(sql), {}, stage::transaction);
    if (!kept->closed() && !kept->broken && !kept->in_transaction())
        throw error(errc::transaction_failed, stage::transaction,
                    {.message = "the statement that should begin the transaction has not"}, where);
}

// Sends nothing if the session cannot be used: closing it also rolls back.
inline asio::awaitable<void> roll_back(std::shared_ptr<session> s, std::source_location where)
{
    if (s->closed() || s->broken || s->busy || !s->in_transaction())
        co_return;
    try {
        co_await exchange(s, statement("rollback", where), {}, stage::transaction);
    } catch (...) { // the failure of the body matters more
    }
}

// `ends`: the session's when the transaction began.
inline asio::awaitable<void> commit(std::shared_ptr<session> s, std::uint64_t ends,
                                    std::source_location where)
{
    if (!s->closed() && !s->broken && PQtransactionStatus(s->handle()) == PQTRANS_INERROR) {
        co_await roll_back(s, where);
        throw error(errc::transaction_failed, stage::transaction, {}, where);
    }
    const bool same = s->ends.count() == ends && s->in_transaction();
    if (!s->closed() && !s->broken && !s->busy && !same) {
        co_await roll_back(s, where); // another, if the body has begun one
        throw error(errc::transaction_failed, stage::transaction,
                    {.message = "the transaction has ended before transaction() could commit it: "
                                "its function must not begin, commit or roll back one itself"},
                    where);
    }
    co_await exchange(s, statement("commit", where), {}, stage::transaction);
}

// Body is a reference if the caller keeps it.
template <class Body, class Connection>
awaitable_of<Body, Connection> in_transaction(Connection& connection, session_in_turn asked,
                                              statement sql, std::type_identity_t<Body> body)
{
    using value_type = typename awaitable_of<Body, Connection>::value_type;
    using stored_type = std::conditional_t<std::is_void_v<value_type>, char, value_type>;
    const auto where = sql.where();
    const auto s = asked.get();
    co_await begin(std::move(asked), std::move(sql));
    const auto ends = s->ends.count();

    std::optional<stored_type> value;
    std::exception_ptr failure;
    try {
        if constexpr (std::is_void_v<value_type>)
            co_await body(connection);
        else
            value.emplace(co_await body(connection));
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        co_await roll_back(s, where);
        std::rethrow_exception(failure);
    }
    co_await commit(s, ends, where);
    if constexpr (!std::is_void_v<value_type>)
        co_return *std::move(value);
}

} // namespace loopsafe::postgres::detail

#endif
