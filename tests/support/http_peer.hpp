// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_HTTP_PEER_HPP
#define LOOPSAFE_TESTS_SUPPORT_HTTP_PEER_HPP

#include <loopsafe/detail/c_deleter.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <support/certificates.hpp>
#include <sys/socket.h>
#include <thread>
#include <utility>
#include <vector>

/// A server on the loopback that says what a test wants it to say, right or wrong, in the clear or
/// over TLS. Each caller has a thread, which blocks. It stands beside real servers, which do not
/// misbehave on demand.
class http_peer {
public:
    /// One connection.
    class caller {
    public:
        caller(http_peer& peer, boost::asio::ip::tcp::socket accepted, int which)
            : peer_(peer), socket_(std::move(accepted)), number_(which)
        {
            socket_.set_option(boost::asio::ip::tcp::no_delay(true));
            if (peer_.tls_ == nullptr)
                return;
            ssl_.reset(SSL_new(peer_.tls_.get()));
            certificates::require(SSL_set_fd(ssl_.get(), socket_.native_handle()) == 1);
            ready_ = SSL_accept(ssl_.get()) == 1;
        }

        http_peer& peer() noexcept { return peer_; }
        bool ready() const noexcept { return ready_; }
        int number() const noexcept { return number_; } ///< from 0, in the order of accepting
        boost::asio::ip::tcp::socket& socket() noexcept { return socket_; }
        SSL* ssl() noexcept { return ssl_.get(); }

        /// The next request, with its body where that has a length or is in chunks; empty where the
        /// client has gone.
        std::string read_request()
        {
            auto head = read_until("\r\n\r\n");
            if (head.empty())
                return head;
            if (head.find("\r\nTransfer-Encoding: chunked\r\n") != std::string::npos)
                return head + read_chunks();
            constexpr std::string_view length = "\r\nContent-Length: ";
            if (const auto at = head.find(length); at != std::string::npos) {
                std::size_t size = 0;
                std::from_chars(head.data() + at + length.size(), head.data() + head.size(), size);
                while (buffer_.size() < size && read_some()) {}
                head += take(std::min(size, buffer_.size()));
            }
            return head;
        }

        /// Everything up to and with `mark`; empty where the client has gone before.
        std::string read_until(std::string_view mark)
        {
            for (;;) {
                if (const auto at = buffer_.find(mark); at != std::string::npos)
                    return take(at + mark.size());
                if (!read_some())
                    return {};
            }
        }

        /// What has come, or comes next; empty where the client has gone.
        std::string read_part()
        {
            if (buffer_.empty() && !read_some())
                return {};
            return take(buffer_.size());
        }

        /// The bytes that say it: with TLS, a record. They must all be sent, in order.
        std::string seal(std::string_view text)
        {
            if (!ssl_)
                return std::string(text);
            BIO* const memory = BIO_new(BIO_s_mem());
            SSL_set0_wbio(ssl(), memory);
            certificates::require(write(text));
            char* sealed = nullptr;
            const auto size = BIO_get_mem_data(memory, &sealed);
            std::string bytes(sealed, static_cast<std::size_t>(size));
            SSL_set0_wbio(ssl(), BIO_new_socket(socket_.native_handle(), BIO_NOCLOSE));
            return bytes;
        }
        void send(std::string_view bytes)
        {
            boost::system::error_code ignored;
            boost::asio::write(socket_, boost::asio::buffer(bytes), ignored);
        }

        /// Waits until the client has gone. False where it has sent something first.
        bool await_end() { return buffer_.empty() && !read_some(); }

        bool write(std::string_view text)
        {
            while (!text.empty()) {
                const auto sent =
                    ssl_ ? SSL_write(ssl(), text.data(), static_cast<int>(text.size()))
                         : static_cast<int>(::send(socket_.native_handle(), text.data(),
                                                   text.size(), MSG_NOSIGNAL));
                if (sent <= 0)
                    return false;
                text.remove_prefix(static_cast<std::size_t>(sent));
            }
            return true;
        }

        /// Each byte in a segment, or record, of its own.
        bool drip(std::string_view text)
        {
            return std::all_of(text.begin(), text.end(),
                               [this](const char& c) { return write({&c, 1}); });
        }

        void say_goodbye()
        {
            if (ssl_)
                SSL_shutdown(ssl());
        }

        /// Nothing more comes; with TLS, without a good-bye.
        void close()
        {
            boost::system::error_code ignored;
            socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
        }

        /// Takes back what was said: what is on its way is dropped.
        void reset()
        {
            boost::system::error_code ignored;
            socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
            socket_.close(ignored);
        }

