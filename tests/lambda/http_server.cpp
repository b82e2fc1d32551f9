// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include <loopsafe/lambda/http_event.hpp>
#include <loopsafe/lambda/http_server.hpp>
#include <loopsafe/runner.hpp>
#include <loopsafe/scopes.hpp>

#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <support/descriptors.hpp>
#include <support/invocations.hpp>
#include <support/run_until.hpp>
#include <support/texts.hpp>
#include <utility>
#include <vector>

namespace http_server_tests {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace json = boost::json;
namespace lambda = loopsafe::lambda;
using lambda::http_request;
using lambda::http_response;
using lambda::http_server_options;
using support::names;
using tcp = asio::ip::tcp;

// What a client sees.
struct answer {
    unsigned status = 0;
    std::map<std::string, std::string> headers;
    names cookies;
    std::string body;

    bool operator==(const answer&) const = default;
};

// The function on both fronts: its answer has all of the request.
asio::awaitable<http_response> shop(http_request request)
{
    co_await asio::post(asio::use_awaitable);
    http_response response;
    if (request.path == "/throws")
        throw std::runtime_error("a secret reason");
    if (request.path == "/throws/int")
        throw 3;
    if (request.path == "/no-status")
        response.status = 42;
    if (request.path == "/nothing")
        response.status = 204;
    if (request.path == "/missing")
        response.status = 404;
    if (request.path == "/bytes") {
        response.body = std::string("\x89PNG\0\xff", 6);
        response.headers.add("Content-Type", "image/png");
        co_return response;
    }
    if (request.path == "/fields") {
        response.headers = {{"X-A", "1"},
                            {"x-a", "2"},
                            {"Content-Length", "1"},
                            {"TE", "x"},
                            {"Connection", "close"},
                            {"Set-Cookie", "c=3"},
                            {"ETag", "a"},
                            {"Transfer-Encoding", "gzip"}};
        response.cookies = {"a=1; Path=/", "b=2"};
    }
    std::string& body = response.body;
    body = request.method + ' ' + request.path + " ? " + request.query + ' ' + request.protocol +
           ' ' + request.source_ip + '\n';
    std::map<std::string, std::string> headers;
    for (const auto [name, value] : request.headers)
        headers.emplace(name, value);
    for (const auto& [name, value] : headers)
        body += name + ": " + value + '\n';
    for (const auto& each : request.cookies)
        body += "cookie " + each + '\n';
    body += request.body;
    co_return response;
}

// A request as a client sends it.
struct sent {
    std::string method = "GET";
    std::string target = "/";
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::string body = {};

