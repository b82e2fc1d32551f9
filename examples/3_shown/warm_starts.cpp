// SPDX-License-Identifier: BSL-1.0
//
// What a warm start costs with each pool policy, over links with a round trip of 0 to 20 ms.
//
// Each start is timed from before its context is made until that is gone: one acquire, one exchange
// with a TLS or PostgreSQL server, one release. Connects are counted by the servers.
//
//   warm_starts [--quick] [--all-processors] [--plot FILE]
//
// All but PostgreSQL runs on one processor, as in a small serverless worker: what a sleeping one
// takes to wake up is the same for every policy, and here it would be most of a short start.
// --all-processors: it runs wherever the scheduler puts it, and only the counts are judged.
// --quick: few starts, and only the counts are judged. --plot: the figures as SVG.
// LOOPSAFE_POSTGRES: conninfo, LOOPSAFE_POSTGRES_PORT, LOOPSAFE_POSTGRES_LOG: the server's log

#include "../support/tls_echo_server.hpp"
#include "delay_proxy.hpp"
#include "plot.hpp"

#include <loopsafe.hpp>
#include <loopsafe/postgres.hpp>
#include <loopsafe/tls.hpp>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <sched.h>
#include <string>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using loopsafe::connection_pool;
using loopsafe::thread_offload;

// One exchange.

asio::awaitable<void> exchange(loopsafe::tls_stream& peer)
{
    std::array<char, 16> message{};
    co_await asio::async_write(peer, asio::buffer(message), asio::use_awaitable);
    co_await asio::async_read(peer, asio::buffer(message), asio::use_awaitable);
}

asio::awaitable<void> exchange(loopsafe::postgres::connection& database)
{
    co_await database.query("select $1::int + 1", 41);
}

template <class Connector, class Policy>
asio::awaitable<void> start(connection_pool<Connector, Policy>& pool)
{
    auto lease = co_await pool.acquire();
    co_await exchange(*lease);
    lease.release(); // bare TLS is carried over only then
}

template <class Connector, class Policy>
asio::awaitable<void> start(connection_pool<Connector, Policy, thread_offload>& pool)
{
    auto lease = co_await pool.acquire();
    co_await lease.run([](auto& connection) { connection.wait(exchange(*connection)); });
}

// What was measured of a policy on a link.

struct measured {
    double ms = 0; // the median of the warm starts
    std::size_t starts = 0;
    std::size_t connects = 0;
};

constexpr std::array policies{"keep_alive_pool, kept runner", "null_pool", "per_context_pool",
                              "carry_over_pool", "keep_alive_pool, thread_offload"};
enum policy : std::size_t { bare, null, per_context, carry_over, offload };
constexpr std::array connects_each_time{false, true, true, false, false};

using column = std::array<measured, policies.size()>;

double timed(const std::function<void()>& start_once)
{
    const auto begin = std::chrono::steady_clock::now();
    start_once();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
        .count();
}

// The policies take turns, so that whatever else this machine does meets them all.
template <class Connector, class Count>
column measure_all(const Connector& how, std::size_t warm, Count connects)
{
    loopsafe::runner runner;
    connection_pool<Connector> kept{runner.get_executor(), how};
    connection_pool<Connector, loopsafe::null_pool> none{how};
    connection_pool<Connector, loopsafe::per_context_pool> shelves{how};
    connection_pool<Connector, loopsafe::carry_over_pool> carried{how};
    connection_pool<Connector, loopsafe::keep_alive_pool, thread_offload> workers{how};

    std::array<std::function<void()>, policies.size()> starts;
    starts[bare] = [&] { runner.run([&] { return start(kept); }); };
    starts[null] = [&] { loopsafe::run([&] { return start(none); }); };
    starts[per_context] = [&] { loopsafe::run([&] { return start(shelves); }); };
    starts[carry_over] = [&] { loopsafe::run([&] { return start(carried); }); };
    starts[offload] = [&] { loopsafe::run([&] { return start(workers); }); };

    column all;
    std::array<std::vector<double>, policies.size()> ms;
    const std::size_t turns = 5;
    for (std::size_t turn = 0; turn <= turns; ++turn)
        for (std::size_t p = 0; p != policies.size(); ++p) {
            const auto before = connects();
            const std::size_t many = turn == 0 ? 1 : warm / turns;
            for (std::size_t i = 0; i != many; ++i) {
                const double took = timed(starts[p]);
                if (turn != 0) // the first start of all is not a warm one
                    ms[p].push_back(took);
            }
            all[p].starts += many;
            all[p].connects += connects() - before;
        }
    for (std::size_t p = 0; p != policies.size(); ++p) {
        const auto middle = ms[p].begin() + static_cast<std::ptrdiff_t>(ms[p].size() / 2);
        std::nth_element(ms[p].begin(), middle, ms[p].end());
        all[p].ms = *middle;
    }
    return all;
}

