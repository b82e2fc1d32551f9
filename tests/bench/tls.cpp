// SPDX-License-Identifier: BSL-1.0
// One exchange over TLS 1.3, 100 bytes there and 150 back: our stream beside Asio's, and beside
// OpenSSL on a socket that blocks, which nothing can beat.
#include "../support/certificates.hpp"
#include "../support/heap.hpp"
#include "measure.hpp"
#include "stepping.hpp"

#include <loopsafe/tls.hpp>

#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <sys/prctl.h>

namespace {

using namespace bench;
using asio::ip::tcp;

constexpr std::size_t request_size = 100;
constexpr std::size_t response_size = 150;
constexpr int counted = 50;
constexpr int warm_up = 20;

void answer(SSL* ssl)
{
    std::array<char, 4096> buffer{};
    for (;;) {
        for (std::size_t have = 0; have < request_size;) {
            const int got = SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size()));
            if (got <= 0)
                return;
            have += static_cast<std::size_t>(got);
        }
        if (SSL_write(ssl, buffer.data(), response_size) <= 0)
            return;
    }
}

// A process of its own, so that what it does is not counted.
class server {
public:
    server() : acceptor_(context_, {asio::ip::address_v4::loopback(), 0})
    {
        const auto who = certificates::make({});
        who.save(directory_.file("root.pem"));
        process_ = ::fork();
        if (process_ != 0) {
            endpoint_ = acceptor_.local_endpoint();
            return;
        }
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        std::signal(SIGPIPE, SIG_IGN);
        SSL_CTX* const tls = SSL_CTX_new(TLS_server_method());
        certificates::use(tls, who);
        for (;;) {
            auto socket = acceptor_.accept();
            socket.set_option(tcp::no_delay(true));
            SSL* const ssl = SSL_new(tls);
            SSL_set_fd(ssl, socket.native_handle());
            if (SSL_accept(ssl) == 1)
                answer(ssl);
            SSL_free(ssl);
        }
    }
    ~server()
    {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }

    tcp::endpoint endpoint() const { return endpoint_; }

private:
    certificates::directory directory_;
    asio::io_context context_{1};
    tcp::acceptor acceptor_;
    tcp::endpoint endpoint_;
    pid_t process_ = 0;
};

template <class Stream>
asio::awaitable<void> exchange(Stream& stream, std::array<char, 4096>& buffer)
{
    co_await asio::async_write(stream, asio::buffer(buffer.data(), request_size),
                               asio::use_awaitable);
    for (std::size_t have = 0; have < response_size;)
        have += co_await stream.async_read_some(asio::buffer(buffer), asio::use_awaitable);
}

// Calls `begin` and `end` around the exchanges that count.
template <class Stream, class Begin, class End>
asio::awaitable<void> exchanges(Stream& stream, Begin begin, End end)
{
    std::array<char, 4096> buffer{};
    for (int i = 0; i != warm_up; ++i)
        co_await exchange(stream, buffer);
    begin();
    for (int i = 0; i != counted; ++i)
        co_await exchange(stream, buffer);
    end();
}

struct ours {
    template <class Begin, class End>
    static asio::awaitable<void> talk(tcp::endpoint peer, Begin begin, End end)
    {
        loopsafe::tls_options anybody;
        anybody.verify = false;
        const loopsafe::tls_connector connector(peer, anybody);
        auto stream = co_await connector.connect(co_await asio::this_coro::executor);
        co_await exchanges(stream, begin, end);
    }
};

struct of_asio {
    template <class Begin, class End>
    static asio::awaitable<void> talk(tcp::endpoint peer, Begin begin, End end)
    {
        asio::ssl::context tls(asio::ssl::context::tls_client);
        asio::ssl::stream<tcp::socket> stream(co_await asio::this_coro::executor, tls);
        co_await stream.next_layer().async_connect(peer, asio::use_awaitable);
        stream.next_layer().set_option(tcp::no_delay(true));
        co_await stream.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
        co_await exchanges(stream, begin, end);
    }
};

struct blocking {
    template <class Begin, class End>
    static void talk(tcp::endpoint peer, Begin begin, End end)
    {
        asio::io_context context(1);
        tcp::socket socket(context);
        socket.connect(peer);
        socket.set_option(tcp::no_delay(true));
        SSL_CTX* const tls = SSL_CTX_new(TLS_client_method());
        SSL* const ssl = SSL_new(tls);
        SSL_set_fd(ssl, socket.native_handle());
        SSL_set_read_ahead(ssl, 1);
        SSL_connect(ssl);
        std::array<char, 4096> buffer{};
        for (int i = -warm_up; i != counted; ++i) {
            if (i == 0)
                begin();
            SSL_write(ssl, buffer.data(), request_size);
            for (int have = 0; have < static_cast<int>(response_size);)
                have += SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size()));
        }
        end();
        SSL_free(ssl);
        SSL_CTX_free(tls);
    }
};

template <class Subject, class Begin, class End>
void talk(const server& s, Begin begin, End end)
{
    if constexpr (std::is_void_v<decltype(Subject::talk(s.endpoint(), begin, end))>) {
        Subject::talk(s.endpoint(), begin, end);
    } else {
        asio::io_context context(1);
        run(context, Subject::talk(s.endpoint(), begin, end));
    }
}

template <class Subject>
double events(const server& s, event what)
{
    const auto seen = static_cast<double>(count(what, [&] { talk<Subject>(s, mark, mark); }));
    return seen / counted;
}

template <class Subject>
double allocations(const server& s)
{
    std::optional<heap::watch> watching;
    long allocated = -1;
    talk<Subject>(
        s, [&] { watching.emplace(); },
        [&] {
            allocated = heap::allocations;
            watching.reset();
        });
    return static_cast<double>(allocated) / counted;
}

} // namespace

int main()
{
    const server s;
    row("instructions of an exchange over TLS", events<ours>(s, event::instructions),
        "instructions", events<of_asio>(s, event::instructions), 0.8);
    row("instructions of an exchange, beside OpenSSL that blocks",
        events<ours>(s, event::instructions), "instructions",
        events<blocking>(s, event::instructions));
    row("system calls of an exchange over TLS", events<ours>(s, event::system_calls),
        "system calls", events<of_asio>(s, event::system_calls), 1.0);
    row("heap allocations of an exchange over TLS, without OpenSSL's own", allocations<ours>(s),
        "allocations", allocations<of_asio>(s));
}
