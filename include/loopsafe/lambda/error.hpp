// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_ERROR_HPP
#define LOOPSAFE_LAMBDA_ERROR_HPP

#include <loopsafe/detail/error_category.hpp>
#include <loopsafe/error.hpp>

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <cstdint>
#include <string>
#include <type_traits>

namespace loopsafe::lambda {

/// Errors of the runtime, besides those of the operating system.
enum class errc {
    no_invocation = 1, ///< `this_invocation()` outside of one
    stream_ended,      ///< a streamed response was written after its end
    stream_broken,     ///< a write of a streamed response failed, was cancelled, or was refused
    bad_response,      ///< the response cannot be sent as it is
    handler_timed_out, ///< the handler was cancelled since its time was up
    no_runtime_api,    ///< no Runtime API answers, or it is not one
    refused            ///< the Runtime API refuses this runtime
};

namespace detail {

struct error_table {
    using value_type = errc;
    static constexpr std::uint64_t id = 0x6c6f6f70'6c616d62;
    static constexpr const char* name = "loopsafe.lambda";
    static std::string message(errc e)
    {
        switch (e) {
        case errc::no_invocation:
            return "not inside an invocation: only coroutines of a handler, and what they start on "
                   "their executor, are";
        case errc::stream_ended: return "the streamed response has ended";
        case errc::stream_broken:
            return "the streamed response is broken: a write failed or was cancelled";
        case errc::bad_response: return "this response cannot be sent";
        case errc::handler_timed_out:
            return "the handler did not end before the deadline of its invocation";
        case errc::no_runtime_api: return "the Runtime API does not answer";
        case errc::refused: return "the Runtime API refuses";
        }
        return "unknown error";
    }
};

} // namespace detail

/// The category of `errc`. Thread safety: safe.
inline const boost::system::error_category& errc_category() noexcept
{
    static constexpr loopsafe::detail::category_of<detail::error_table> category;
    return category;
}

inline error_code make_error_code(errc e) noexcept
{
    return {static_cast<int>(e), errc_category()};
}

} // namespace loopsafe::lambda

template <>
struct boost::system::is_error_code_enum<loopsafe::lambda::errc> : std::true_type {};

#endif
