// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_ERROR_REPORT_HPP
#define LOOPSAFE_LAMBDA_DETAIL_ERROR_REPORT_HPP

#include <cstddef>
#include <exception>
#include <string>

namespace loopsafe::lambda::detail {

// What the Runtime API is told of an exception, whatever was thrown.
struct error_report {
    // {"errorType", "errorMessage", "stackTrace": []} in UTF-8. What it was nested in is its
    // "cause", of the same form; what it gathers (`all_failed`) are its "causes".
    std::string body;
    // Lambda-Runtime-Function-Error-Type: (Runtime|Function)\.[A-Z][a-zA-Z]+
    std::string type;
    // Lambda-Runtime-Function-XRay-Error-Cause: one line of ASCII.
    std::string xray;

    static constexpr std::size_t most_bytes = 32 * 1024;
    static constexpr std::size_t most_causes = 8; // one in the other
    static constexpr std::size_t most_errors = 16;
    // Lambda takes 1 MiB, but the servers that stand in for it take less in a header.
    static constexpr std::size_t most_xray_bytes = 6 * 1024;
};

// Errors: `bad_alloc`.
error_report report_of(const std::exception_ptr& error);

} // namespace loopsafe::lambda::detail

#include <loopsafe/lambda/impl/error_report.hpp>

#endif
