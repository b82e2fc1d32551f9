// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONFIG_HPP
#define LOOPSAFE_CONFIG_HPP

/// The version, read by CMake and Conan from these lines.
#define LOOPSAFE_VERSION_MAJOR 0
#define LOOPSAFE_VERSION_MINOR 1
#define LOOPSAFE_VERSION_PATCH 0

#if !defined(__cpp_impl_coroutine) || !defined(__cpp_concepts)
#error                                                                                             \
    "loopsafe needs C++20 with coroutines and concepts: compile with -std=c++20 (GCC 12, Clang 16)."
#endif

#include <boost/version.hpp>

#if BOOST_VERSION < 108100
#error                                                                                             \
    "loopsafe needs Boost 1.81 or newer: put its headers before the older ones on the include path."
#endif

#if defined(BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT) || defined(BOOST_ASIO_DISABLE_CO_AWAIT)
#error                                                                                             \
    "loopsafe needs Asio's standard executors and coroutines: do not define BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT or BOOST_ASIO_DISABLE_CO_AWAIT."
#endif

#endif
