// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_LOCAL_HPP
#define LOOPSAFE_CONTEXT_LOCAL_HPP

#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/context/detail/inheriting_executor.hpp>
#include <loopsafe/context/detail/located_executor.hpp>
#include <loopsafe/context/residents.hpp>

#include <concepts>
#include <mutex>
#include <optional>

namespace loopsafe {
namespace detail {

template <class T>
class BOOST_SYMBOL_VISIBLE local_value final : public asio::execution_context::service,
                                               private resident {
public:
    using key_type = local_value;
    static inline asio::execution_context::id id;

    explicit local_value(asio::execution_context& context) : service(context) {}

    ~local_value() override
    {
        if (registry_ != nullptr)
            registry_->detach(*this);
    }

    T& get(const asio::any_io_executor& executor)
    {
        const std::lock_guard lock(mutex_);
        if (!value_) {
            if constexpr (std::constructible_from<T, asio::any_io_executor>)
                value_.emplace(untracked(without_inheritance(executor)));
            else
                value_.emplace();
            if (registry_ == nullptr) {
                registry_ = &residents::of(executor);
                registry_->attach(*this);
            }
        }
        return *value_;
    }

private:
    void shutdown() noexcept override {}
    void context_dying() noexcept override {}
    void frames_gone() noexcept override
    {
        value_.reset();
        registry_ = nullptr;
    }

    std::mutex mutex_;
    residents* registry_ = nullptr;
    std::optional<T> value_;
};

} // namespace detail

/// One `T` for each context, made at the first use and destroyed with the context.
///
/// `T` is constructed from an `any_io_executor` of the context if possible, else by default. It is
/// destroyed after the last coroutine frame of the context, so frames may keep references to it.
/// For two instances per context, wrap `T` in a type of its own.
template <class T>
class context_local {
public:
    /// The `T` of the context of `executor`.
    ///
    /// Preconditions: the context has not been destroyed.
    /// Errors: `no_context` (as `context_error`) if `executor` names none.
    /// Exception safety: strong (the first call for a context allocates).
    /// Thread safety: safe; the `T` itself is as safe as its type.
    /// Complexity: one service look-up, 20 to 50 ns.
    static T& in(const boost::asio::any_io_executor& executor,
                 std::source_location where = std::source_location::current())
    {
        auto* context = detail::named_context(executor);
        if (context == nullptr)
            throw context_error(detail::refusal({}, executor, "context_local", "in", where,
                                                "pass the executor of an io_context"));
        residents::of(executor);
        return boost::asio::use_service<detail::local_value<T>>(*context).get(executor);
    }
};

} // namespace loopsafe

#endif
