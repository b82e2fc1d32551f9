// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_DETAIL_AT_HOME_HPP
#define LOOPSAFE_CONTEXT_DETAIL_AT_HOME_HPP

#include <loopsafe/context/ref.hpp>

namespace loopsafe::detail {

// Whether the caller runs on the home: one comparison and one load. Every refusal starts here.
template <executor_type Executor>
bool at_home(const context_ref& home, const Executor& asking) noexcept
{
    const auto* context = queried_context(asking);
    return context != nullptr && home.is(*context);
}

// The report of a refusal: the resource's context, the caller's, and what to do instead.
template <executor_type Executor>
context_report refusal(const context_ref& home, const Executor& asking, std::string resource,
                       std::string operation, const std::source_location& where, std::string advice)
{
    auto* asked = named_context(asking);
    const auto code = home && !home.alive() ? errc::context_closed
                      : asked == nullptr    ? errc::no_context
                                            : errc::wrong_context;
    return {.code = code,
            .resource = std::move(resource),
            .home = home.info(),
            .asked = meet(asked, where).info(),
            .operation = std::move(operation),
            .used = where,
            .advice = std::move(advice)};
}

// For the operations of connections.
template <executor_type Executor>
void require_home(const context_ref& home, const Executor& asking, const char* resource,
                  const char* operation, const std::source_location& where)
{
    if (at_home(home, asking)) [[likely]]
        return;
    throw context_error(refusal(home, asking, resource, operation, where,
                                "use a connection only in the context that acquired it; in another "
                                "context, acquire another one"));
}

} // namespace loopsafe::detail

#endif
