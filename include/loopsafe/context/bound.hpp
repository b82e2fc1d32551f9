// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_BOUND_HPP
#define LOOPSAFE_CONTEXT_BOUND_HPP

#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/context/detail/located_executor.hpp>
#include <loopsafe/context/pin.hpp>
#include <loopsafe/context/residents.hpp>

#include <atomic>
#include <optional>
#include <utility>

namespace loopsafe {
namespace detail {

template <class T>
struct bound_value final : resident {
    void context_dying() noexcept override {}

    void frames_gone() noexcept override
    {
        value.reset();
        drop();
    }

    void drop() noexcept
    {
        if (owners.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete this;
    }

    context_ref home;
    residents* registry = nullptr;
    std::atomic<int> owners{2}; // the handle and the context
    std::optional<T> value;
};

} // namespace detail

/// A value with a home: usable on the context that it was made on, and on no other.
///
/// The value, typically a timer, a socket or a strand, is destroyed with its handle, or by the
/// dying context after its last coroutine frame, whichever comes first. So a handle may be kept
/// anywhere, also at namespace scope, and destroyed at any time on any thread.
///
/// Thread safety: distinct objects safe; shared objects as safe as `T`, but destroying is always
/// safe.
template <class T>
class context_bound {
public:
    /// Empty: no value, no home.
    context_bound() noexcept = default;

    /// Makes `T(args...)`, whose home is the context of `home`: an executor or an `io_context`.
    ///
    /// Errors: `no_context` (as `context_error`) if `home` names none.
    /// Preconditions: the context has not been destroyed, and no other thread is destroying it.
    /// Exception safety: strong.
    template <class... Args>
    explicit context_bound(const detail::located_executor& home, Args&&... args)
    {
        if (detail::named_context(home.executor) == nullptr)
            throw context_error(detail::refusal({}, home.executor, "context_bound", "construction",
                                                home.where, "construct it with an io_context"));
        auto node = std::make_unique<detail::bound_value<T>>();
        node->home = context_of(home.executor, home.where);
        node->registry = &residents::of(home.executor);
        node->value.emplace(std::forward<Args>(args)...);
        node_ = node.release();
        node_->registry->attach(*node_);
    }

    context_bound(context_bound&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}

    context_bound& operator=(context_bound&& other) noexcept
    {
        context_bound(std::move(other)).swap(*this);
        return *this;
    }

    ~context_bound()
    {
        if (node_ != nullptr)
            reset();
    }

    /// Destroys the value, if its context is still alive. Thread safety: any thread.
    void reset() noexcept
    {
        auto* node = std::exchange(node_, nullptr);
        if (node == nullptr)
            return;
        const context_pin pin(node->home);
        if (pin.may_touch() && node->registry->detach(*node)) {
            node->value.reset();
            node->drop();
        }
        node->drop();
    }

    /// The value, for a caller that runs on `asking`.
    ///
    /// Errors, all as `context_error`: `wrong_context` on another living context, `context_closed`
    /// if the home is gone, `no_context` if `asking` names none.
    template <detail::executor_type Executor>
    T& get(const Executor& asking,
           std::source_location where = std::source_location::current()) const
    {
        if (node_ != nullptr && detail::at_home(node_->home, asking)) [[likely]]
            return *node_->value;
        throw context_error(detail::refusal(home(), asking, "context_bound", "get", where,
                                            "make one for each context, or use context_local"));
    }

    /// The home, or an empty reference.
    context_ref home() const noexcept { return node_ != nullptr ? node_->home : context_ref(); }

    explicit operator bool() const noexcept { return node_ != nullptr; }

    void swap(context_bound& other) noexcept { std::swap(node_, other.node_); }

private:
    // For who may not ask for it in the name of an executor.
    friend T* value_if_alive(const context_bound& bound) noexcept
    {
        return bound.home().alive() ? &*bound.node_->value : nullptr;
    }

    detail::bound_value<T>* node_ = nullptr;
};

} // namespace loopsafe

#endif
