// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_IMPL_ERROR_REPORT_HPP
#define LOOPSAFE_LAMBDA_IMPL_ERROR_REPORT_HPP

#include <loopsafe/lambda/detail/json_text.hpp>
#include <loopsafe/lambda/detail/type_name.hpp>
#include <loopsafe/lambda/function_error.hpp>
#include <loopsafe/run/combine.hpp>

#include <boost/system/error_code.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace loopsafe::lambda::detail {

struct described_error {
    std::string type;    // as it is in the program, or as it says
    std::string message; // whatever bytes it has
    bool names_its_type = false;
    bool gathers = false; // the causes stand beside each other
    std::vector<described_error> causes;
};

inline const char* text_or_empty(const char* text) noexcept
{
    return text != nullptr ? text : "";
}

inline std::string message_of(const std::exception_ptr& error)
{
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        // No more than could be sent: what() may be of any length.
        return std::string(
            std::string_view(text_or_empty(e.what())).substr(0, error_report::most_bytes));
    } catch (const std::string& text) {
        return text.substr(0, error_report::most_bytes);
    } catch (std::string_view text) {
        return std::string(text.substr(0, error_report::most_bytes));
    } catch (const char* text) {
        return std::string(
            std::string_view(text_or_empty(text)).substr(0, error_report::most_bytes));
    } catch (int value) {
        return std::to_string(value);
    } catch (long value) {
        return std::to_string(value);
    } catch (unsigned value) {
        return std::to_string(value);
    } catch (const boost::system::error_code& code) {
        return code.message();
    } catch (const std::error_code& code) {
        return code.message();
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

// What an exception says of its own type; of any other, the type's name.
inline void name_type(const std::exception_ptr& error, described_error& to)
{
    try {
        std::rethrow_exception(error);
    } catch (const function_error& e) {
        to.type = e.type();
        to.names_its_type = true;
    } catch (const std::string&) {
        to.type = "std::string"; // which has a longer one
    } catch (...) {
        to.type = type_of_caught();
    }
}

inline std::vector<std::exception_ptr> causes_of(const std::exception_ptr& error, bool& gathers)
{
    try {
        std::rethrow_exception(error);
    } catch (const all_failed& e) {
        gathers = true;
        return e.errors();
    } catch (const std::nested_exception& e) {
        return {e.nested_ptr()};
    } catch (...) {
        return {};
    }
}

// `left`: how many errors may still be described.
inline described_error describe(const std::exception_ptr& error, std::size_t depth,
                                std::size_t& left)
{
    --left;
    described_error to;
    if (error == nullptr) {
        to.type = "Runtime.Unknown";
        to.message = "no exception";
        return to;
    }
    to.message = message_of(error);
    name_type(error, to);
    if (depth == error_report::most_causes)
        return to;
    for (const auto& each : causes_of(error, to.gathers)) {
        if (left == 0)
            break;
        if (each != nullptr)
            to.causes.push_back(describe(each, depth + 1, left));
    }
    return to;
}

// Room for texts, which all errors of a report share: the first may take half.
class text_budget {
public:
    explicit text_budget(std::size_t bytes) noexcept : left_(bytes) {}

    // A string of JSON, with its quotes, which the budget does not count.
    void append(std::string& out, std::string_view text, std::size_t most, charset in)
    {
        const auto before = out.size();
        append_json_string(out, text, std::min(most, left_), in);
        left_ -= std::min(left_, out.size() - before - 2);
    }

    bool is_spent() const noexcept { return left_ < 64; }
    std::size_t half() const noexcept { return left_ / 2; }

private:
    std::size_t left_;
};

inline void append_error(std::string& out, const described_error& error, text_budget& budget)
{
    out += R"({"errorType":)";
    budget.append(out, error.type, 512, charset::utf8);
    out += R"(,"errorMessage":)";
    budget.append(out, error.message, budget.half(), charset::utf8);
    out += R"(,"stackTrace":[])";
    bool begun = false;
    for (const auto& each : error.causes) {
        if (budget.is_spent())
            break;
        out += begun ? "," : error.gathers ? R"(,"causes":[)" : R"(,"cause":)";
        begun = true;
        append_error(out, each, budget);
    }
    out += begun && error.gathers ? "]}" : "}";
}

inline void append_exceptions(std::string& out, const described_error& error, text_budget& budget)
{
    out += R"({"type":)";
    budget.append(out, error.type, 128, charset::ascii);
    out += R"(,"message":)";
    budget.append(out, error.message, budget.half(), charset::ascii);
    out += R"(,"stack":[]})";
    for (const auto& each : error.causes) {
        if (budget.is_spent())
            break;
        out += ',';
        append_exceptions(out, each, budget);
    }
}

inline std::string header_of(const described_error& error)
{
    static constexpr std::string_view unknown = "Runtime.Unknown";
    if (error.names_its_type)
        return std::string(is_error_type(error.type) ? error.type : unknown);
    auto name = camel_case(last_name(error.type));
    if (name.empty() || !is_error_type(name.insert(0, "Function.")))
        return std::string(unknown);
    return name;
}

inline error_report report_of(const std::exception_ptr& error)
{
    // What is around the texts of an error takes less than this.
    static constexpr std::size_t around = 80;
    static constexpr std::size_t all_around = around * error_report::most_errors;
    auto left = error_report::most_errors;
    const auto all = describe(error, 0, left);
    error_report report;
    text_budget body(error_report::most_bytes - all_around);
    append_error(report.body, all, body);
    report.type = header_of(all);
    text_budget xray(error_report::most_xray_bytes - all_around);
    report.xray = R"({"working_directory":"","exceptions":[)";
    append_exceptions(report.xray, all, xray);
    report.xray += R"(],"paths":[]})";
    return report;
}

} // namespace loopsafe::lambda::detail

#endif
