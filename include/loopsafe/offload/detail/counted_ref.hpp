// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_DETAIL_COUNTED_REF_HPP
#define LOOPSAFE_OFFLOAD_DETAIL_COUNTED_REF_HPP

#include <utility>

namespace loopsafe::detail {

// The count is in the object that it refers to.
template <class T>
class counted_ref {
public:
    struct adopt {};
    explicit counted_ref(T& of) noexcept : of_(&of) { of.add_reference(); }
    counted_ref(T& of, adopt) noexcept : of_(&of) {}
    counted_ref(const counted_ref& other) noexcept : counted_ref(*other.of_) {}
    counted_ref(counted_ref&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    counted_ref& operator=(counted_ref) = delete;
    ~counted_ref()
    {
        if (of_ != nullptr)
            of_->drop_reference();
    }

    T& operator*() const noexcept { return *of_; }
    T* operator->() const noexcept { return of_; }

private:
    T* of_;
};

} // namespace loopsafe::detail

#endif
