// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_POSTGRES_PEER_HPP
#define LOOPSAFE_TESTS_POSTGRES_PEER_HPP

#include <boost/asio.hpp>

#include <atomic>
#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <utility>
#include <vector>

// What listens on a port and answers one caller after another, each as its script says, on a thread
// of its own. A script ends when its caller hangs up.
class peer {
public:
    using socket = boost::asio::ip::tcp::socket;
    using script = std::function<void(socket&)>;

    template <std::convertible_to<script>... Scripts>
    explicit peer(Scripts... scripts)
        : acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}),
          thread_([this, all = std::vector<script>{std::move(scripts)...}] {
              for (const auto& one : all) {
                  boost::system::error_code ec;
                  socket caller(context_);
                  acceptor_.accept(caller, ec);
                  if (ec)
                      break;
                  ++callers_;
                  one(caller);
              }
          })
    {
    }

    ~peer()
    {
        ::shutdown(acceptor_.native_handle(), SHUT_RDWR); // ends an accept
        thread_.join();
    }

    int callers() const noexcept { return callers_; }

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

    // All that comes until it ends with a synchronisation, or the caller has gone.
    static std::string receive_request(socket& s)
    {
        using namespace std::string_view_literals;
        std::string all;
        for (auto some = receive(s); !some.empty(); some = receive(s)) {
            all += some;
            if (all.ends_with("S\0\0\0\4"sv))
                break;
        }
        return all;
    }

private:
    std::atomic<int> callers_{0};
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

inline std::string welcome(std::string_view version = {})
{
    using namespace std::string_view_literals;
    std::string named("server_version\0"sv);
    named.append(version).append(1, '\0');
    return message('R', "\0\0\0\0"sv) + message('S', "client_encoding\0UTF8\0"sv) +
           (version.empty() ? std::string() : message('S', named)) +
           message('K', "\0\0\0\1\0\0\0\2"sv) + ready();
}

// The answer to a statement without rows, by its tag, and to one with the text "42".
inline std::string done(std::string_view tag)
{
    return message('1', "") + message('2', "") + message('n', "") +
           message('C', std::string(tag) + '\0');
}
inline std::string forty_two()
{
    using namespace std::string_view_literals;
    return message('1', "") + message('2', "") +
           message('T', "\0\1a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"sv) +
           message('D', "\0\1\0\0\0\2"
                        "42"sv) +
           message('C', "SELECT 1\0"sv);
}

// Severity is ERROR or FATAL.
inline std::string failure(std::string_view severity, std::string_view sqlstate)
{
    std::string fields;
    for (const auto& [code, text] :
         {std::pair('S', severity), {'V', severity}, {'C', sqlstate}, {'M', "so it is"}})
        fields.append(1, code).append(text).append(1, '\0');
    return message(severity == "NOTICE" ? 'N' : 'E', fields + '\0');
}

#endif
