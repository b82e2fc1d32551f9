// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_TCP_PEER_HPP
#define LOOPSAFE_TESTS_SUPPORT_TCP_PEER_HPP

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <support/run_until.hpp>

namespace support {

/// A listening socket of the loopback, and its ends of the connections, all blocking. The kernel
/// completes a connect before anybody accepts it, so one thread is enough for both ends.
class tcp_peer {
public:
    tcp_peer() { listen(0); }

    asio::ip::tcp::endpoint endpoint() const { return endpoint_; }

    /// The other end of the next connection that was made.
    asio::ip::tcp::socket accept() { return acceptor_->accept(); }

    void stop_listening() { acceptor_.reset(); }
    void listen_again() { listen(endpoint_.port()); }

private:
    void listen(unsigned short port)
    {
        acceptor_.emplace(context_,
                          asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), port));
        endpoint_ = acceptor_->local_endpoint();
    }

    asio::io_context context_{1};
    asio::ip::tcp::endpoint endpoint_;
    std::optional<asio::ip::tcp::acceptor> acceptor_;
};

/// Waits for the end of the connection; what came before it.
inline std::string read_to_end(asio::ip::tcp::socket& socket)
{
    std::string all;
    boost::system::error_code ec;
    asio::read(socket, asio::dynamic_buffer(all), ec);
    CHECK((ec == asio::error::eof || ec == asio::error::connection_reset));
    return all;
}

} // namespace support

#endif
