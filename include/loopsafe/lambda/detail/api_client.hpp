// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_API_CLIENT_HPP
#define LOOPSAFE_LAMBDA_DETAIL_API_CLIENT_HPP

#include <loopsafe/async/detail/bare_executor.hpp>
#include <loopsafe/lambda/detail/api_channel.hpp>
#include <loopsafe/never.hpp>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::lambda::detail {

// What is sent besides method, path and body. (GCC 12 takes no list in braces beside a co_await.)
struct api_field {
    std::string_view name;
    std::string_view value; // left out if it is empty
};

// The head of a request, but for the empty line.
inline std::string api_head(const endpoint& to, std::string_view method, std::string_view path,
                            std::span<const api_field> fields)
{
    std::string head;
    head.reserve(512);
    head.append(method).append(" ").append(to.prefix).append(path).append(" HTTP/1.1\r\nHost: ");
    head.append(to.authority());
    head.append("\r\nUser-Agent: loopsafe\r\n");
    for (const auto& each : fields) {
        if (!each.value.empty())
            head.append(each.name).append(": ").append(each.value).append("\r\n");
    }
    return head;
}

// Exchanges with the Runtime API, one after the other, on a connection that is kept.
class api_client {
public:
    api_client(endpoint to, std::chrono::milliseconds patience)
        : to_(std::move(to)), patience_(patience)
    {
    }

    const endpoint& to() const noexcept { return to_; }
    std::chrono::milliseconds patience() const noexcept { return patience_; }

    // Errors: as `system_error`. Nothing is sent twice.
    asio::awaitable<api_answer> exchange(std::string head, std::string_view body,
                                         std::chrono::milliseconds first_byte)
    {
        if (!has_channel()) // what needs no wait needs no coroutine
            co_await open();
        const auto channel = channel_;
        head += "\r\n";
        channel->begin();
        std::string_view left = head;
        const auto written = channel->write_now(left, body);
        bool whole = written == api_channel::written::all;
        if (written == api_channel::written::partly)
            whole = co_await channel->write(left, body);
        co_return co_await channel->read(first_byte, whole);
    }

    // The first byte of the answer may take for ever.
    asio::awaitable<api_answer> get(std::string_view path, std::span<const api_field> fields)
    {
        return exchange(api_head(to_, "GET", path, fields), {}, never);
    }

    asio::awaitable<api_answer> post(std::string_view path, std::span<const api_field> fields,
                                     std::string_view body)
    {
        auto head = api_head(to_, "POST", path, fields);
        head += "Content-Type: application/json\r\nContent-Length: ";
        head += std::to_string(body.size());
        head += "\r\n";
        return exchange(std::move(head), body, patience_);
    }

    // The connection that is kept, if it is still good, else a new one.
    asio::awaitable<std::shared_ptr<api_channel>> open()
    {
        if (!has_channel()) {
            channel_.reset();
            channel_ = co_await api_channel::connect(to_, patience_);
        }
        co_return channel_;
    }

    // For whoever uses it meanwhile; null if there is none.
    std::shared_ptr<api_channel> take() noexcept { return std::exchange(channel_, nullptr); }
    // The same, if it is still good.
    std::shared_ptr<api_channel> take_usable() noexcept
    {
        auto channel = take();
        if (channel != nullptr && !channel->is_usable())
            channel.reset();
        return channel;
    }
    void give_back(std::shared_ptr<api_channel> channel) noexcept { channel_ = std::move(channel); }

    void close() noexcept { channel_.reset(); }

private:
    bool has_channel() const noexcept { return channel_ != nullptr && channel_->is_usable(); }

    const endpoint to_;
    const std::chrono::milliseconds patience_;
    std::shared_ptr<api_channel> channel_;
};

} // namespace loopsafe::lambda::detail

#endif
