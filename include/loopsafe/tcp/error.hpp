// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_ERROR_HPP
#define LOOPSAFE_TCP_ERROR_HPP

#include <loopsafe/error.hpp>

#include <string>

namespace loopsafe {

/// Thrown when a TCP connection cannot be made.
class tcp_error : public located_error {
public:
    tcp_error(error_code code, const char* stage, const std::string& target,
              const std::source_location& where = {})
        : located_error(code, std::string("tcp ") + stage + ' ' + target, where), stage_(stage)
    {
    }

    /// "resolve" or "connect".
    const char* stage() const noexcept { return stage_; }

private:
    const char* stage_;
};

} // namespace loopsafe

#endif
