// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_DYING_CONTEXT_TLS_HPP
#define LOOPSAFE_TESTS_LIFETIMES_DYING_CONTEXT_TLS_HPP

#include "dying_context.hpp"

#include <boost/asio/ssl.hpp>

#include <memory>
#include <support/certificates.hpp>

namespace dying_context {

namespace ssl = boost::asio::ssl;

// A server's context with a key and a certificate made for this process.
inline ssl::context& tls_server()
{
    static ssl::context context = [] {
        ssl::context made(ssl::context::tls_server);
        certificates::use(made.native_handle(), certificates::make({}));
        return made;
    }();
    return context;
}

inline ssl::context& tls_client()
{
    static ssl::context context(ssl::context::tls_client);
    return context;
}

// `Layer`: what lies below, with `connect` and `touch` of its own.
template <class Layer>
struct tls_over {
    using stream = ssl::stream<typename Layer::stream>;

    static asio::awaitable<std::unique_ptr<stream>> connect(asio::any_io_executor executor,
                                                            tcp::endpoint peer)
    {
        auto below = co_await Layer::connect(executor, peer);
        auto made = std::make_unique<stream>(std::move(*below), tls_client());
        co_await made->async_handshake(ssl::stream_base::client, asio::use_awaitable);
        co_return made;
    }
    static asio::awaitable<void> serve(tcp::socket socket)
    {
        ssl::stream<tcp::socket> accepted(std::move(socket), tls_server());
        co_await accepted.async_handshake(ssl::stream_base::server, asio::use_awaitable);
        co_await wait_for_ever(accepted.get_executor());
    }
    static void touch(stream& connected)
    {
        SSL_set_quiet_shutdown(connected.native_handle(), 1);
        Layer::touch(connected.next_layer());
    }
};

} // namespace dying_context

#endif
