// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_LAMBDA_SERVICE_OPTIONS_HPP
#define LOOPSAFE_TESTING_LAMBDA_SERVICE_OPTIONS_HPP

#include <loopsafe/pool/clock_reading.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace loopsafe::testing {

/// What kind of function a `lambda_service` is the Runtime API of.
struct lambda_service_options {
    /// How many invocations the function may have at once. With 1 the service is strict about the
    /// order of requests, as for an ordinary function; with more it is that of Managed Instances.
    std::size_t concurrency = 1;
    /// Whether an event has a Lambda-Runtime-Invocation-Id, which its answer must echo.
    bool invocation_ids = false;
    /// Whether there is /restore/next.
    bool snap_start = false;
    /// A path before all others, "/.rt/function".
    std::string prefix = {};
    std::string function_name = "function";
    std::string arn = "arn:aws:lambda:eu-central-1:123456789012:function:function";
    /// Extensions of these names may ask for SHUTDOWN, as the programs in /opt/extensions may.
    std::vector<std::string> external_extensions = {};
    /// Reads the clocks, such as `&manual_clock::read`. Then time-outs come only by
    /// `lambda_service::look_at_clock()`, and Lambda-Runtime-Deadline-Ms goes by its wall clock.
    /// Null: those of the system.
    clock_reading (*clock)() = nullptr;
};

} // namespace loopsafe::testing

#endif
