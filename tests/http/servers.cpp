// SPDX-License-Identifier: BSL-1.0
// What every client does beside servers that others wrote, in the clear and over TLS.

#include <boost/asio/co_spawn.hpp>

#include <chrono>
#include <http/servers.hpp>
#include <http/support.hpp>
#include <iterator>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace servers_tests {

namespace {

using namespace http_test;

// Tells a test's requests apart from those of others in the server's log.
std::string make_marker()
{
    std::random_device random;
    std::ostringstream text;
    text << std::hex << random() << random() << random();
    return text.str();
}

/// A client, and what it is to make of one server.
class visitor {
public:
    visitor(std::string server, bool secure, combination what)
        : server_(std::move(server)),
          what_(what),
          directory_(variable("LOOPSAFE_HTTP_DIR")),
          scheme_(secure ? "https://" : "http://"),
          port_(port_of(server_, secure))
    {
        http::single_use_client_options with;
        if (secure)
            with.tls.trusted_file = directory_ + "/root.pem";
        with.base_url = scheme_ + "127.0.0.1:" + port_;
        with.max_per_origin = at_once;
        client_ = make_client(what, *context_, with);
    }

    /// For a file that the server has, or has not.
    request ask(const std::string& method, const std::string& file) const
    {
        return {method, "/" + file + "?" + marker_};
    }

    std::string file(const std::string& name) const
    {
        return contents(directory_ + "/www/" + name);
    }
    const std::string& server() const { return server_; }
    loopsafe::pool_stats stats() { return client_->stats(); }
    std::size_t requests() const { return requests_; }

    response send(request what)
    {
        const auto described = what.method + ' ' + what.url;
        CAPTURE(described);
        ++requests_;
        const bool may_leave_open = what.method != "POST";
        auto s = run_on(*context_, watch(client_->send(std::move(what))));
        REQUIRE(failure_of(s) == "");
        check_connection(s.evidence, s.answer, may_leave_open);
        return std::move(s.answer);
    }
    response get(const std::string& name) { return send(ask("GET", name)); }