    std::string bytes() const
    {
        std::string text = method + ' ' + target + " HTTP/1.1\r\nHost: shop.example\r\n";
        for (const auto& [name, value] : headers)
            text += name + ": " + value + "\r\n";
        if (!body.empty())
            text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
        return text + "\r\n" + body;
    }
};

// Not a braced aggregate, which GCC 12 destroys twice beside a co_await.
std::string get(const std::string& target)
{
    return sent{"GET", target}.bytes();
}

std::string head(const std::string& target)
{
    return sent{"HEAD", target}.bytes();
}

enum class host { api, function_url, ministack };

// The event that a host makes of it.
std::string event_of(const sent& request, host by)
{
    const auto question = std::min(request.target.find('?'), request.target.size());
    json::object headers;
    json::array cookies;
    std::string cookie_field;
    const auto add = [&](std::string name, const std::string& value) {
        if (by != host::ministack)
            name = lambda::detail::lower_case(name);
        auto& at = headers[name];
        at = at.is_string() ? json::string(std::string(at.as_string()) + ',' + value)
                            : json::string(value);
    };
    add("Host", "shop.example");
    for (const auto& [name, value] : request.headers) {
        if (lambda::detail::lower_case(name) == "connection")
            continue;
        if (lambda::detail::lower_case(name) != "cookie") {
            add(name, value);
            continue;
        }
        names split;
        lambda::detail::split_cookies(value, split);
        cookies.insert(cookies.end(), split.begin(), split.end());
        cookie_field = value;
    }
    if (!request.body.empty())
        add("Content-Length", std::to_string(request.body.size()));
    auto path = request.target.substr(0, question);
    if (by == host::ministack && path == "/caf%C3%A9/a%20b")
        path = "/caf\xc3\xa9/a b";
    json::object event{
        {"version", "2.0"},
        {"rawPath", path},
        {"rawQueryString", request.target.substr(std::min(question + 1, request.target.size()))},
        {"requestContext",
         {{"http",
           {{"method", request.method}, {"protocol", "HTTP/1.1"}, {"sourceIp", "127.0.0.1"}}}}}};
    if (by != host::ministack && !cookies.empty())
        event["cookies"] = cookies;
    if (by != host::api && !cookie_field.empty())
        headers["cookie"] = cookie_field;
    event["headers"] = headers;
    if (!request.body.empty()) {
        const bool is_text = !loopsafe::detail::not_utf8_at(request.body);
        event["body"] = is_text ? request.body : loopsafe::detail::to_base64(request.body);
        event["isBase64Encoded"] = !is_text;
    }
    return json::serialize(event);
}

// What a host makes of the function's answer.
answer answer_by_event(const sent& request, host by)
{
    auto handler = lambda::json(shop);
    json::object given;
    try {
        given = json::parse(support::answer_to(handler, event_of(request, by))).as_object();
    } catch (...) { // that the function failed: see http_event.cpp for the events
        return {500,
                {{"content-type", "application/json"}},
                {},
                R"({"message":"Internal Server Error"})"};
    }
    answer seen;
    seen.status = static_cast<unsigned>(given.at("statusCode").as_int64());
    for (const auto& each : given.at("headers").as_object())
        seen.headers.emplace(each.key(), std::string(each.value().as_string()));
    if (const auto* cookies = given.if_contains("cookies"))
        for (const auto& each : cookies->as_array())
            seen.cookies.emplace_back(each.as_string());
    seen.body = std::string(given.at("body").as_string());
    if (given.at("isBase64Encoded").as_bool())
        seen.body = loopsafe::detail::from_base64(seen.body).bytes;
    if (request.method == "HEAD")
        seen.body.clear();
    return seen;
}

class client {
public:
    explicit client(asio::any_io_executor executor) : socket_(std::move(executor)) {}

    asio::awaitable<void> connect(tcp::endpoint to)
    {
        co_await socket_.async_connect(to, asio::use_awaitable);
    }

    asio::awaitable<answer> ask(std::string bytes, bool to_head = false)
    {
        co_await asio::async_write(socket_, asio::buffer(bytes), asio::use_awaitable);
        co_return co_await receive(to_head);
    }

    asio::awaitable<answer> receive(bool to_head = false)
    {
        beast::http::response_parser<beast::http::string_body> parser;
        parser.skip(to_head);
        parser.body_limit(10'000'000);
        co_await beast::http::async_read(socket_, buffer_, parser, asio::use_awaitable);
        const auto message = parser.release();
        answer seen{message.result_int(), {}, {}, message.body()};
        for (const auto& each : message) {
            const auto name = lambda::detail::lower_case(each.name_string());
            if (name == "set-cookie")
                seen.cookies.emplace_back(each.value());
            else if (name == "content-length")
                length = each.value();
            else if (name == "connection")
                closes = each.value() == "close";
            else
                seen.headers.emplace(name, each.value());
        }
        co_return seen;
    }

    // The server has closed, and sent nothing more.
    asio::awaitable<bool> is_closed()
    {
        char byte = 0;
        const auto [ec, size] = co_await socket_.async_read_some(
            asio::buffer(&byte, 1), asio::as_tuple(asio::use_awaitable));
        co_return ec == asio::error::eof || ec == asio::error::connection_reset;
    }

    tcp::socket& socket() noexcept { return socket_; }

