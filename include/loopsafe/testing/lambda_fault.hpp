// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_LAMBDA_FAULT_HPP
#define LOOPSAFE_TESTING_LAMBDA_FAULT_HPP

#include <cstddef>

namespace loopsafe::testing {

/// The requests of a runtime, and of an extension.
enum class at {
    next,
    response,
    error,
    init_error,
    restore_next,
    restore_error,
    extension_register,
    extension_next,
    extension_error, ///< of its start or of its end
    other
};

/// What goes wrong with the answer to one request. `service.fault(at::next, 3, fault::stall)`.
///
/// With `refuse` and `status` the service does not do what was asked. With all others it does, and
/// only its answer goes wrong. An event that went out in such an answer goes out once more at the
/// next /next; an answer of the function that met with `refuse` and does not come again, or with
/// `status`, is `lambda_reply::kind::lost` (with a concurrency of more than 1 it times out). None
/// of this counts as a violation.
class fault {
public:
    enum class kind {
        refuse,
        status,
        cut,
        stall,
        length,
        no_id,
        repeated_id,
        large_header,
        lower_case,
        upper_case,
        not_json
    };

    static const fault refuse;              ///< the connection is reset, and nothing was done
    static const fault reset_after_headers; ///< the head comes, and then a reset
    static const fault truncated_body;      ///< half of the body comes, and then the end
    static const fault stall;               ///< nothing comes, and the connection stays
    static const fault stall_after_headers; ///< the head comes, then nothing
    static const fault short_length;        ///< Content-Length is one byte less than what comes
    static const fault long_length;         ///< it is a byte more, and the connection stays
    static const fault no_id;               ///< no Lambda-Runtime-Aws-Request-Id
    static const fault repeated_id;         ///< the id of the event before, instead of its own
    static const fault large_header;        ///< a header of 1 MiB
    static const fault lower_case;          ///< the names of the headers are in lower case
    static const fault upper_case;          ///< they are in upper case
    static const fault not_json;            ///< the body is not JSON

    /// This status and AWS's kind of error body, and nothing was done.
    static constexpr fault status(unsigned code) noexcept { return {kind::status, code}; }
    /// So many bytes of the answer, head and all, then a reset.
    static constexpr fault reset_at(std::size_t byte) noexcept { return {kind::cut, byte}; }
    /// So many bytes of the answer, then nothing more.
    static constexpr fault stall_at(std::size_t byte) noexcept { return {kind::stall, byte}; }

    constexpr kind what() const noexcept { return what_; }
    constexpr std::size_t number() const noexcept { return number_; }

    /// In place of a number of bytes: up to the end of the head, or half of the body.
    static constexpr std::size_t head = std::size_t(-1);
    static constexpr std::size_t half = std::size_t(-2);

private:
    constexpr fault(kind what, std::size_t number = 0) noexcept : what_(what), number_(number) {}

    kind what_;
    std::size_t number_;
};

inline constexpr fault fault::refuse{kind::refuse};
inline constexpr fault fault::reset_after_headers{kind::cut, head};
inline constexpr fault fault::truncated_body{kind::cut, half};
inline constexpr fault fault::stall{kind::stall, 0};
inline constexpr fault fault::stall_after_headers{kind::stall, head};
inline constexpr fault fault::short_length{kind::length, 0};
inline constexpr fault fault::long_length{kind::length, 1};
inline constexpr fault fault::no_id{kind::no_id};
inline constexpr fault fault::repeated_id{kind::repeated_id};
inline constexpr fault fault::large_header{kind::large_header};
inline constexpr fault fault::lower_case{kind::lower_case};
inline constexpr fault fault::upper_case{kind::upper_case};
inline constexpr fault fault::not_json{kind::not_json};

} // namespace loopsafe::testing

#endif
