// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_FUNCTION_ERROR_HPP
#define LOOPSAFE_LAMBDA_FUNCTION_ERROR_HPP

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::lambda {

/// An error that says itself what its `errorType` is. That of any other exception is the name of
/// its type.
///
///     throw lambda::function_error("Function.OrderRefused", "order 7 has no lines");
///
/// Lambda takes a type such as `Function.OrderRefused`, of letters only; one that is none arrives
/// as it is in the text of the error, and as `Runtime.Unknown` in its header.
class function_error : public std::runtime_error {
public:
    function_error(std::string type, const std::string& what)
        : std::runtime_error(what), type_(std::make_shared<const std::string>(std::move(type)))
    {
    }

    std::string_view type() const noexcept { return *type_; }

private:
    std::shared_ptr<const std::string> type_; // shared, so that a copy cannot throw
};

/// The event is not what the function takes: `Runtime.UnmarshalError`, as the runtimes of AWS say.
/// Nothing of the event is in the text.
class unmarshal_error : public function_error {
public:
    static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

    explicit unmarshal_error(const std::string& what, std::size_t offset = nowhere)
        : function_error("Runtime.UnmarshalError", what), offset_(offset)
    {
    }

    /// The byte of the event, or of the text in it that `what()` names, at which it went wrong;
    /// `nowhere` if it is no single one.
    std::size_t offset() const noexcept { return offset_; }

private:
    std::size_t offset_;
};

/// The answer cannot be sent: `Runtime.MarshalError`. Nothing of the answer is in the text.
class marshal_error : public function_error {
public:
    explicit marshal_error(const std::string& what) : function_error("Runtime.MarshalError", what)
    {
    }
};

} // namespace loopsafe::lambda

#endif
