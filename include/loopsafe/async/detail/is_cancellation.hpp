// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_IS_CANCELLATION_HPP
#define LOOPSAFE_ASYNC_DETAIL_IS_CANCELLATION_HPP

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <exception>

namespace loopsafe::detail {

inline bool is_cancellation(const std::exception_ptr& error)
{
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& e) {
        return e.code() == boost::asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

} // namespace loopsafe::detail

#endif
