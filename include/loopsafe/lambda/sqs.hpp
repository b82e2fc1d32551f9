// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_SQS_HPP
#define LOOPSAFE_LAMBDA_SQS_HPP

/// Batches of messages from SQS: the event, `each_record()`, and the answer.
///
///     lambda::serve(lambda::json([](lambda::sqs_batch batch)
///                                    -> asio::awaitable<lambda::batch_response> {
///         co_return co_await lambda::each_record(batch, store);
///     }));
#include <loopsafe/lambda/each_record.hpp>
#include <loopsafe/lambda/sqs_event.hpp>

#endif
