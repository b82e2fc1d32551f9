// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_C_DELETER_HPP
#define LOOPSAFE_DETAIL_C_DELETER_HPP

namespace loopsafe::detail {

// For a std::unique_ptr of what a C library frees with a function of its own.
template <auto Free>
struct c_deleter {
    template <class T>
    void operator()(T* handle) const noexcept
    {
        Free(handle);
    }
};

} // namespace loopsafe::detail

#endif
