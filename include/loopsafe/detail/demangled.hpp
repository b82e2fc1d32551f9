// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_DEMANGLED_HPP
#define LOOPSAFE_DETAIL_DEMANGLED_HPP

#include <loopsafe/detail/c_deleter.hpp>

#include <cstdlib>
#include <memory>
#include <string>
#if __has_include(<cxxabi.h>)
#include <cxxabi.h>
#endif

namespace loopsafe::detail {

// The name of a type, as in the source.
inline std::string demangled(const char* name)
{
#if __has_include(<cxxabi.h>)
    int status = 0;
    const std::unique_ptr<char, c_deleter<std::free>> text(
        abi::__cxa_demangle(name, nullptr, nullptr, &status));
    if (text != nullptr)
        return text.get();
#endif
    return name;
}

} // namespace loopsafe::detail

#endif
