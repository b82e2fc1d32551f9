// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_DETAIL_ENGINE_HPP
#define LOOPSAFE_TLS_DETAIL_ENGINE_HPP

#include <loopsafe/error.hpp>
#include <loopsafe/tls/detail/handles.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <sys/socket.h>
#include <utility>

namespace loopsafe::detail {

// The result of a step of the engine: some bytes, an error, or that the descriptor must become
// ready.
struct tls_step {
    enum class wait { none, to_read, to_write };

    wait needs = wait::none;
    std::size_t bytes = 0;
    error_code ec = {};
};

// TLS on a descriptor, which it neither owns nor blocks on. It is independent of contexts, so it
// can move from one to another.
class tls_engine {
public:
    tls_engine(SSL_CTX* context, int descriptor) : ssl_(SSL_new(context)), descriptor_(descriptor)
    {
        BIO* const bio = BIO_new(method());
        if (ssl_ == nullptr || bio == nullptr) {
            BIO_free(bio);
            throw std::bad_alloc();
        }
        BIO_set_data(bio, this);
        BIO_set_init(bio, 1);
        SSL_set_bio(ssl_.get(), bio, bio);
        SSL_set_mode(ssl_.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_set_read_ahead(ssl_.get(), 1);
    }
    // It moves from one owner of the descriptor to the next. The moved-from engine must not be
    // used.
    tls_engine(tls_engine&& other) noexcept
        : ssl_(std::move(other.ssl_)),
          descriptor_(other.descriptor_),
          bytes_sent_(other.bytes_sent_),
          failed_(other.failed_),
          muted_(other.muted_)
    {
        BIO_set_data(SSL_get_rbio(ssl_.get()), this);
    }
    tls_engine& operator=(tls_engine&&) = delete;

    SSL* handle() const noexcept { return ssl_.get(); }

    tls_step handshake() noexcept
    {
        return step([this] { return SSL_connect(handle()); });
    }

    tls_step read(void* data, std::size_t size) noexcept
    {
        return step([=, this] { return SSL_read(handle(), data, as_int(size)); });
    }

    tls_step write(const void* data, std::size_t size) noexcept
    {
        return step([=, this] { return SSL_write(handle(), data, as_int(size)); });
    }

    // Sends close_notify, and waits for the peer's.
    tls_step shut_down() noexcept
    {
        return step([this] {
            const int both = SSL_shutdown(handle());
            return both == 0 ? SSL_shutdown(handle()) : both;
        });
    }

    // Sends close_notify, if that does not block and the peer could understand it.
    void say_goodbye() noexcept
    {
        if (ssl_ != nullptr && !failed_ && !muted_ && SSL_is_init_finished(handle()) == 1) {
            ERR_clear_error();
            SSL_shutdown(handle());
            ERR_clear_error();
        }
    }

    // In a forked child: the peer is the parent's, and must be sent nothing more.
    void mute() noexcept { muted_ = true; }

    // The bytes that the operating system has accepted so far.
    std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }

    // Whether something can be read without the descriptor.
    bool has_pending() const noexcept { return SSL_has_pending(handle()) == 1; }

    // Nothing has failed or ended, and nothing is on its way in or out.
    bool is_quiet() const noexcept
    {
        return !failed_ && SSL_is_init_finished(handle()) == 1 && !has_pending() &&
               SSL_get_shutdown(handle()) == 0;
    }

    // Consumes messages that are not data: tickets and new keys. False if there is anything else.
    bool takes_only_housekeeping() noexcept
    {
        char byte = 0;
        const auto got = step([&] { return SSL_peek(handle(), &byte, 1); });
        return got.needs == tls_step::wait::to_read && is_quiet();
    }

private:
    static int as_int(std::size_t size) noexcept
    {
        return static_cast<int>(
            std::min(size, static_cast<std::size_t>(std::numeric_limits<int>::max())));
    }

    template <class Call>
    tls_step step(Call call) noexcept
    {
        ERR_clear_error();
        descriptor_error_ = 0;
        const int got = call();
        if (got > 0)
            return {.bytes = static_cast<std::size_t>(got)};
        switch (SSL_get_error(handle(), got)) {
        case SSL_ERROR_WANT_READ: return {.needs = tls_step::wait::to_read};
        case SSL_ERROR_WANT_WRITE: return {.needs = tls_step::wait::to_write};
        case SSL_ERROR_ZERO_RETURN: return {.ec = boost::asio::error::eof};
        default: failed_ = true; return {.ec = why()};
        }
    }

    error_code why() const noexcept
    {
        if (descriptor_error_ != 0)
            return {descriptor_error_, boost::system::system_category()};
        const auto reason = ERR_get_error();
        if (reason == 0 || ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            return boost::asio::ssl::error::stream_truncated;
        return {static_cast<int>(reason), boost::asio::error::get_ssl_category()};
    }

    // SSL_set_fd would do, but for write(), which raises SIGPIPE if the peer has gone.
    static const BIO_METHOD* method()
    {
        static const BIO_METHOD* const one = [] {
            auto* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "loopsafe");
            if (made == nullptr)
                throw std::bad_alloc();
            BIO_meth_set_write(made, &send);
            BIO_meth_set_read(made, &receive);
            BIO_meth_set_ctrl(made, &control);
            return made;
        }();
        return one;
    }

    static int send(BIO* bio, const char* data, int size) noexcept
    {
        auto& self = *static_cast<tls_engine*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        const int sent = self.finish(bio, BIO_FLAGS_WRITE, [&] {
            return ::send(self.descriptor_, data, static_cast<std::size_t>(size),
                          MSG_NOSIGNAL | MSG_DONTWAIT);
        });
        if (sent > 0)
            self.bytes_sent_ += static_cast<std::uint64_t>(sent);
        return sent;
    }

    static int receive(BIO* bio, char* data, int size) noexcept
    {
        auto& self = *static_cast<tls_engine*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        return self.finish(bio, BIO_FLAGS_READ, [&] {
            return ::recv(self.descriptor_, data, static_cast<std::size_t>(size), MSG_DONTWAIT);
        });
    }

    template <class Call>
    int finish(BIO* bio, int direction, Call call) noexcept
    {
        for (;;) {
            const auto done = call();
            if (done >= 0)
                return static_cast<int>(done);
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                BIO_set_flags(bio, direction | BIO_FLAGS_SHOULD_RETRY);
            else
                descriptor_error_ = errno;
            return -1;
        }
    }

    static long control(BIO*, int command, long, void*) noexcept
    {
        return command == BIO_CTRL_FLUSH ? 1 : 0;
    }

    ssl_handle ssl_;
    const int descriptor_;
    int descriptor_error_ = 0; // errno of the last send or recv that failed
    std::uint64_t bytes_sent_ = 0;
    bool failed_ = false;
    bool muted_ = false;
};

} // namespace loopsafe::detail

#endif