    std::string length; // of the last answer
    bool closes = false;

private:
    tcp::socket socket_;
    beast::flat_buffer buffer_;
};

// Serves while `talk(client)` runs.
template <class F, class Talk>
void serve_while(F function, http_server_options options, Talk talk)
{
    const auto main = [&]() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        tcp::acceptor acceptor(executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        client caller(executor);
        const auto body = [&](loopsafe::task_scope& tasks) -> asio::awaitable<void> {
            const auto serve = [&] { return lambda::serve_http(acceptor, function, options); };
            tasks.start(serve);
            co_await caller.connect(acceptor.local_endpoint());
            co_await talk(caller);
            tasks.cancel();
        };
        co_await loopsafe::with_tasks(body);
    };
    loopsafe::run(main);
}

http_server_options quiet()
{
    static const std::function<void(const std::exception_ptr&)> ignore =
        [](const std::exception_ptr&) {};
    http_server_options options;
    options.on_error = &ignore;
    return options;
}

} // namespace

TEST_CASE("the same requests get the same answers from Lambda's hosts and from a plain server")
{
    std::string all_bytes;
    for (int byte = 0; byte != 256; ++byte)
        all_bytes += static_cast<char>(byte);
    const std::vector<sent> requests = {
        {},
        {"GET", "/?"},
        {"GET", "/a/b?x=1&x=2&y=%20+&empty="},
        {"GET", "/caf%C3%A9/a%20b?q=%C3%A9"},
        {"GET", "//a/../b;c=1?d?e"},
        {"DELETE", "/orders/7"},
        {"OPTIONS", "*"},
        {"PROPFIND", "/dav"},
        {"POST", "/text", {{"Content-Type", "text/plain"}}, "hello \xc3\xa9\r\n"},
        {"PUT", "/nul", {}, std::string("a\0b", 3)},
        {"POST", "/binary", {{"content-type", "application/octet-stream"}}, all_bytes},
        {"POST", "/large", {}, std::string(1'000'000, 'x')},
        {"GET", "/", {{"X-Two", "1"}, {"x-two", "2"}, {"ACCEPT", "*/*"}, {"X-Empty", ""}}},
        {"GET", "/", {{"Cookie", "a=1; b=\"2\";c"}}},
        {"GET", "/", {{"Connection", "keep-alive"}}},
        {"HEAD", "/a"},
        {"HEAD", "/bytes"},
        {"GET", "/bytes"},
        {"GET", "/nothing"},
        {"GET", "/missing"},
        {"GET", "/fields"},
        {"GET", "/no-status"},
        {"GET", "/throws"},
        {"GET", "/throws/int"},
    };
    std::vector<answer> by_connection;
    const auto talk = [&](client& first) -> asio::awaitable<void> {
        const auto to = first.socket().remote_endpoint();
        std::optional<client> next;
        for (const auto& each : requests) {
            if (!next) {
                next.emplace(first.socket().get_executor());
                co_await next->connect(to);
            }
            by_connection.push_back(co_await next->ask(each.bytes(), each.method == "HEAD"));
            if (next->closes)
                next.reset();
        }
    };
    serve_while(shop, quiet(), talk);
    REQUIRE(by_connection.size() == requests.size());
    for (std::size_t i = 0; i != requests.size(); ++i)
        for (const auto by : {host::api, host::function_url, host::ministack}) {
            const auto by_event = answer_by_event(requests[i], by);
            CAPTURE(requests[i].target);
            CHECK(by_event.status == by_connection[i].status);
            CHECK(by_event.headers == by_connection[i].headers);
            CHECK(by_event.cookies == by_connection[i].cookies);
            CHECK((by_event.body == by_connection[i].body));
        }
    CHECK(by_connection[21].status == 500);
    CHECK(by_connection[22].status == 500);
}

TEST_CASE("a connection serves one request after the other, until its client wants no more")
{
    const auto talk = [](client& caller) -> asio::awaitable<void> {
        for (int i = 0; i != 100; ++i) {
            const auto given = co_await caller.ask(get("/"));
            CHECK(given.status == 200);
            CHECK_FALSE(caller.closes);
        }
        const auto pipelined = co_await caller.ask(get("/") + get("/bytes"));
        CHECK(pipelined.status == 200);
        const auto second = co_await caller.receive();
        CHECK(second.body.size() == 6);
        const auto seen = co_await caller.ask(head("/bytes"), true);
        CHECK(seen.body.empty());
        CHECK(caller.length == "6");
        const auto last = co_await caller.ask("GET / HTTP/1.1\r\nHost: x\r\n"
                                              "Connection: close\r\n\r\n");
        CHECK(last.status == 200);
        CHECK(caller.closes);
        CHECK(co_await caller.is_closed());
    };
    serve_while(shop, quiet(), talk);
}

