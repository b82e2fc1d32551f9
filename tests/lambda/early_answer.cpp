// SPDX-License-Identifier: BSL-1.0
// A Runtime API that answers before it has the whole response, as one does that hands it on while
// it comes.

#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cstddef>
#include <lambda/raw_service.hpp>
#include <lambda/served.hpp>
#include <string>
#include <string_view>
#include <support/tcp_peer.hpp>
#include <thread>
#include <utility>

namespace early_answer_tests {

namespace {

using namespace lambda_support;

// More than any two buffers of a system hold.
constexpr std::size_t large = 32'000'000;

asio::awaitable<std::string> answer_large(lambda::invocation&)
{
    co_return std::string(large, 'x');
}

asio::awaitable<void> write_large(lambda::invocation&, lambda::response_writer& out)
{
    const std::string text(large, 'x');
    co_await out.write(text);
}

asio::awaitable<void> write_small(lambda::invocation&, lambda::response_writer& out)
{
    co_await out.write("x");
}

// One connection of a runtime, up to the second /next, which stays pending.
class early_service {
public:
    // What of the response came after `early` was sent.
    std::size_t serve(std::string_view early)
    {
        auto runtime = peer_.accept();
        head(runtime);
        say(runtime, "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 1\r\n"
                     "Content-Length: 2\r\n\r\n{}");
        const bool chunked = head(runtime).find("chunked") != std::string::npos;
        const auto before = held_.size();
        say(runtime, early);
        error_code ec;
        std::size_t end = large;
        if (chunked)
            end = asio::read_until(runtime, asio::dynamic_buffer(held_), "0\r\n\r\n", ec);
        else
            asio::read(runtime, asio::dynamic_buffer(held_), asio::transfer_exactly(large - before),
                       ec);
        held_.resize(std::max(held_.size(), end)); // of what was cut off
        const auto at = held_.begin() + static_cast<std::ptrdiff_t>(end);
        const auto whole = static_cast<std::size_t>(std::count(held_.begin(), at, 'x'));
        held_.erase(0, end);
        if (!ec)
            again_ = head(runtime);
        return whole;
    }

    std::string endpoint() const { return "127.0.0.1:" + std::to_string(peer_.endpoint().port()); }
    /// What was asked for next on the same connection.
    const std::string& again() const noexcept { return again_; }

private:
    using error_code = boost::system::error_code;

    static void say(asio::ip::tcp::socket& to, std::string_view text)
    {
        asio::write(to, asio::buffer(text));
    }
    std::string head(asio::ip::tcp::socket& from)
    {
        error_code ec;
        const auto size = asio::read_until(from, asio::dynamic_buffer(held_), "\r\n\r\n", ec);
        auto text = held_.substr(0, size);
        held_.erase(0, size);
        return text;
    }

    support::tcp_peer peer_;
    std::string held_;
    std::string again_;
};

template <class Policy = lambda::context_kept, class Handler>
void check_whole(Handler handler, std::string_view early, bool is_whole)
{
    early_service service;
    log_lines log;
    lambda::basic_runtime<Policy> runtime(
        {.endpoint = service.endpoint(), .ends_on_sigterm = false, .log = log.writer()});
    std::size_t came = 0;
    {
        const std::jthread thread([&] { runtime.serve(std::move(handler)); });
        came = service.serve(early);
        runtime.stop();
    }
    CHECK((came == large) == is_whole);
    CHECK(service.again().starts_with("GET /2018-06-01/runtime/invocation/next") == is_whole);
}

constexpr std::string_view refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";

TEST_CASE("a response that the service accepts before it has all of it is sent to its end")
{
    check_whole(answer_large, accepted, true);
    check_whole(lambda::streamed(write_large), accepted, true);
    check_whole<lambda::context_per_invocation>(lambda::streamed(write_large), accepted, true);
}

TEST_CASE("a response that the service refuses before it has all of it ends there")
{
    check_whole(answer_large, refused, false);
    check_whole(lambda::streamed(write_large), refused, false);
    check_whole<lambda::context_per_invocation>(lambda::streamed(write_large), refused, false);
}

TEST_CASE("a connection that the service closes after an event is not lent to who streams")
{
    raw_service service;
    service.says(next_of("1", "{}", "Connection: close\r\n"));
    service.says(accepted);
    served<lambda::context_per_invocation, raw_service> function(service,
                                                                 lambda::streamed(write_small));
    service.wait(3);
    CHECK(function.stop() == 0);
    CHECK(function.log().all().empty());
    CHECK(service.connections() == 2);
}

} // namespace

} // namespace early_answer_tests
