// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_POSTGRES_PEER_HPP
#define LOOPSAFE_TESTS_POSTGRES_PEER_HPP

#include <boost/asio.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

// What listens on a port and answers the first caller as the script says, on a thread of its own.
// It ends when the caller hangs up.
class peer {
public:
    using socket = boost::asio::ip::tcp::socket;

    explicit peer(std::function<void(socket&)> script)
        : acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}),
          thread_([this, script = std::move(script)] {
              boost::system::error_code ec;
              socket caller(context_);
              acceptor_.accept(caller, ec);
              if (!ec)
                  script(caller);
          })
    {
    }

    ~peer() { thread_.join(); }

    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
    std::string conninfo(std::string_view more = {}) const
    {
        return "host=127.0.0.1 user=u port=" + std::to_string(port()) + ' ' + std::string(more);
    }

    static std::string receive(socket& s)
    {
        std::string bytes(4096, '\0');
        boost::system::error_code ec;
        bytes.resize(s.read_some(boost::asio::buffer(bytes), ec));
        return bytes;
    }

    static void send(socket& s, std::string_view bytes)
    {
        boost::system::error_code ignored;
        boost::asio::write(s, boost::asio::buffer(bytes), ignored);
    }

    static std::string receive_all(socket& s)
    {
        std::string all;
        for (auto some = receive(s); !some.empty(); some = receive(s))
            all += some;
        return all;
    }

private:
    boost::asio::io_context context_;
    boost::asio::ip::tcp::acceptor acceptor_;
    std::thread thread_;
};

// One message of the protocol, and what a server says until it is ready for a query.
inline std::string message(char type, std::string_view body)
{
    const auto size = static_cast<std::uint32_t>(body.size() + 4);
    std::string bytes(1, type);
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes += static_cast<char>(size >> shift);
    bytes += body;
    return bytes;
}

inline std::string ready()
{
    return message('Z', "I");
}

inline std::string welcome()
{
    using namespace std::string_view_literals;
    return message('R', "\0\0\0\0"sv) + message('S', "client_encoding\0UTF8\0"sv) +
           message('K', "\0\0\0\1\0\0\0\2"sv) + ready();
}

#endif
