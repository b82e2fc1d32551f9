// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "dying_context_kinds.hpp"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/websocket/stream.hpp>

namespace dying_context_websocket_tests {

namespace {

using namespace dying_context;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

struct web_socket {
    using stream = websocket::stream<tcp::socket>;

    static asio::awaitable<std::unique_ptr<stream>> connect(asio::any_io_executor executor,
                                                            tcp::endpoint peer)
    {
        auto made = std::make_unique<stream>(executor);
        made->set_option(websocket::stream_base::timeout::suggested(beast::role_type::client));
        co_await made->next_layer().async_connect(peer, asio::use_awaitable);
        co_await made->async_handshake("localhost", "/", asio::use_awaitable);
        co_return made;
    }
    static asio::awaitable<void> serve(tcp::socket socket)
    {
        stream accepted(std::move(socket));
        co_await accepted.async_accept(asio::use_awaitable);
        co_await wait_for_ever(accepted.get_executor());
    }
    static asio::awaitable<void> operate(stream& connected)
    {
        beast::flat_buffer message;
        co_await connected.async_read(message, asio::use_awaitable);
    }
    static void touch(stream& connected) { tcp_socket::touch(connected.next_layer()); }
};

} // namespace

TEST_CASE_TEMPLATE("a dying context leaves a leased websocket to its lease (rule 1)", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<web_socket, Death>() == promised<Death>());
}

} // namespace dying_context_websocket_tests
