// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_UNWINDING_HPP
#define LOOPSAFE_DETAIL_UNWINDING_HPP

#include <exception>
#if __has_include(<cxxabi.h>)
#include <cxxabi.h>
#endif

namespace loopsafe::detail {

#if defined(__GLIBCXX__) || defined(_LIBCPPABI_VERSION)
// std::uncaught_exceptions() looks up the thread's counter each time, which would be a tenth of a
// warm release. The counter does not move, and the Itanium C++ ABI (Exception Handling, 2.2.2)
// specifies its place.
struct exceptions_of_thread {
    void* caught;
    unsigned int uncaught;
};

inline constinit thread_local const exceptions_of_thread* exceptions_here = nullptr;

inline bool unwinding() noexcept
{
    if (exceptions_here == nullptr) [[unlikely]]
        exceptions_here = reinterpret_cast<const exceptions_of_thread*>(abi::__cxa_get_globals());
    return exceptions_here->uncaught != 0;
}
#else
inline bool unwinding() noexcept
{
    return std::uncaught_exceptions() != 0;
}
#endif

} // namespace loopsafe::detail

#endif
