// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_LENT_CONNECTION_HPP
#define LOOPSAFE_LAMBDA_DETAIL_LENT_CONNECTION_HPP

#include <loopsafe/lambda/detail/api_client.hpp>
#include <loopsafe/lambda/detail/context_loop.hpp>
#include <loopsafe/lambda/detail/handler.hpp>
#include <loopsafe/lambda/detail/poller.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace loopsafe::lambda::detail {

// The connection of whoever streams moves along to the context of the invocation, and back.
class lent_connection {
public:
    lent_connection(poller& p, const any_handler& h, context_loop& kept, context_loop& fresh)
        : client_(p.api().client()), kept_(kept), is_lent_(h.streams())
    {
        if (is_lent_)
            client_.give_back(moved(client_.take(), fresh));
    }
    lent_connection(const lent_connection&) = delete;

    // Preconditions: nothing uses it. Afterwards the fresh context may end.
    void return_from(response_stream* stream) noexcept
    {
        if (!is_lent_)
            return;
        client_.give_back(moved(client_.take(), kept_));
        if (stream != nullptr)
            stream->channel() = moved(std::exchange(stream->channel(), nullptr), kept_);
    }

private:
    // Null if it cannot be.
    static std::shared_ptr<api_channel> moved(std::shared_ptr<api_channel> channel,
                                              context_loop& to) noexcept
    {
        try {
            return api_channel::moved(std::move(channel), to.context().get_executor());
        } catch (...) { // the next request gets a new one
            return nullptr;
        }
    }

    api_client& client_;
    context_loop& kept_;
    const bool is_lent_;
};

} // namespace loopsafe::lambda::detail

#endif