    private:
        std::string read_chunks()
        {
            std::string all;
            for (bool last = false; !last;) {
                const auto line = read_until("\r\n");
                std::size_t size = 0;
                std::from_chars(line.data(), line.data() + line.size(), size, 16);
                last = size == 0;
                while (buffer_.size() < size + 2 && read_some()) {}
                all += line + (last ? std::string() : take(std::min(size + 2, buffer_.size())));
            }
            for (std::string line; line != "\r\n" && (line = read_until("\r\n")) != "";)
                all += line;
            return all;
        }

        std::string take(std::size_t n)
        {
            auto taken = buffer_.substr(0, n);
            buffer_.erase(0, n);
            return taken;
        }

        bool read_some()
        {
            std::array<char, 65536> some;
            const auto got = ssl_ ? SSL_read(ssl(), some.data(), static_cast<int>(some.size()))
                                  : static_cast<int>(::recv(socket_.native_handle(), some.data(),
                                                            some.size(), 0));
            if (got > 0)
                buffer_.append(some.data(), static_cast<std::size_t>(got));
            return got > 0;
        }

        http_peer& peer_;
        boost::asio::ip::tcp::socket socket_;
        std::unique_ptr<SSL, loopsafe::detail::c_deleter<&SSL_free>> ssl_;
        std::string buffer_;
        int number_;
        bool ready_ = true;
    };
    using script = std::function<void(caller&)>;

    explicit http_peer(script what, bool secure = false)
        : script_(std::move(what)),
          acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}),
          endpoint_(acceptor_.local_endpoint())
    {
        if (secure) {
            const auto root = certificates::make({.alternative = "", .authority = true});
            root.save(root_file());
            tls_.reset(SSL_CTX_new(TLS_server_method()));
            certificates::use(tls_.get(),
                              certificates::make({.alternative = "IP:127.0.0.1"}, &root));
        }
        accepting_ = std::thread([this] { accept(); });
    }
    http_peer(const http_peer&) = delete;
    http_peer& operator=(const http_peer&) = delete;

    /// Preconditions: no client waits for it any more, or it would not end.
    ~http_peer()
    {
        ::shutdown(acceptor_.native_handle(), SHUT_RDWR); // wakes who waits for a caller
        accepting_.join();
        for (auto& thread : callers_)
            thread.join();
    }

    /// Answers each request with the same text, until the client has gone.
    static script always(std::string text)
    {
        return [text = std::move(text)](caller& c) {
            while (!c.read_request().empty() && c.write(text)) {}
        };
    }

    std::string url(std::string_view target = "/") const
    {
        return (tls_ ? "https://127.0.0.1:" : "http://127.0.0.1:") +
               std::to_string(endpoint_.port()) + std::string(target);
    }
    boost::asio::ip::tcp::endpoint endpoint() const { return endpoint_; }
    std::string root_file() const { return directory_.file("root.pem"); }

    int connections()
    {
        const std::lock_guard lock(mutex_);
        return accepted_;
    }

    bool is_secure() const noexcept { return tls_ != nullptr; }
    /// As OpenSSL counts them for the server.
    int handshakes() const
    {
        return tls_ ? static_cast<int>(SSL_CTX_sess_accept_good(tls_.get())) : 0;
    }

    /// What the test and its peer tell each other.
    void note(std::string what)
    {
        const std::lock_guard lock(mutex_);
        notes_.push_back(std::move(what));
        changed_.notify_all();
    }
    std::vector<std::string> notes()
    {
        const std::lock_guard lock(mutex_);
        return notes_;
    }
    void await_note(std::string_view what)
    {
        std::unique_lock lock(mutex_);
        changed_.wait(
            lock, [&] { return std::find(notes_.begin(), notes_.end(), what) != notes_.end(); });
    }

    /// Returns when so many connections have ended.
    void await_ended(int connections)
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return ended_ >= connections; });
    }

private:
    void accept()
    {
        sigset_t pipe; // OpenSSL writes with write()
        ::sigemptyset(&pipe);
        ::sigaddset(&pipe, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
        for (int number = 0;; ++number) {
            boost::system::error_code ec;
            auto socket = acceptor_.accept(ec);
            if (ec)
                return;
            {
                const std::lock_guard lock(mutex_);
                ++accepted_;
            }
            callers_.emplace_back([this, number, s = std::move(socket)]() mutable {
                {
                    caller next(*this, std::move(s), number);
                    if (next.ready())
                        script_(next);
                }
                const std::lock_guard lock(mutex_);
                ++ended_;
                changed_.notify_all();
            });
        }
    }

    certificates::directory directory_;
    std::unique_ptr<SSL_CTX, loopsafe::detail::c_deleter<&SSL_CTX_free>> tls_;
    const script script_;
    boost::asio::io_context context_{1};
    boost::asio::ip::tcp::acceptor acceptor_;
    const boost::asio::ip::tcp::endpoint endpoint_;
    std::thread accepting_;
    std::vector<std::thread> callers_; // of the accepting thread, until it has ended
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> notes_;
    int accepted_ = 0;
    int ended_ = 0;
};

#endif
