// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_HPP
#define LOOPSAFE_CONTEXT_HPP

/// Identifies a context by a number that is never reused.
///
///     const auto home = loopsafe::context_of(io); // also of an executor, a socket, a timer
///     const auto here = co_await loopsafe::this_context();
///     if (here != home)
///         std::puts("not at home");
///     loopsafe::name_context(io, "invocation"); // the name appears in error reports
#include <loopsafe/context/ref.hpp>

#endif
