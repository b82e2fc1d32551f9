// SPDX-License-Identifier: BSL-1.0
//
// The worker of the zombie story, cured: a fresh context for each batch, and one connect for all.

#include <loopsafe.hpp>
#include <loopsafe/lambda.hpp>
#include <loopsafe/lambda/json.hpp>
#include <loopsafe/lambda/sqs.hpp>
#include <loopsafe/postgres.hpp>

#include <boost/json/src.hpp>

#include <cstdio>
#include <cstdlib>

namespace asio = boost::asio;
namespace lambda = loopsafe::lambda;
using database =
    loopsafe::connection_pool<loopsafe::postgres::connector, loopsafe::carry_over_pool>;

int main()
{
    const char* conninfo = std::getenv("LOOPSAFE_POSTGRES"); // "host=... user=... dbname=..."
    if (conninfo == nullptr) {
        std::fputs("LOOPSAFE_POSTGRES is not set: start this through examples/run\n", stderr);
        return 2;
    }
    database tickets{loopsafe::postgres::connector(conninfo), {.max_size = 1}};

    const auto make_table = [&]() -> asio::awaitable<void> {
        auto lease = co_await tickets.acquire();
        co_await lease->execute(
            "create table if not exists ticket (id text primary key, days int)");
    };
    // A message may come twice, and one that fails comes again: so what it does, it does once.
    const auto store = [&](const lambda::sqs_record& record) -> asio::awaitable<void> {
        auto lease = co_await tickets.acquire();
        co_await lease->query(
            "insert into ticket values ($1, $2::text::int) on conflict do nothing",
            record.message_id, record.body);
    };
    int batches = 0;
    const auto handle = [&](lambda::sqs_batch batch) -> asio::awaitable<lambda::batch_response> {
        auto response = co_await lambda::each_record(batch, store);
        std::printf(
            "batch %d, context #%llu: %zu of %zu tickets stored, %llu connects until now\n",
            ++batches,
            static_cast<unsigned long long>((co_await loopsafe::this_context()).id().number()),
            batch.records.size() - response.failed_ids().size(), batch.records.size(),
            static_cast<unsigned long long>(tickets.stats().connects));
        std::fflush(stdout);
        co_return response;
    };

    loopsafe::lifespan app(loopsafe::lifespan_mode::per_invocation);
    app.add("table", make_table);
    lambda::basic_runtime<lambda::context_per_invocation> runtime({.lifespan = &app});
    return runtime.serve(lambda::json(handle));
}
