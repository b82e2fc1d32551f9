// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_POLICY_HPP
#define LOOPSAFE_LAMBDA_POLICY_HPP

#include <concepts>

namespace loopsafe::lambda {

/// All invocations of the process run on one context, one after the other: pools of every policy
/// keep their connections, and what `spawn()` started goes on in the next invocation.
struct context_kept {};

/// Each invocation runs on a fresh context, which ends, with all that lives on it, before its
/// response is sent. For pools: `null_pool`, `per_context_pool`, `carry_over_pool`.
struct context_per_invocation {};

/// As many invocations at once as AWS_LAMBDA_MAX_CONCURRENCY says, where AWS gives a process more
/// than one (Lambda Managed Instances), on one context or on several threads; else as
/// `context_kept`.
struct concurrent {};

/// How long the contexts of a runtime live.
template <class P>
concept runtime_policy = std::same_as<P, context_kept> || std::same_as<P, context_per_invocation> ||
                         std::same_as<P, concurrent>;

} // namespace loopsafe::lambda

#endif
