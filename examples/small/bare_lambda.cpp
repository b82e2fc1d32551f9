// SPDX-License-Identifier: BSL-1.0
//
// The least loop on Asio and Beast's parser that answers events, for `lambda` to be compared with.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <cstdlib>
#include <exception>
#include <string>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using event = http::response<http::string_body>;

asio::awaitable<event> exchange(tcp::socket& api, boost::beast::flat_buffer& buffer,
                                std::string request)
{
    co_await asio::async_write(api, asio::buffer(request), asio::use_awaitable);
    event answer;
    co_await http::async_read(api, buffer, answer, asio::use_awaitable);
    co_return answer;
}

asio::awaitable<void> serve(std::string host, unsigned short port)
{
    tcp::socket api(co_await asio::this_coro::executor);
    co_await api.async_connect({asio::ip::make_address(host), port}, asio::use_awaitable);
    boost::beast::flat_buffer buffer;
    for (;;) {
        const auto in = co_await exchange(
            api, buffer, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: api\r\n\r\n");
        const std::string id = in["Lambda-Runtime-Aws-Request-Id"];
        co_await exchange(api, buffer,
                          "POST /2018-06-01/runtime/invocation/" + id +
                              "/response HTTP/1.1\r\nHost: api\r\nContent-Length: " +
                              std::to_string(in.body().size()) + "\r\n\r\n" + in.body());
    }
}

} // namespace

int main()
{
    const char* const named = std::getenv("AWS_LAMBDA_RUNTIME_API");
    const std::string to = named != nullptr ? named : "";
    const auto colon = to.find(':');
    if (colon == std::string::npos)
        return 2;
    asio::io_context context(1);
    asio::co_spawn(
        context,
        serve(to.substr(0, colon), static_cast<unsigned short>(std::atoi(to.c_str() + colon + 1))),
        [](const std::exception_ptr& error) {
            if (error != nullptr)
                std::rethrow_exception(error);
        });
    context.run();
}