TEST_CASE("a client that asks first is told to go on")
{
    const auto talk = [](client& caller) -> asio::awaitable<void> {
        const auto go_on =
            co_await caller.ask("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                                "Expect: 100-continue\r\n\r\n");
        CHECK(go_on.status == 100);
        const auto given = co_await caller.ask("abc");
        CHECK(given.body.ends_with("\nabc"));
        CHECK(given.body.find("expect") == std::string::npos);
    };
    serve_while(shop, quiet(), talk);
}

TEST_CASE(
    "a request that is none, or may be taken for another, is refused, and its connection ends")
{
    const std::string host = "Host: x\r\n";
    const std::vector<std::pair<std::string, unsigned>> cases = {
        {"nonsense\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400}, // no host
        {"GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
        {"GET / HTTP/3.0\r\n" + host + "\r\n", 400},
        {"GET nowhere HTTP/1.1\r\n" + host + "\r\n", 400},
        {"CONNECT x:443 HTTP/1.1\r\n" + host + "\r\n", 400},
        {"GET ftp://x/ HTTP/1.1\r\n" + host + "\r\n", 400},
        {"GET / HTTP/1.1\r\n" + host + "bad name: 1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" + host + "x: \x01\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" + host + "Content-Length: x\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0",
         400},
        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400},
        {"POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nz\r\n", 400},
        {"GET / HTTP/1.1\r\n" + host + "x: " + std::string(20'000, 'x') + "\r\n\r\n", 431},
        {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1001\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", 413},
        {"GET http://x HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", 200},
        {"GET HTTP://x?q HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", 200},
        {"GET / HTTP/1.0\r\n\r\n", 200},
    };
    auto options = quiet();
    options.body_bytes = 1000;
    options.idle_timeout = std::chrono::seconds(2); // so that this ends, whatever is taken
    for (const auto& [bytes, status] : cases) {
        const auto talk = [&](client& caller) -> asio::awaitable<void> {
            CAPTURE(bytes);
            const auto given = co_await caller.ask(bytes);
            CHECK(given.status == status);
            CHECK(caller.closes);
            if (status != 200)
                CHECK(given.body.starts_with(R"({"message":)"));
            CHECK(co_await caller.is_closed());
        };
        serve_while(shop, options, talk);
    }
}

TEST_CASE("a client that sends all of a request that is refused gets the answer")
{
    auto options = quiet();
    options.body_bytes = 1000;
    const std::string large(32'000'000, 'x');
    const std::string head = "POST / HTTP/1.1\r\nHost: x\r\n";
    for (const auto& bytes :
         {head + "Content-Length: 32000000\r\n\r\n" + large,
          head + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + large, "nonsense\r\n\r\n" + large}) {
        const auto talk = [&](client& caller) -> asio::awaitable<void> {
            const auto given = co_await caller.ask(bytes);
            CHECK(given.status == (bytes.starts_with("POST") ? 413 : 400));
            CHECK(co_await caller.is_closed());
        };
        serve_while(shop, options, talk);
    }
}

TEST_CASE("a client that is refused, and sends for ever, does not keep its connection")
{
    auto options = quiet();
    options.idle_timeout = std::chrono::milliseconds(50);
    const std::string some(100'000, 'x');
    const auto talk = [&](client& caller) -> asio::awaitable<void> {
        boost::system::error_code failed;
        while (!failed) {
            const auto [ec, size] = co_await asio::async_write(caller.socket(), asio::buffer(some),
                                                               asio::as_tuple(asio::use_awaitable));
            failed = ec;
        }
        CHECK(failed);
    };
    serve_while(shop, options, talk);
}

TEST_CASE("what a function throws is told to the hook, and not to the client")
{
    int calls = 0;
    std::string text;
    const std::function<void(const std::exception_ptr&)> hook = [&](const std::exception_ptr& e) {
        ++calls;
        text = support::text_of(e);
        throw std::runtime_error("from the hook");
    };
    http_server_options options;
    options.on_error = &hook;
    options.idle_timeout = std::chrono::seconds(2); // so that this ends, whatever it keeps
    const auto talk = [](client& caller) -> asio::awaitable<void> {
        const auto given = co_await caller.ask(get("/throws"));
        CHECK(given.status == 500);
        CHECK(given.body == R"({"message":"Internal Server Error"})");
        CHECK(caller.closes);
        CHECK(co_await caller.is_closed());
    };
    serve_while(shop, options, talk);
    CHECK(calls == 1);
    CHECK(text == "a secret reason");
}

TEST_CASE("more connections than it may have wait, and are served in turn")
{
    auto options = quiet();
    options.max_connections = 1;
    const auto talk = [](client& first) -> asio::awaitable<void> {
        CHECK((co_await first.ask(get("/"))).status == 200);
        client second(first.socket().get_executor());
        const auto open = open_descriptors();
        co_await second.connect(first.socket().remote_endpoint());
        CHECK((co_await first.ask(get("/"))).status == 200);
        CHECK(open_descriptors() == open + 1); // the client's own
        first.socket().close();
        CHECK((co_await second.ask(get("/"))).status == 200);
    };
    serve_while(shop, options, talk);
}

TEST_CASE("a client that sends nothing, or half a request, does not keep its connection")
{
    auto options = quiet();
    options.idle_timeout = std::chrono::milliseconds(20);
    for (const std::string sent_before : {"", "GET / HTTP/1.1\r\nHo",
                                          "POST / HTTP/1.1\r\nHost: x\r\n"
                                          "Content-Length: 5\r\n\r\nab"}) {
        const auto talk = [&](client& caller) -> asio::awaitable<void> {
            co_await asio::async_write(caller.socket(), asio::buffer(sent_before),
                                       asio::use_awaitable);
            CHECK(co_await caller.is_closed());
        };
        serve_while(shop, options, talk);
    }
}

TEST_CASE("a client may take for ever where the options say so")
{
    auto options = quiet();
    options.idle_timeout = loopsafe::never;
    const auto talk = [](client& caller) -> asio::awaitable<void> {
        for (int i = 0; i < 2; ++i) {
            for (int turn = 0; turn < 100; ++turn)
                co_await asio::post(asio::use_awaitable);
            CHECK((co_await caller.ask(get("/"))).status == 200);
        }
    };
    serve_while(shop, options, talk);
}

TEST_CASE("a server that is cancelled ends what it runs")
{
    bool begun = false;
    bool cancelled = false;
    const auto never = [&](http_request) -> asio::awaitable<http_response> {
        begun = true;
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 asio::steady_timer::time_point::max());
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        const auto state = co_await asio::this_coro::cancellation_state;
        cancelled = state.cancelled() != asio::cancellation_type::none;
        co_return http_response();
    };
    const auto talk = [&](client& caller) -> asio::awaitable<void> {
        const std::string bytes = get("/");
        co_await asio::async_write(caller.socket(), asio::buffer(bytes), asio::use_awaitable);
        while (!begun)
            co_await asio::post(asio::use_awaitable);
    };
    serve_while(never, quiet(), talk);
    CHECK(cancelled);
}

TEST_CASE("a server's options without meaning are refused by name")
{
    const auto refused = [](http_server_options options) {
        const auto talk = [](client& caller) -> asio::awaitable<void> {
            co_await caller.is_closed();
        };
        return std::string(support::thrown_by<boost::system::system_error>([&] {
                               serve_while(shop, options, talk);
                           }).what());
    };
    auto options = quiet();
    options.max_connections = 0;
    CHECK(refused(options).find("max_connections is 0") != std::string::npos);
    options = quiet();
    options.idle_timeout = std::chrono::milliseconds(0);
    CHECK(refused(options).find("idle_timeout is not positive") != std::string::npos);
}

} // namespace http_server_tests
