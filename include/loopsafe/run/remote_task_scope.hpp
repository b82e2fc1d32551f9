// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_REMOTE_TASK_SCOPE_HPP
#define LOOPSAFE_RUN_REMOTE_TASK_SCOPE_HPP

#include <loopsafe/detail/safe_as_temporary.hpp>
#include <loopsafe/run/detail/hop.hpp>
#include <loopsafe/run/detail/tasks.hpp>

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <source_location>
#include <type_traits>
#include <utility>

namespace loopsafe {

/// Starts tasks in a scope from other threads and contexts: `task_scope::remote()`.
///
/// It may be copied, kept and destroyed anywhere, also when scope and context are gone. The
/// function of a task is moved to the scope's context, as that of `on_home()` is.
///
/// Thread safety: distinct objects safe, shared objects safe for const members.
class remote_task_scope {
public:
    /// Posts the task to the scope. False where scope or context is gone. True: it begins, unless
    /// the scope is cancelled or ends before it arrives.
    ///
    /// Errors: what moving the function throws; `bad_alloc`. Thread safety: any thread.
    template <class F>
    bool post(F&& task, std::source_location where = std::source_location::current()) const
    {
        if (scope_.expired())
            return false;
        return way_->post(
            [scope = scope_, function = std::decay_t<F>(std::forward<F>(task)), where]() mutable {
                if (const auto alive = scope.lock())
                    alive->start_or_fail(std::move(function), where);
            });
    }

    /// Goes to the scope, starts the task, and comes back: whether it was started. False where
    /// scope or context is gone, or the scope was cancelled.
    ///
    /// Context, cancellation, errors: as `hop_to()`, without `context_closed`.
    template <class F>
    boost::asio::awaitable<bool>
    start(F&& task, std::source_location where = std::source_location::current()) const
    {
        static_assert(detail::safe_as_temporary<F>,
                      "GCC 12 would destroy the captures of this function twice: give the lambda a "
                      "name first and pass that");
        return start_there(*this, std::decay_t<F>(std::forward<F>(task)), where);
    }

private:
    friend class task_scope;

    template <class Scope>
    explicit remote_task_scope(const std::shared_ptr<Scope>& scope)
        : scope_(scope), way_(std::make_shared<const detail::way_home>(scope->get_executor()))
    {
    }

    template <class F>
    static boost::asio::awaitable<bool> start_there(remote_task_scope to, F task,
                                                    std::source_location where)
    {
        auto begin = [scope = to.scope_, function = std::move(task), where]() mutable {
            const auto alive = scope.lock();
            return alive != nullptr && alive->start(std::move(function), where);
        };
        try {
            auto hop = detail::hop(to.way_->again(), false, {"remote_task_scope", where},
                                   std::move(begin));
            co_return co_await std::move(hop);
        } catch (const context_error& e) {
            if (e.code() != errc::context_closed)
                throw;
        }
        co_return false;
    }

    std::weak_ptr<detail::tasks> scope_;
    std::shared_ptr<const detail::way_home> way_;
};

} // namespace loopsafe

#endif
