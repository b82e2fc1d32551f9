// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_HANDLER_HPP
#define LOOPSAFE_LAMBDA_DETAIL_HANDLER_HPP

#include <loopsafe/lambda/invocation.hpp>
#include <loopsafe/lambda/response_writer.hpp>

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace loopsafe::lambda::detail {

// The user's function, without its type: the runtime is compiled once for all of them.
class any_handler {
public:
    any_handler() = default;
    any_handler(const any_handler&) = delete;
    any_handler& operator=(const any_handler&) = delete;
    virtual ~any_handler() = default;

    virtual bool streams() const noexcept = 0;
    // The response; what streams has written it, and gives nothing.
    virtual asio::awaitable<std::string> call(invocation& in, response_writer* out) = 0;
    virtual std::shared_ptr<any_handler> copy() const = 0;
};

template <class F>
class whole_handler final : public any_handler {
public:
    explicit whole_handler(F function) : function_(std::move(function)) {}

    bool streams() const noexcept override { return false; }
    asio::awaitable<std::string> call(invocation& in, response_writer*) override
    {
        return std::invoke(function_, in);
    }
    std::shared_ptr<any_handler> copy() const override
    {
        if constexpr (std::is_copy_constructible_v<F>)
            return std::make_shared<whole_handler>(function_);
        else
            return nullptr;
    }

private:
    F function_;
};

template <class F>
class streaming_handler final : public any_handler {
public:
    explicit streaming_handler(F function) : function_(std::move(function)) {}

    bool streams() const noexcept override { return true; }
    asio::awaitable<std::string> call(invocation& in, response_writer* out) override
    {
        co_await std::invoke(function_, in, *out);
        co_return std::string();
    }
    std::shared_ptr<any_handler> copy() const override
    {
        if constexpr (std::is_copy_constructible_v<F>)
            return std::make_shared<streaming_handler>(function_);
        else
            return nullptr;
    }

private:
    F function_;
};

} // namespace loopsafe::lambda::detail

#endif
