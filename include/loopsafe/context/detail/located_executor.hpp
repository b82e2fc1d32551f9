// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_DETAIL_LOCATED_EXECUTOR_HPP
#define LOOPSAFE_CONTEXT_DETAIL_LOCATED_EXECUTOR_HPP

#include <loopsafe/context/ref.hpp>

namespace loopsafe::detail {

template <class T>
concept home_source =
    std::constructible_from<asio::any_io_executor, const std::remove_cvref_t<T>&> ||
    (context_type<T> && requires(T& context) { asio::any_io_executor(context.get_executor()); });

// One where a value of these types belongs. They are asked first: that costs less.
template <class T, class... Others>
concept home_instead_of = !(std::same_as<std::remove_cvref_t<T>, Others> || ...) && home_source<T>;

// An executor, or a context that has one, and the place in the user's code that passed it.
struct located_executor {
    template <home_source T>
    located_executor(T&& x, std::source_location at = std::source_location::current())
        : executor(executor_of(x)), where(at)
    {
    }

    asio::any_io_executor executor;
    std::source_location where;

private:
    template <class T>
    static asio::any_io_executor executor_of(T& x)
    {
        if constexpr (context_type<T>)
            return x.get_executor();
        else
            return x;
    }
};

// Anything that outlives a call must not count as work of its context.
inline asio::any_io_executor untracked(const asio::any_io_executor& executor)
{
    return asio::prefer(executor, asio::execution::outstanding_work.untracked);
}

} // namespace loopsafe::detail

#endif