// The servers, behind a link. Without a delay it is no link but the server itself.

struct trip {
    int round_trip; // ms
    std::size_t warm;
};

class link_to {
public:
    link_to(tcp::endpoint server, const trip& t) : endpoint_(server)
    {
        if (t.round_trip != 0) {
            proxy_.emplace(server, std::chrono::milliseconds(t.round_trip));
            endpoint_ = proxy_->endpoint();
        }
    }
    tcp::endpoint endpoint() const { return endpoint_; }

private:
    std::optional<delay_proxy> proxy_;
    tcp::endpoint endpoint_;
};

column over_tls(const tls_echo_server& server, const trip& t)
{
    const link_to link(server.endpoint(), t);
    loopsafe::tls_options options;
    options.server_name = "localhost";
    options.configure = [&](SSL_CTX* context) { server.trust_me(context); };
    return measure_all(loopsafe::tls_connector(link.endpoint(), options), t.warm,
                       [&] { return server.handshakes(); });
}

const char* required(const char* variable)
{
    if (const char* value = std::getenv(variable))
        return value;
    std::fprintf(stderr, "%s is not set: start this through examples/run\n", variable);
    std::exit(2);
}

// Connections that the server let in for this program.
std::size_t connects_in_log()
{
    std::ifstream log(required("LOOPSAFE_POSTGRES_LOG"));
    std::size_t found = 0;
    for (std::string line; std::getline(log, line);)
        found += line.find("connection authorized") != std::string::npos &&
                 line.find("application_name=warm_starts") != std::string::npos;
    return found;
}

column to_postgres(const trip& t)
{
    const auto port = std::stoi(required("LOOPSAFE_POSTGRES_PORT"));
    const link_to link({asio::ip::address_v4::loopback(), static_cast<unsigned short>(port)}, t);
    const loopsafe::postgres::connector how(required("LOOPSAFE_POSTGRES") +
                                            (" port=" + std::to_string(link.endpoint().port())) +
                                            " sslmode=require application_name=warm_starts");
    return measure_all(how, t.warm, connects_in_log);
}

// What is shown, and what is promised.

using table = std::vector<column>; // one for each round trip

void show(const char* title, const char* counted, const std::vector<trip>& trips, const table& all)
{
    std::printf("%-32s", title);
    for (const auto& t : trips)
        std::printf(" %5d ms", t.round_trip);
    std::printf(" %12s  starts\n", counted);
    for (std::size_t p = 0; p != policies.size(); ++p) {
        std::size_t connects = 0, starts = 0;
        std::printf("%-32s", policies[p]);
        for (const auto& one : all) {
            std::printf(" %8.*f", one[p].ms < 10 ? 2 : 1, one[p].ms);
            connects += one[p].connects;
            starts += one[p].starts;
        }
        std::printf(" %12zu %7zu\n", connects, starts);
    }
    std::puts("");
}

bool counted_as_promised(const table& all)
{
    for (const auto& one : all)
        for (std::size_t p = 0; p != policies.size(); ++p)
            if (one[p].connects != (connects_each_time[p] ? one[p].starts : 1))
                return false;
    return true;
}

bool judge(const char* what, double ratio, const char* promise, bool kept)
{
    std::printf("%-52s %5.2f   promised: %s%s\n", what, ratio, promise, kept ? "" : ", NOT KEPT");
    return kept;
}