    /// Reads a body in pieces of many sizes. Whether it was said how long it is.
    bool stream(const std::string& name, const std::string& expected)
    {
        static constexpr std::size_t sizes[] = {1'000, 7'777, 16'384, 65'537, 100'000};
        ++requests_;
        bool sized = false;
        std::size_t at = 0;
        bool same = true;
        run_on(*context_,
               client_->with_response(
                   ask("GET", name), [&](http::incoming_response& in) -> asio::awaitable<void> {
                       check_connection(in.seen(), in.head(), true);
                       CHECK(in.head().status == 200);
                       sized = in.length().has_value();
                       CHECK(in.length().value_or(expected.size()) == expected.size());
                       std::vector<char> some(100'000);
                       for (std::size_t i = 0;; ++i) {
                           const auto n = co_await in.read_some(
                               asio::buffer(some.data(), sizes[i % std::size(sizes)]));
                           if (n == 0)
                               break;
                           same = same && expected.compare(at, n, some.data(), n) == 0;
                           at += n;
                       }
                   }));
        CHECK(same);
        CHECK(at == expected.size());
        return sized;
    }

    /// So many requests begun together.
    void get_at_once(int count, const std::string& name, const std::string& expected)
    {
        int ended = 0;
        std::size_t most = 0;
        for (int i = 0; i != count; ++i) {
            ++requests_;
            asio::co_spawn(*context_, watch(client_->send(ask("GET", name))),
                           [&](const std::exception_ptr& e, const seen& s) {
                               CHECK(e == nullptr);
                               CHECK(failure_of(s) == "");
                               CHECK(s.answer.status == 200);
                               CHECK(s.answer.body == expected);
                               most = std::max(most, client_->stats().leased);
                               ++ended;
                           });
        }
        run_until(*context_, [&] { return ended == count; });
        CHECK(most <= at_once);
        open_.reset();
    }

    /// The server may be called by its name as well: the certificate has both.
    response get_by_name(const std::string& name)
    {
        open_ = false; // another origin
        auto what = ask("GET", name);
        what.url = scheme_ + "localhost:" + port_ + what.url;
        return send(std::move(what));
    }

    /// As the server's log has it, once all requests are in there.
    std::size_t connections_seen()
    {
        // The line is written after the response, so that the client can be ahead of it.
        const auto limit = std::chrono::steady_clock::now() + 10s;
        for (;;) {
            std::istringstream log(contents(directory_ + "/" + server_ + ".requests"));
            std::size_t lines = 0;
            std::set<std::string> connections;
            for (std::string line; std::getline(log, line);) {
                if (line.find(marker_) == std::string::npos)
                    continue;
                ++lines;
                connections.insert(line.substr(0, line.find(' ')));
            }
            if (lines >= requests_ || std::chrono::steady_clock::now() > limit) {
                CHECK(lines == requests_);
                return connections.size();
            }
            std::this_thread::yield();
        }
    }

private:
    static constexpr std::size_t at_once = 4;

    static std::string failure_of(const seen& s)
    {
        return s.error != nullptr ? text_of(s.error) : std::string();
    }

    void check_connection(const http::evidence& seen, const http::response_head& head,
                          bool may_leave_open)
    {
        if (!keeps(what_))
            CHECK(!seen.reused);
        else if (open_)
            CHECK(seen.reused == *open_);
        // Python's server ends a connection with every error.
        const bool closes = server_ == "python" && head.status >= 400;
        if (closes)
            CHECK(head.headers["Connection"] == "close");
        // Whether the connection outlives a body that nobody wanted is up to the server.
        if (may_leave_open || closes)
            open_ = !closes;
        else
            open_.reset();
    }

    std::string server_;
    combination what_;
    std::string directory_;
    std::string scheme_;
    std::string port_;
    std::string marker_ = make_marker();
    mortal_context context_;
    std::unique_ptr<any_client> client_;
    std::size_t requests_ = 0;
    std::optional<bool> open_ = false; // the connection of the last request; empty: may be
};

void check_not_modified(visitor& v)
{
    const auto first = v.get("hello.txt");
    int ways = 0;
    for (const auto& [has, asks] :
         {std::pair{"ETag", "If-None-Match"}, std::pair{"Last-Modified", "If-Modified-Since"}}) {
        if (first.headers[has].empty())
            continue;
        CAPTURE(asks);
        auto conditional = v.ask("GET", "hello.txt");
        conditional.headers.add(asks, std::string(first.headers[has]));
        const auto unchanged = v.send(std::move(conditional));
        CHECK(unchanged.status == 304);
        CHECK(unchanged.body.empty());
        ++ways;
    }
    CHECK(ways > 0);
}

void check_all(const char* server, bool secure, combination what)
{
    visitor v(server, secure, what);
    const auto big = v.file("big.bin");
    REQUIRE(big.size() == 5 * 1024 * 1024);

    const auto hello = v.get("hello.txt");
    CHECK(hello.status == 200);
    CHECK(!hello.http_1_0);
    CHECK(hello.body == "hello\n");
    CHECK(v.get("hello.txt").body == "hello\n");

    // Apache does not say it of an empty file.
    const std::string_view nothing = v.server() == "apache" ? "" : "0";
    for (const auto& [name, length] : {std::pair<const char*, std::string_view>{"hello.txt", "6"},
                                       {"big.bin", "5242880"},
                                       {"empty.txt", nothing}}) {
        const auto head = v.send(v.ask("HEAD", name));
        CHECK(head.status == 200);
        CHECK(head.headers["Content-Length"] == length);
        CHECK(head.body.empty());
    }
    const auto empty = v.get("empty.txt");
    CHECK(empty.status == 200);
    CHECK(empty.body.empty());
    check_not_modified(v);

    CHECK((v.get("big.bin").body == big));
    CHECK(v.stream("big.bin", big) == (v.server() != "node"));
    if (keeps(what))
        CHECK(v.stats().connects == 1);

    for (int i = 0; i != 2; ++i) {
        const auto missing = v.get("missing.txt");
        CHECK(missing.status == 404);
        CHECK(!missing.body.empty());
    }
    CHECK(v.get("hello.txt").body == "hello\n");

    for (const std::size_t size : {3u, 500'000u}) {
        auto post = v.ask("POST", "hello.txt");
        post.body = std::string(size, 'x');
        const auto refused = v.send(std::move(post));
        CAPTURE(refused.status);
        CHECK((refused.status == 405 || refused.status == 501 || refused.status == 200));
        CHECK(!refused.body.empty());
        CHECK(v.get("hello.txt").body == "hello\n");
    }

    v.get_at_once(20, "hello.txt", "hello\n");
    CHECK(v.get_by_name("hello.txt").body == "hello\n");

    const auto stats = v.stats();
    CHECK(stats.leased == 0);
    CHECK(stats.waiting == 0);
    if (!keeps(what))
        CHECK(stats.connects == v.requests());
    if (v.server() == "nginx" || v.server() == "apache")
        CHECK(v.connections_seen() == stats.connects);
}

} // namespace

#define SERVER_TEST(server, protocol, secure, what, name)                                          \
    TEST_CASE("http servers: " server ", " protocol ", " name)                                     \
    {                                                                                              \
        check_all(server, secure, combination::what);                                              \
    }

#define SERVER_TESTS_OF(server, protocol, secure)                                                  \
    SERVER_TEST(server, protocol, secure, keep_alive_on_context, "keep_alive_pool, on_context")    \
    SERVER_TEST(server, protocol, secure, null_on_context, "null_pool, on_context")                \
    SERVER_TEST(server, protocol, secure, per_context_on_context, "per_context_pool, on_context")  \
    SERVER_TEST(server, protocol, secure, carry_over_on_context, "carry_over_pool, on_context")    \
    SERVER_TEST(server, protocol, secure, keep_alive_offloaded, "keep_alive_pool, thread_offload") \
    SERVER_TEST(server, protocol, secure, null_offloaded, "null_pool, thread_offload")

#define SERVER_TESTS(server)                                                                       \
    SERVER_TESTS_OF(server, "in the clear", false)                                                 \
    SERVER_TESTS_OF(server, "TLS", true)

SERVER_TESTS("nginx")
SERVER_TESTS("apache")
SERVER_TESTS("haproxy")
SERVER_TESTS("node")
SERVER_TESTS("python")

} // namespace servers_tests
