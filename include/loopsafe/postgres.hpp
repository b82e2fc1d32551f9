// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_HPP
#define LOOPSAFE_POSTGRES_HPP

/// PostgreSQL through libpq, asynchronous, on the context that acquires the connection.
///
///     loopsafe::connection_pool<loopsafe::postgres::connector, loopsafe::null_pool> db{
///         loopsafe::postgres::connector{"host=db.example user=app sslmode=verify-full"}};
///
///     auto lease = co_await db.acquire();
///     auto rows = co_await lease->query("select id, name from users where id > $1", 41);
///     for (auto row : rows) {
///         auto [id, name] = row.as<int, std::optional<std::string>>();
///     }
///
/// Programs that include this header link to libpq.
#include <loopsafe/postgres/codec.hpp>
#include <loopsafe/postgres/connection.hpp>
#include <loopsafe/postgres/connector.hpp>
#include <loopsafe/postgres/diagnostics.hpp>
#include <loopsafe/postgres/error.hpp>
#include <loopsafe/postgres/result.hpp>
#include <loopsafe/postgres/statement.hpp>

#endif
