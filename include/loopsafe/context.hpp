// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_HPP
#define LOOPSAFE_CONTEXT_HPP

/// Which context is this: a number that no other context ever has.
///
///     const auto home = loopsafe::context_of(io); // or of an executor, a socket, a timer
///     const auto here = co_await loopsafe::this_context();
///     if (here != home)
///         std::puts("not at home");
///     loopsafe::name_context(io, "invocation"); // for the reports of refusals
#include <loopsafe/context/ref.hpp>

#endif
