// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_TLS_PEER_HPP
#define LOOPSAFE_TESTS_SUPPORT_TLS_PEER_HPP

#include <loopsafe/tls.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <array>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <support/certificates.hpp>
#include <sys/socket.h>
#include <thread>
#include <utility>
#include <vector>

/// A server of OpenSSL's on the loopback, with a root of its own. Each caller has a thread, which
/// blocks, and ends when the caller has hung up.
class tls_peer {
public:
    /// One caller, with the handshake done.
    class caller {
    public:
        caller(boost::asio::ip::tcp::socket accepted, SSL_CTX* context)
            : socket_(std::move(accepted)), ssl_(SSL_new(context))
        {
            socket_.set_option(boost::asio::ip::tcp::no_delay(true));
            certificates::require(SSL_set_fd(ssl_.get(), socket_.native_handle()) == 1);
            accepted_ = SSL_accept(ssl_.get()) == 1;
        }

        bool accepted() const noexcept { return accepted_; }
        SSL* ssl() const noexcept { return ssl_.get(); }
        boost::asio::ip::tcp::socket& socket() noexcept { return socket_; }

        /// Empty at the end; `why()` says which.
        std::string read()
        {
            std::string some(32 * 1024, ' ');
            const int got = SSL_read(ssl(), some.data(), static_cast<int>(some.size()));
            why_ = SSL_get_error(ssl(), got);
            some.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
            return some;
        }
        int why() const noexcept { return why_; }

        bool write(const std::string& text)
        {
            return SSL_write(ssl(), text.data(), static_cast<int>(text.size())) > 0;
        }

        void say_goodbye() { SSL_shutdown(ssl()); }

        /// Nothing more comes, and what comes from the other side is taken and forgotten.
        void hang_up()
        {
            boost::system::error_code ec;
            socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ec);
            std::array<char, 4096> rest;
            while (!ec)
                socket_.read_some(boost::asio::buffer(rest), ec);
        }

    private:
        boost::asio::ip::tcp::socket socket_;
        std::unique_ptr<SSL, loopsafe::detail::c_deleter<&SSL_free>> ssl_;
        bool accepted_ = false;
        int why_ = SSL_ERROR_NONE;
    };
    using script = std::function<void(caller&)>;

    /// The kernel completes a connect from now on; the rest waits for `serve`.
    explicit tls_peer(const certificates::wanted& what = {})
        : root_(certificates::make({.alternative = "", .authority = true})),
          leaf_(certificates::make(what, &root_)),
          context_(SSL_CTX_new(TLS_server_method()))
    {
        root_.save(root_file());
        use(leaf_);
        listen(0);
    }
    tls_peer(const tls_peer&) = delete;
    tls_peer& operator=(const tls_peer&) = delete;
    ~tls_peer()
    {
        stop_listening();
        for (auto& thread : callers_)
            thread.join();
    }

    void use(const certificates::identity& who) { certificates::use(context(), who); }

    void serve(script with = echo)
    {
        serve_ = std::move(with);
        accept_callers();
    }

    void stop_listening()
    {
        if (!acceptor_)
            return;
        ::shutdown(acceptor_->native_handle(), SHUT_RDWR); // wakes who waits for a caller
        if (accepting_.joinable())
            accepting_.join();
        acceptor_.reset();
    }

    void listen_again()
    {
        listen(endpoint_.port());
        accept_callers();
    }

    /// Returns when so many callers have hung up.
    void await_ended(int callers)
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return ended_ >= callers; });
    }

    static void echo(caller& c)
    {
        for (auto some = c.read(); !some.empty() && c.write(some); some = c.read()) {}
    }

    SSL_CTX* context() noexcept { return context_.get(); }
    const certificates::identity& root() const noexcept { return root_; }
    std::string root_file() const { return directory_.file("root.pem"); }
    std::string file(const std::string& name) const { return directory_.file(name); }
    boost::asio::ip::tcp::endpoint endpoint() const { return endpoint_; }
    std::string port() const { return std::to_string(endpoint().port()); }

    /// Trusts this peer's root.
    loopsafe::tls_options trusting() const
    {
        loopsafe::tls_options options;
        options.trusted_file = root_file();
        return options;
    }

    loopsafe::tls_connector connector() const { return connector(trusting()); }
    loopsafe::tls_connector connector(const loopsafe::tls_options& options) const
    {
        return {"localhost", port(), options};
    }

private:
    void listen(unsigned short port)
    {
        acceptor_.emplace(
            io_, boost::asio::ip::tcp::endpoint(boost::asio::ip::address_v4::loopback(), port));
        endpoint_ = acceptor_->local_endpoint();
    }

    void accept_callers()
    {
        accepting_ = std::thread([this] {
            sigset_t pipe; // OpenSSL writes with write()
            ::sigemptyset(&pipe);
            ::sigaddset(&pipe, SIGPIPE);
            ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
            for (;;) {
                boost::system::error_code ec;
                auto socket = acceptor_->accept(ec);
                if (ec)
                    return;
                callers_.emplace_back(
                    [this, s = std::move(socket)]() mutable { serve_one(std::move(s)); });
            }
        });
    }

    void serve_one(boost::asio::ip::tcp::socket socket)
    {
        {
            caller next(std::move(socket), context());
            if (next.accepted())
                serve_(next);
            next.hang_up();
        }
        const std::lock_guard lock(mutex_);
        ++ended_;
        changed_.notify_all();
    }

    certificates::directory directory_;
    certificates::identity root_;
    certificates::identity leaf_;
    std::unique_ptr<SSL_CTX, loopsafe::detail::c_deleter<&SSL_CTX_free>> context_;
    script serve_;
    boost::asio::io_context io_{1};
    std::optional<boost::asio::ip::tcp::acceptor> acceptor_;
    boost::asio::ip::tcp::endpoint endpoint_;
    std::thread accepting_;
    std::vector<std::thread> callers_; // of the accepting thread, until it has ended
    std::mutex mutex_;
    std::condition_variable changed_;
    int ended_ = 0;
};

#endif
