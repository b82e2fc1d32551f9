// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_ERROR_HPP
#define LOOPSAFE_TCP_ERROR_HPP

#include <loopsafe/error.hpp>

#include <string>

namespace loopsafe {

/// Thrown when a TCP connection cannot be made.
class tcp_error : public boost::system::system_error {
public:
    tcp_error(error_code code, const char* stage, const std::string& target)
        : system_error(detail::without_place(code), std::string("tcp ") + stage + ' ' + target),
          stage_(stage)
    {
    }

    /// "resolve" or "connect".
    const char* stage() const noexcept { return stage_; }

private:
    const char* stage_;
};

} // namespace loopsafe

#endif
