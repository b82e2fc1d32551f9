// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_DETAIL_INHERITING_EXECUTOR_HPP
#define LOOPSAFE_CONTEXT_DETAIL_INHERITING_EXECUTOR_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace loopsafe::detail {

namespace asio = boost::asio;

// What a coroutine inherits from the one that starts it, by way of its executor.
class inherited {
public:
    inherited() = default;
    inherited(const inherited&) = delete;
    inherited& operator=(const inherited&) = delete;
    virtual ~inherited() = default;

private:
    friend class inherited_ref;
    mutable std::atomic<std::size_t> references_{0};
};

// Of one pointer, so that an executor with it needs no memory of its own: see below.
class inherited_ref {
public:
    inherited_ref() noexcept = default;
    explicit inherited_ref(std::unique_ptr<const inherited> what) noexcept : what_(what.release())
    {
        retain();
    }
    inherited_ref(const inherited_ref& other) noexcept : what_(other.what_) { retain(); }
    inherited_ref(inherited_ref&& other) noexcept : what_(std::exchange(other.what_, nullptr)) {}
    inherited_ref& operator=(inherited_ref other) noexcept
    {
        std::swap(what_, other.what_);
        return *this;
    }
    ~inherited_ref()
    {
        if (what_ != nullptr && what_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete what_;
    }

    const inherited* get() const noexcept { return what_; }
    friend bool operator==(const inherited_ref&, const inherited_ref&) noexcept = default;

private:
    void retain() const noexcept
    {
        if (what_ != nullptr)
            what_->references_.fetch_add(1, std::memory_order_relaxed);
    }

    const inherited* what_ = nullptr;
};

// The executor of a context, with what its coroutines inherit. Small enough for an any_io_executor
// to keep it without allocating: Asio copies executors where an exception would terminate.
template <class Inner>
class inheriting_executor {
public:
    inheriting_executor(Inner inner, inherited_ref what) noexcept
        : inner_(std::move(inner)), what_(std::move(what))
    {
    }

    const Inner& inner() const noexcept { return inner_; }
    const inherited_ref& what() const noexcept { return what_; }

    template <class Property>
        requires(asio::can_query<const Inner&, Property>::value)
    decltype(auto) query(const Property& property) const noexcept
    {
        return asio::query(inner_, property);
    }

    template <class Property>
        requires(asio::can_require<const Inner&, Property>::value)
    auto require(const Property& property) const noexcept
    {
        auto inner = asio::require(inner_, property);
        return inheriting_executor<decltype(inner)>(std::move(inner), what_);
    }

    template <class F>
    void execute(F&& function) const
    {
        inner_.execute(std::forward<F>(function));
    }

    friend bool operator==(const inheriting_executor&,
                           const inheriting_executor&) noexcept = default;

private:
    Inner inner_;
    inherited_ref what_;
};

using loop_executor = asio::io_context::executor_type;

static_assert(sizeof(inheriting_executor<loop_executor>) <=
              sizeof(std::shared_ptr<void>) + sizeof(void*));

// Calls `use` with the inheriting_executor in it, if that is what it is. Asio makes other types of
// one where it asks for properties, so each of these is tried.
template <class Inner, class Use>
bool use_one_type(const asio::any_io_executor& executor, const Use& use)
{
    const auto* const found = executor.target<inheriting_executor<Inner>>();
    if (found != nullptr)
        use(*found);
    return found != nullptr;
}

template <class Inner, class Property>
using required = std::decay_t<decltype(asio::require(std::declval<const Inner&>(),
                                                     std::declval<const Property&>()))>;

template <class Inner, class Use>
bool use_types_of(const asio::any_io_executor& executor, const Use& use)
{
    using never = required<Inner, asio::execution::blocking_t::never_t>;
    using tracked = required<Inner, asio::execution::outstanding_work_t::tracked_t>;
    using both = required<never, asio::execution::outstanding_work_t::tracked_t>;
    return use_one_type<Inner>(executor, use) || use_one_type<never>(executor, use) ||
           use_one_type<tracked>(executor, use) || use_one_type<both>(executor, use);
}

template <class Use>
bool use_inheriting(const asio::any_io_executor& executor, const Use& use)
{
    using continuation = required<loop_executor, asio::execution::relationship_t::continuation_t>;
    return use_types_of<loop_executor>(executor, use) || use_types_of<continuation>(executor, use);
}

// Without that, for what belongs to the context.
inline asio::any_io_executor without_inheritance(const asio::any_io_executor& executor)
{
    asio::any_io_executor inner;
    if (use_inheriting(executor, [&](const auto& in) { inner = in.inner(); }))
        return inner;
    return executor;
}

} // namespace loopsafe::detail

#endif
