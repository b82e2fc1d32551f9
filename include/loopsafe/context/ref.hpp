// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_REF_HPP
#define LOOPSAFE_CONTEXT_REF_HPP

#include <loopsafe/context/detail/find.hpp>
#include <loopsafe/context/detail/identity.hpp>
#include <loopsafe/error.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <compare>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <utility>

namespace loopsafe {

namespace detail {
struct context_access;
}

/// The number of a context. It is never reused.
///
/// Neither the address nor the executor of a context identifies it: a new `io_context` often has
/// the address of the one that just died, and their executors compare equal.
/// Thread safety: a value.
class context_id {
public:
    constexpr context_id() noexcept = default;

    /// 0 for no context. Two shared libraries that hide their symbols may both issue the same
    /// number; the ids still differ.
    constexpr std::uint64_t number() const noexcept { return number_; }

    constexpr explicit operator bool() const noexcept { return number_ != 0; }

    friend constexpr auto operator<=>(const context_id&, const context_id&) noexcept = default;

private:
    friend class context_ref;
    constexpr context_id(const void* issuer, std::uint64_t number) noexcept
        : issuer_(issuer), number_(number)
    {
    }

    const void* issuer_ = nullptr;
    std::uint64_t number_ = 0;
};

/// Remembers a context without keeping it alive: the tag of every resource's home.
///
/// It holds no executor and no I/O object, so it may be kept, copied and destroyed anywhere, even
/// long after the context is gone.
/// Thread safety: distinct objects safe, shared objects safe for const members.
class context_ref {
public:
    /// No context.
    context_ref() noexcept = default;

    /// The number of the context; empty for no context.
    context_id id() const noexcept
    {
        return state_ ? context_id(state_->counter, state_->number) : context_id();
    }

    /// Whether the context is alive; false for no context. The result may be outdated at once,
    /// unless the caller runs on that context.
    bool alive() const noexcept { return state_ && state_->alive(); }

    /// Whether this is that living context. The result is exact if the caller runs on it.
    /// Complexity: one comparison and one atomic load.
    bool is(const boost::asio::execution_context& context) const noexcept
    {
        return state_ && state_->is(&context);
    }

    /// A copy of what is known about the context. Exception safety: strong (allocates).
    context_info info() const { return state_ ? state_->info() : context_info(); }

    explicit operator bool() const noexcept { return state_ != nullptr; }

    friend bool operator==(const context_ref& a, const context_ref& b) noexcept
    {
        return a.state_ == b.state_;
    }

private:
    friend struct detail::context_access;
    explicit context_ref(std::shared_ptr<detail::context_state> state) noexcept
        : state_(std::move(state))
    {
    }

    std::shared_ptr<detail::context_state> state_;
};

/// The context of `x`: an execution context, an executor, or an object with `get_executor()`.
///
/// An empty executor, `system_executor` and executors without a context give an empty reference.
/// The first call for a context assigns its number; reports then say "first seen at `where`".
/// Preconditions: the context has not been destroyed. After that, only a `context_ref` may be used.
/// Exception safety: strong (the first call allocates). Thread safety: safe.
/// Complexity: one service look-up, 20 to 50 ns; keep the result if you need it often.
template <class T>
    requires detail::context_type<T> || detail::executor_type<T> || detail::has_executor<T>
context_ref context_of(T&& x, std::source_location where = std::source_location::current());

/// The context that the calling coroutine runs on, or an empty reference.
///
/// `auto here = co_await loopsafe::this_context();`
template <class Executor = boost::asio::any_io_executor>
boost::asio::awaitable<context_ref, Executor>
this_context(std::source_location where = std::source_location::current());

/// Gives the context of `x` a name, which appears in reports. A second call replaces the name.
///
/// Preconditions, exception safety and thread safety: as `context_of`.
/// Errors: `no_context` (as `context_error`) if `x` names no context.
template <class T>
    requires detail::context_type<T> || detail::executor_type<T> || detail::has_executor<T>
context_ref name_context(T&& x, std::string name,
                         std::source_location where = std::source_location::current());

} // namespace loopsafe

#include <loopsafe/context/impl/ref.hpp>

#endif
