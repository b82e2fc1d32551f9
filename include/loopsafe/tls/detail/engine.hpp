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
#include <string>
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
//
// What the descriptor does not accept is kept here, and OpenSSL takes it for sent: if it had half a
// record left to write, it could not read that the peer wants new keys, which it answers at once.
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
          unsent_(std::move(other.unsent_)),
          accepted_(other.accepted_),
          failed_(other.failed_),
          muted_(other.muted_)
    {
        BIO_set_data(SSL_get_rbio(ssl_.get()), this);
    }
    tls_engine& operator=(tls_engine&&) = delete;

    SSL* handle() const noexcept { return ssl_.get(); }

    tls_step handshake() noexcept
    {
        return when_sent(step([this] { return SSL_connect(handle()); }));
    }

    tls_step read(void* data, std::size_t size) noexcept
    {
        return step([=, this] { return SSL_read(handle(), data, as_int(size)); }, true);
    }

    // If it has to wait, the next one must begin with the same bytes.
    tls_step write(const void* data, std::size_t size) noexcept
    {
        const auto done = step([=, this] {
            return accepted_ != 0 ? std::exchange(accepted_, 0)
                                  : SSL_write(handle(), data, as_int(size));
        });
        must_read_ = done.needs == tls_step::wait::to_read;
        if (done.bytes > size) {
            failed_ = true;
            return {.ec = {ERR_PACK(ERR_LIB_SSL, 0, SSL_R_BAD_LENGTH),
                           boost::asio::error::get_ssl_category()}};
        }
        const auto sent = when_sent(done);
        if (sent.bytes != done.bytes)
            accepted_ = static_cast<int>(done.bytes);
        return sent;
    }

    // The last write waits for something to read.
    bool must_read() const noexcept { return must_read_; }

    // Sends close_notify, and waits for the peer's.
    tls_step shut_down() noexcept
    {
        return when_sent(step([this] {
            const int both = SSL_shutdown(handle());
            return both == 0 ? SSL_shutdown(handle()) : both;
        }));
    }

    // Sends close_notify, if that does not block and the peer could understand it.
    void say_goodbye() noexcept
    {
        if (ssl_ != nullptr && !failed_ && !muted_ && SSL_is_init_finished(handle()) == 1) {
            ERR_clear_error();
            flush();
            SSL_shutdown(handle());
            ERR_clear_error();
        }
    }

    // In a forked child: the peer is the parent's, and must be sent nothing more.
    void mute() noexcept
    {
        muted_ = true;
        unsent_.clear();
    }

    // The bytes that the operating system has accepted so far.
    std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }

    // Whether something can be read without the descriptor.
    bool has_pending() const noexcept { return SSL_has_pending(handle()) == 1; }

    // Nothing has failed or ended, and nothing is on its way in or out.
    bool is_quiet() const noexcept
    {
        return !failed_ && SSL_is_init_finished(handle()) == 1 && !has_pending() &&
               SSL_get_shutdown(handle()) == 0 && unsent_.empty();
    }

    // Consumes messages that are not data: tickets and new keys. False if there is anything else.
    bool takes_only_housekeeping() noexcept
    {
        char byte = 0;
        const auto got = step([&] { return SSL_peek(handle(), &byte, 1); }, true);
        return got.needs == tls_step::wait::to_read && is_quiet();
    }

private:
    static int as_int(std::size_t size) noexcept
    {
        return static_cast<int>(
            std::min(size, static_cast<std::size_t>(std::numeric_limits<int>::max())));
    }

    // What is still unsent goes first, but nothing that can be read waits for it. What a write has
    // left is for that write to send, which then also hears how that failed.
    template <class Call>
    tls_step step(Call call, bool reads = false) noexcept
    {
        ERR_clear_error();
        descriptor_error_ = 0;
        const bool own = !reads || accepted_ == 0;
        if (own)
            flush();
        if (reads) {
            descriptor_error_ = 0;
        } else if (descriptor_error_ != 0) {
            failed_ = true;
            return {.ec = why()};
        } else if (!unsent_.empty()) {
            return {.needs = tls_step::wait::to_write};
        }
        const int got = call();
        if (got > 0)
            return {.bytes = static_cast<std::size_t>(got)};
        switch (SSL_get_error(handle(), got)) {
        case SSL_ERROR_WANT_READ:
            return {.needs = own && !unsent_.empty() ? tls_step::wait::to_write
                                                     : tls_step::wait::to_read};
        case SSL_ERROR_WANT_WRITE: return {.needs = tls_step::wait::to_write};
        case SSL_ERROR_ZERO_RETURN: return {.ec = boost::asio::error::eof};
        default: failed_ = true; return {.ec = why()};
        }
    }

    tls_step when_sent(const tls_step& done) const noexcept
    {
        return done.ec || unsent_.empty() ? done : tls_step{.needs = tls_step::wait::to_write};
    }

    ssize_t pass_on(const char* data, std::size_t size) noexcept
    {
        const auto done = ::send(descriptor_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done > 0)
            bytes_sent_ += static_cast<std::uint64_t>(done);
        return done;
    }

    // Sends what it can of what was kept.
    void flush() noexcept
    {
        while (!unsent_.empty() && descriptor_error_ == 0) {
            const auto done = pass_on(unsent_.data(), unsent_.size());
            if (done >= 0)
                unsent_.erase(0, static_cast<std::size_t>(done));
            else if (errno == EAGAIN || errno == EWOULDBLOCK)
                return;
            else if (errno != EINTR)
                descriptor_error_ = errno;
        }
    }

    // False if that would be too much; then OpenSSL keeps it.
    bool keep(const char* data, int size) noexcept
    {
        constexpr std::size_t most = 64 * 1024;
        if (unsent_.size() >= most)
            return false;
        try {
            unsent_.append(data, static_cast<std::size_t>(size));
            return true;
        } catch (const std::bad_alloc&) {
            return false;
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
        int sent = 0;
        if (self.unsent_.empty()) {
            sent = self.finish(bio, BIO_FLAGS_WRITE,
                               [&] { return self.pass_on(data, static_cast<std::size_t>(size)); });
            if (self.descriptor_error_ != 0)
                return -1;
            sent = std::max(sent, 0);
        }
        if (sent == size || self.keep(data + sent, size - sent)) {
            BIO_clear_retry_flags(bio);
            return size;
        }
        if (sent != 0)
            return sent;
        BIO_set_flags(bio, BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY);
        return -1;
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
    std::string unsent_;
    int accepted_ = 0; // bytes of a write that waits for them to be sent
    bool must_read_ = false;
    bool failed_ = false;
    bool muted_ = false;
};

} // namespace loopsafe::detail

#endif
