// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_IMPL_EACH_RECORD_OPTIONS_HPP
#define LOOPSAFE_LAMBDA_IMPL_EACH_RECORD_OPTIONS_HPP

#include <loopsafe/lambda/detail/error_report.hpp>
#include <loopsafe/lambda/detail/json_text.hpp>

#include <cstdio>
#include <string>

namespace loopsafe::lambda {

inline void log_record_failure(const record_failure& what)
{
    std::string line = R"({"messageId":)";
    detail::append_json_string(line, what.record.message_id, 256, detail::charset::utf8);
    switch (what.end) {
    case record_end::failed: line += R"(,"record":"failed")"; break;
    case record_end::cancelled: line += R"(,"record":"cancelled")"; break;
    case record_end::not_begun: line += R"(,"record":"not begun")"; break;
    }
    if (what.error != nullptr)
        line += R"(,"error":)" + detail::report_of(what.error).body;
    line += "}\n";
    std::fputs(line.c_str(), stderr);
}

} // namespace loopsafe::lambda

#endif