bool ratios_as_promised(const table& tls, const table& postgres)
{
    const double gain = tls.front()[null].ms / tls.front()[carry_over].ms;
    const double price = tls.back()[carry_over].ms / tls.back()[bare].ms;
    const double price_postgres = postgres.back()[carry_over].ms / postgres.back()[bare].ms;
    bool kept = judge("null_pool / carry_over_pool, TLS, 0 ms", gain, "at least 10", gain >= 10);
    kept &= judge("carry_over_pool / kept runner, TLS, 20 ms", price, "at most 1.10", price <= 1.1);
    kept &= judge("carry_over_pool / kept runner, PostgreSQL, 20 ms", price_postgres,
                  "at most 1.10", price_postgres <= 1.1);
    return kept;
}

void draw(const char* file, const std::vector<trip>& trips, const table& tls, const table& postgres)
{
    plot::picture picture{"Milliseconds of a warm start (logarithmic)", "round trip, ms", {}, {}};
    for (const auto& t : trips)
        picture.places.push_back(std::to_string(t.round_trip));
    const auto add = [&](const char* title, const table& all) {
        auto& panel = picture.panels.emplace_back(plot::panel{title, {}});
        for (std::size_t p = 0; p != policies.size(); ++p) {
            auto& line = panel.lines.emplace_back(plot::line{policies[p], {}});
            for (const auto& one : all)
                line.values.push_back(one[p].ms);
        }
    };
    add("TLS 1.3", tls);
    add("PostgreSQL over TLS", postgres);
    std::ofstream(file) << plot::svg(picture);
}

// False where the system does not let us.
bool stay_on_one_processor()
{
    cpu_set_t allowed, one;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return false;
    CPU_ZERO(&one);
    for (int each = 0; each != CPU_SETSIZE; ++each) {
        if (CPU_ISSET(each, &allowed)) {
            CPU_SET(each, &one);
            break;
        }
    }
    return ::sched_setaffinity(0, sizeof one, &one) == 0;
}

int main(int argc, char** argv)
{
    bool quick = false, everywhere = false;
    const char* file = nullptr;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--quick") == 0)
            quick = true;
        else if (std::strcmp(argv[i], "--all-processors") == 0)
            everywhere = true;
        else if (std::strcmp(argv[i], "--plot") == 0 && i + 1 < argc)
            file = argv[++i];
    }
    std::vector<trip> trips{{0, 200}, {1, 40}, {5, 20}, {20, 25}};
    if (quick)
        trips = {{0, 5}, {1, 5}};

    if (!everywhere && !stay_on_one_processor()) {
        std::perror("warm_starts: cannot stay on one processor, try --all-processors");
        return 2;
    }
    const tls_echo_server server; // its thread inherits that
    table tls, postgres;
    for (const auto& t : trips) {
        tls.push_back(over_tls(server, t));
        postgres.push_back(to_postgres(t));
    }

    std::puts("Milliseconds of a warm start, the median, by the round trip of the link\n");
    show("TLS 1.3", "handshakes", trips, tls);
    show("PostgreSQL over TLS", "connects", trips, postgres);
    std::printf(
        "A start is a context, an acquire, an exchange, a release, and the end of the context.\n"
        "Handshakes and connects are those that the servers counted, the first ones included.\n"
        "Without a delay there is no proxy. On loopback a connect takes no time, so the proxy\n"
        "holds what a client sends first for another round trip: that of the TCP handshake.\n"
        "Of %zu handshakes %zu resumed an earlier session, which saves the certificates.\n"
        "A PostgreSQL session is reset (DISCARD ALL) before its next use, together with the first\n"
        "statement.\n\n",
        server.handshakes(), server.resumed());
    if (file != nullptr)
        draw(file, trips, tls, postgres);

    if (!counted_as_promised(tls) || !counted_as_promised(postgres)) {
        std::fprintf(stderr, "warm_starts: the counts are not what the policies promise\n");
        return 1;
    }
    if (quick || everywhere)
        return 0;
    return ratios_as_promised(tls, postgres) ? 0 : 1;
}
