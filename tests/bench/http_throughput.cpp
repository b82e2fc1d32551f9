// SPDX-License-Identifier: BSL-1.0
// Requests a second on kept connections, and a download of 5 MiB, beside other clients.
#include "http_clients.hpp"
#include "http_servers.hpp"
#include "measure.hpp"

#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

namespace {

std::size_t reads = 0;

} // namespace

// In place of the C library's, so that all reads of this program are counted, those of libcurl
// included, and none is slowed down.
extern "C" {
ssize_t read(int fd, void* to, size_t size)
{
    ++reads;
    return ::syscall(SYS_read, fd, to, size);
}
ssize_t readv(int fd, const iovec* to, int count)
{
    ++reads;
    return ::syscall(SYS_readv, fd, to, count);
}
ssize_t recv(int fd, void* to, size_t size, int flags)
{
    ++reads;
    return ::syscall(SYS_recvfrom, fd, to, size, flags, nullptr, nullptr);
}
ssize_t recvmsg(int fd, msghdr* to, int flags)
{
    ++reads;
    return ::syscall(SYS_recvmsg, fd, to, flags);
}
}

namespace {

using namespace bench;

constexpr int turns = 30;

// How many a second, of a client that has its connections already.
template <class Client>
auto rate(Client& client, int requests, int connections)
{
    return [&client, requests, connections] {
        client(2 * connections);
        return requests / nanoseconds([&] { client(requests); }) * 1e9;
    };
}

template <class Client>
void compare(const std::string& name, with_loopsafe& ours, Client& beside, int requests,
             int connections, std::optional<double> least)
{
    const auto seen =
        alternate(turns, rate(ours, requests, connections), rate(beside, requests, connections));
    row(name, seen.value, "requests/s", seen.baseline, seen.ratio,
        least ? std::optional(limit{*least, true}) : std::nullopt);
}

// What a program reaches that does nothing but ask.
double ask_with_wrk(const page& wanted, int connections)
{
    const auto command =
        "wrk -t1 -c" + std::to_string(connections) + " -d2s " + wanted.url() + " 2>&1";
    std::FILE* const out = ::popen(command.c_str(), "r");
    double seen = 0;
    for (std::array<char, 512> line{}; std::fgets(line.data(), line.size(), out) != nullptr;)
        std::sscanf(line.data(), "Requests/sec: %lf", &seen);
    require(::pclose(out) == 0 && seen > 0);
    return seen;
}

void measure_ceiling(const std::string& name, with_loopsafe& ours, const page& wanted,
                     int connections)
{
    const auto rate_of_ours = rate(ours, connections == 1 ? 10'000 : 64'000, connections);
    const auto seen = alternate(3, rate_of_ours, [&] { return ask_with_wrk(wanted, connections); });
    row(name + ", beside wrk", seen.value, "requests/s", seen.baseline, seen.ratio, {});
}

void measure_one(const std::string& server, const page& wanted, bool limited)
{
    constexpr int requests = 1000;
    const auto least = [&](double bound) { return limited ? std::optional(bound) : std::nullopt; };
    const auto name = "GET, 1 connection, " + server;
    with_loopsafe ours(wanted, 1);
    by_hand<by_messages> messages(wanted, 1);
    compare(name + ", beside Beast's messages", ours, messages, requests, 1, least(0.95));
    by_hand<by_parser> parser(wanted, 1);
    compare(name + ", beside Beast's parser", ours, parser, requests, 1, least(0.95));
    with_curl_easy curl(wanted);
    compare(name + ", beside libcurl", ours, curl, requests, 1, least(1.25));
    with_httplib httplib(wanted);
    compare(name + ", beside cpp-httplib", ours, httplib, requests, 1, {});
    measure_ceiling(name, ours, wanted, 1);
}

void measure_many(const std::string& server, const page& wanted, bool limited)
{
    constexpr int connections = 64;
    constexpr int requests = 6400;
    const auto least = [&](double bound) { return limited ? std::optional(bound) : std::nullopt; };
    const auto name = "GET, 64 connections, " + server;
    with_loopsafe ours(wanted, connections);
    by_hand<by_messages> messages(wanted, connections);
    compare(name + ", beside Beast's messages", ours, messages, requests, connections, least(0.95));
    by_hand<by_parser> parser(wanted, connections);
    compare(name + ", beside Beast's parser", ours, parser, requests, connections, least(0.95));
    with_curl_multi curl(wanted, connections);
    compare(name + ", beside libcurl", ours, curl, requests, connections, least(1.25));
    measure_ceiling(name, ours, wanted, connections);
}

void measure_download(const page& wanted)
{
    constexpr int downloads = 10;
    with_loopsafe ours(wanted, 1);
    with_curl_easy curl(wanted);
    curl.use_largest_buffer();
    const auto speed = [&](auto& client) {
        return [&client, bytes = static_cast<double>(wanted.size)] {
            client(1);
            return downloads * bytes / (1 << 20) / nanoseconds([&] { client(downloads); }) * 1e9;
        };
    };
    const auto seen = alternate(turns, speed(ours), speed(curl));
    row("5 MiB, beside libcurl", seen.value, "MiB/s", seen.baseline, seen.ratio, limit{0.95, true});
    const auto count = [](auto& client) {
        return [&client] {
            const auto before = reads;
            client(1);
            return static_cast<double>(reads - before);
        };
    };
    const auto counted = alternate(turns, count(ours), count(curl));
    row("5 MiB", counted.value, "reads", 0, 90);
    row("5 MiB, beside libcurl", counted.value, "reads", counted.baseline);
}

} // namespace

int main()
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    const auto all = cores();
    pin(all[0]);
    {
        const responder server(all[1], responder::when_idle::polls);
        measure_one("a core each", server.answers(), true);
        measure_many("a core each", server.answers(), true);
    }
    {
        const responder server(all[0], responder::when_idle::sleeps);
        measure_one("one core", server.answers(), false);
    }
    const nginx server(all[1]);
    measure_one("nginx", server.small_file(), false);
    measure_many("nginx", server.small_file(), false);
    measure_download(server.large_file());
    curl_global_cleanup();
    return 0;
}
