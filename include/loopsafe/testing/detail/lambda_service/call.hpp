// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_CALL_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_CALL_HPP

#include <loopsafe/pool/clock_reading.hpp>
#include <loopsafe/testing/detail/lambda_service/bell.hpp>
#include <loopsafe/testing/lambda_reply.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::testing::detail {

// `invoke_options` with texts of its own.
struct kept_options {
    explicit kept_options(const invoke_options& from)
        : timeout(from.timeout),
          tenant(from.tenant),
          client_context(from.client_context),
          cognito_identity(from.cognito_identity),
          trace(from.trace),
          content_type(from.content_type),
          id(from.id),
          arn(from.arn),
          deadline(from.deadline)
    {
    }

    std::chrono::milliseconds timeout;
    std::string tenant;
    std::string client_context;
    std::string cognito_identity;
    std::string trace;
    std::string content_type;
    std::string id;
    std::string arn;
    std::string deadline;
};

// One invocation: what its caller waits for, and beside that what only the service's thread uses.
class invocation_call {
public:
    struct heard {
        std::vector<std::string> chunks;
        std::size_t taken = 0; // of the chunks, by the caller
        std::optional<lambda_reply> reply;
        bool unwanted = false; // its caller has left
    };
    using news = bell<heard>;

    invocation_call(std::string_view sent, const invoke_options& how)
        : event(sent), options(how), caller(std::make_shared<news>())
    {
    }
    invocation_call(const invocation_call&) = delete;
    invocation_call& operator=(const invocation_call&) = delete;
    ~invocation_call()
    {
        lambda_reply gone;
        gone.body = "the service was destroyed";
        end(std::move(gone));
    }

    void hear(std::string chunk)
    {
        caller->tell([&](heard& all) {
            if (!all.reply)
                all.chunks.push_back(std::move(chunk));
        });
    }

    bool unwanted() const
    {
        return caller->look([](const heard& all) { return all.unwanted; });
    }

    // The first reply counts.
    void end(lambda_reply reply)
    {
        reply.id = id;
        caller->tell([&](heard& all) {
            if (all.reply)
                return;
            reply.chunks = all.chunks;
            all.reply = std::move(reply);
        });
    }

    const std::string event;
    const kept_options options;
    const std::shared_ptr<news> caller;

    std::string id;
    std::string nonce;
    clock_reading due;
    bool answering = false;     // its answer is coming in
    bool not_delivered = false; // a fault kept the event from the runtime
    bool not_taken =
        false; // a fault kept the answer from the service, or its receipt from the runtime
};

} // namespace loopsafe::testing::detail

#endif
