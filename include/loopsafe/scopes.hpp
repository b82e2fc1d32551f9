// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_SCOPES_HPP
#define LOOPSAFE_SCOPES_HPP

/// Tasks that end before whoever started them goes on: `with_tasks()` for any number, `all()`,
/// `race()` and `first_success()` for a few. `with()` closes a resource before it goes on,
/// `with_deadline()` gives up in time, and `on_home()` runs on another context.
///
///     auto [user, orders] = co_await loopsafe::all(fetch_user(id), fetch_orders(id));
#include <loopsafe/run/combine.hpp>
#include <loopsafe/run/on_home.hpp>
#include <loopsafe/run/task_scope.hpp>
#include <loopsafe/run/with.hpp>
#include <loopsafe/run/with_deadline.hpp>

#endif
