// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_SHARE_NEW_HPP
#define LOOPSAFE_DETAIL_SHARE_NEW_HPP

#include <memory>
#include <utility>

namespace loopsafe::detail {

// Like std::make_shared, with one more allocation and a third of its functions to compile: for
// rarely made objects.
template <class T, class... Args>
std::shared_ptr<T> share_new(Args&&... args)
{
    return std::shared_ptr<T>(new T(std::forward<Args>(args)...));
}

} // namespace loopsafe::detail

#endif
