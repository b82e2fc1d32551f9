// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_FIRST_ERROR_HPP
#define LOOPSAFE_ASYNC_DETAIL_FIRST_ERROR_HPP

#include <exception>

namespace loopsafe::detail {

// The first exception of the handlers of a context that must be run on all the same: what runs on
// it refers to objects of its caller.
class first_error {
public:
    // False if it threw.
    template <class Step>
    bool try_to(Step step) noexcept
    {
        try {
            step();
            return true;
        } catch (...) {
            if (error_ == nullptr)
                error_ = std::current_exception();
            return false;
        }
    }

    void rethrow() const
    {
        if (error_ != nullptr)
            std::rethrow_exception(error_);
    }

private:
    std::exception_ptr error_;
};

} // namespace loopsafe::detail

#endif
