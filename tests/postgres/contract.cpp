// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/postgres.hpp>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <support/pool_contract.hpp>
#include <unistd.h>

// Not unnamed: GCC warns of members without linkage in what the headers make of them.
namespace postgres_worlds {

namespace pg = loopsafe::postgres;
using namespace support;

std::string server(const std::string& more)
{
    const char* const value = std::getenv("LOOPSAFE_POSTGRES");
    if (value == nullptr)
        throw std::runtime_error("LOOPSAFE_POSTGRES is not set: run this through "
                                 "tests/tools/with_postgres");
    return value + (' ' + more);
}

// Connects to the server, or to a port where nobody listens, and counts.
class counting_connector : public pg::connector {
public:
    struct counts {
        std::atomic<int> opened{0};
        std::atomic<bool> refuse{false};
    };

    counting_connector(const std::string& name, std::shared_ptr<counts> c)
        : connector(server("application_name=" + name), {.reset = pg::reset_session::never}),
          nobody_(server("application_name=" + name + " host=127.0.0.1 port=1")),
          counts_(std::move(c))
    {
    }

    asio::awaitable<pg::connection> connect(asio::any_io_executor executor) const
    {
        if (counts_->refuse)
            co_return co_await nobody_.connect(executor);
        auto made = co_await connector::connect(executor);
        ++counts_->opened;
        co_return made;
    }

private:
    pg::connector nobody_;
    std::shared_ptr<counts> counts_;
};

struct postgres_world {
    using connector_type = counting_connector;

    connector_type connector() const { return {name, counts}; }
    void refuse_once() { counts->refuse = true; }
    void refused_once() { counts->refuse = false; }

    // The server's processes end when they notice.
    void require_closed(int connections) const
    {
        asio::io_context context;
        run_on(context, [](std::string who, int left) -> asio::awaitable<void> {
            const pg::connector how(server("application_name=watcher"));
            auto watcher = co_await how.connect(co_await asio::this_coro::executor);
            for (int seen = -1; seen != left;) {
                const auto rows = co_await watcher.query(
                    "select count(*) from pg_stat_activity where application_name = $1", who);
                seen = rows[0][0].as<int>();
            }
        }(name, counts->opened - connections));
    }

    static asio::awaitable<void> use(pg::connection& c)
    {
        const auto rows = co_await c.query("select $1::int + 1", 41);
        CHECK(rows[0][0].as<int>() == 42);
    }

    static inline int made = 0;
    const std::string name =
        "contract_" + std::to_string(::getpid()) + '_' + std::to_string(++made);
    const std::shared_ptr<counting_connector::counts> counts =
        std::make_shared<counting_connector::counts>();
};

using keep_alive_postgres = contract<keep_alive, postgres_world>;
using null_postgres = contract<null, postgres_world>;
using per_context_postgres = contract<per_context, postgres_world>;
using carry_over_postgres = contract<carry_over, postgres_world>;
using keep_alive_postgres_offloaded =
    contract<keep_alive, postgres_world, loopsafe::thread_offload>;
using null_postgres_offloaded = contract<null, postgres_world, loopsafe::thread_offload>;

} // namespace postgres_worlds

using namespace postgres_worlds;

TYPE_TO_STRING(keep_alive_postgres);
TYPE_TO_STRING(null_postgres);
TYPE_TO_STRING(per_context_postgres);
TYPE_TO_STRING(carry_over_postgres);
TYPE_TO_STRING(keep_alive_postgres_offloaded);
TYPE_TO_STRING(null_postgres_offloaded);

#define LOOPSAFE_TESTS_POOLS                                                                       \
    keep_alive_postgres, null_postgres, per_context_postgres, carry_over_postgres,                 \
        keep_alive_postgres_offloaded, null_postgres_offloaded

#include <support/pool_contract_cases.hpp>
