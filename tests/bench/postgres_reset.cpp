// SPDX-License-Identifier: BSL-1.0
// What the first statement on a kept PostgreSQL session costs, whose reset goes along with it.
// LOOPSAFE_POSTGRES, LOOPSAFE_POSTGRES_PORT: the server, as tests/run --bench starts it.
#include "../../examples/3_shown/delay_proxy.hpp"
#include "measure.hpp"

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/postgres.hpp>

#include <cstdlib>
#include <support/counting_link.hpp>

namespace {

using namespace bench;
namespace pg = loopsafe::postgres;
using pool_type = loopsafe::connection_pool<pg::connector>;

const char* required(const char* variable)
{
    if (const char* const value = std::getenv(variable))
        return value;
    std::fprintf(stderr, "%s is not set: start this through tests/run --bench\n", variable);
    std::exit(2);
}

std::uint16_t server_port()
{
    return static_cast<std::uint16_t>(std::atoi(required("LOOPSAFE_POSTGRES_PORT")));
}

std::string conninfo(std::uint16_t port)
{
    return required("LOOPSAFE_POSTGRES") + std::string(" sslmode=disable port=") +
           std::to_string(port);
}

constexpr auto question = "select $1::int + 1";

// Leases of one connection, one after another, each for one statement.
class leases {
public:
    leases(std::uint16_t port, bool together)
        : pool_(context_, pg::connector(conninfo(port), {.reset_with_statement = together}))
    {
        use(1);
    }

    void use(int times)
    {
        run(context_, [this, times]() -> asio::awaitable<void> {
            for (int i = 0; i != times; ++i) {
                auto lease = co_await pool_.acquire();
                const auto rows = co_await lease->query(question, i);
                if (rows[0][0].as<int>() != i + 1)
                    std::abort();
            }
        });
    }

private:
    asio::io_context context_{1};
    pool_type pool_;
};

class bare_libpq {
public:
    explicit bare_libpq(std::uint16_t port) : handle_(PQconnectdb(conninfo(port).c_str())) {}

    void use(int times)
    {
        for (int i = 0; i != times; ++i) {
            const auto text = std::to_string(i);
            const char* const value = text.c_str();
            const pg::detail::result_handle answer(
                PQexecParams(handle_.get(), question, 1, nullptr, &value, nullptr, nullptr, 0));
            if (PQresultStatus(answer.get()) != PGRES_TUPLES_OK)
                std::abort();
        }
    }

private:
    pg::detail::connection_handle handle_;
};

template <class Subject, class Beside>
void compare(const char* name, int count, int times, Subject& subject, Beside& beside, double most)
{
    const auto time_of = [times](auto& what) {
        return [&what, times] { return nanoseconds([&] { what.use(times); }) / times / 1e6; };
    };
    const auto seen = alternate(count, time_of(subject), time_of(beside));
    row(name, seen.value, "ms", seen.baseline, seen.ratio, limit{most});
}

} // namespace

int main()
{
    {
        const support::counting_link link(server_port());
        leases kept(link.port(), true);
        const int before = link.round_trips();
        kept.use(10);
        row("a kept PostgreSQL session, acquire and first statement",
            (link.round_trips() - before) / 10.0, "round trips", 0, std::nullopt, limit{1});
    }
    {
        leases together(server_port(), true);
        leases apart(server_port(), false);
        compare("the same on loopback, beside two trips", 51, 200, together, apart, 0.9);
    }
    const delay_proxy link({asio::ip::address_v4::loopback(), server_port()},
                           std::chrono::milliseconds(20));
    leases far(link.endpoint().port(), true);
    bare_libpq bare(link.endpoint().port());
    compare("the same with a round trip of 20 ms, beside the statement alone in libpq", 11, 5, far,
            bare, 1.1);
}
