// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_CARRY_CALLER_HPP
#define LOOPSAFE_TESTS_CARRY_CALLER_HPP

#include <loopsafe/detail/c_deleter.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <poll.h>
#include <string>
#include <string_view>
#include <support/certificates.hpp>
#include <sys/socket.h>
#include <unistd.h>

namespace carry {

/// One caller of the server. TLS is spoken into memory, so that its records can be held back.
class caller {
public:
    caller(int descriptor, unsigned short port, SSL_CTX* context)
        : descriptor_(descriptor), port_(port)
    {
        if (context == nullptr)
            return;
        ssl_.reset(SSL_new(context));
        certificates::require(ssl_ != nullptr);
        SSL_set_bio(ssl(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_accept_state(ssl());
    }
    caller(const caller&) = delete;
    caller& operator=(const caller&) = delete;
    ~caller() { ::close(descriptor_); }

    int descriptor() const noexcept { return descriptor_; }
    unsigned short port() const noexcept { return port_; }
    bool speaks_tls_13() const noexcept
    {
        return ssl_ != nullptr && SSL_version(ssl()) == TLS1_3_VERSION;
    }

    std::string in;             ///< what came and is not used up
    std::string owed;           ///< said before the answer to the next request
    bool deaf = false;          ///< reads nothing
    bool said_no_more = false;  ///< no request may come
    std::uint64_t answered = 0; ///< the request that was answered before all of it was there

    /// What came is wrong.
    void complain(std::string about)
    {
        complaint = std::move(about);
        in.clear();
        hang_up();
    }
    std::string complaint;

    /// It goes out when the server next can send; nothing does after a good-bye or half a ticket.
    void say(std::string_view text)
    {
        if (is_through())
            return;
        if (ssl_ == nullptr)
            out_ += text;
        else if (!text.empty())
            certificates::require(SSL_write(ssl(), text.data(), static_cast<int>(text.size())) ==
                                  static_cast<int>(text.size()));
        collect();
    }

    /// Says that it will say nothing more: of TLS, where that is spoken.
    void say_goodbye()
    {
        if (ssl_ == nullptr)
            hang_up();
        else if (!is_through())
            SSL_shutdown(ssl());
        collect();
    }
    void hang_up() noexcept { hangs_up_ = true; }

    void send_ticket()
    {
        if (is_through())
            return;
        SSL_new_session_ticket(ssl());
        flush_handshake();
    }

    void change_keys(bool both)
    {
        if (is_through())
            return;
        SSL_key_update(ssl(), both ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        flush_handshake();
    }

    /// A ticket in more than one record, of which only the first comes; or not even all of that.
    void send_half_ticket(bool whole_record)
    {
        if (is_through())
            return;
        collect();
        const auto before = out_.size();
        SSL_set_max_send_fragment(ssl(), 512);
        send_ticket();
        SSL_set_max_send_fragment(ssl(), 16 * 1024);
        const auto byte = [&](std::size_t i) {
            return static_cast<std::size_t>(static_cast<unsigned char>(out_.at(before + i)));
        };
        const auto record = 5 + byte(3) * 256 + byte(4);
        certificates::require(out_.size() > before + record);
        out_.resize(before + (whole_record ? record : record - 1));
        cut_ = true;
    }

    /// A ticket that needs more than one record of the smallest size.
    static void make_long_tickets(SSL_CTX* context)
    {
        SSL_CTX_set_session_ticket_cb(
            context,
            [](SSL* s, void*) {
                static constexpr std::array<char, 700> text{};
                return SSL_SESSION_set1_ticket_appdata(SSL_get_session(s), text.data(),
                                                       text.size());
            },
            [](SSL*, SSL_SESSION*, const unsigned char*, std::size_t, SSL_TICKET_STATUS status,
               void*) {
                switch (status) {
                case SSL_TICKET_SUCCESS: return SSL_TICKET_RETURN_USE;
                case SSL_TICKET_SUCCESS_RENEW: return SSL_TICKET_RETURN_USE_RENEW;
                default: return SSL_TICKET_RETURN_IGNORE;
                }
            },
            nullptr);
    }

    // For the server.

    short interest() const noexcept
    {
        return static_cast<short>((deaf ? 0 : POLLIN) | (out_.empty() ? 0 : POLLOUT));
    }
    bool ended() const noexcept { return ended_; }

    /// Takes what one call gives, so that a caller can be left waiting in the middle. False where
    /// there is nothing new.
    bool receive()
    {
        if (deaf)
            return false;
        static thread_local std::array<char, 64 * 1024> some;
        const auto got = ::recv(descriptor_, some.data(), some.size(), 0);
        ended_ = ended_ || got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
        if (got <= 0)
            return false;
        if (ssl_ == nullptr)
            in.append(some.data(), static_cast<std::size_t>(got));
        else
            decrypt({some.data(), static_cast<std::size_t>(got)});
        return !hangs_up_;
    }

    void send()
    {
        while (!out_.empty()) {
            const auto sent = ::send(descriptor_, out_.data(), out_.size(), MSG_NOSIGNAL);
            if (sent < 0) {
                ended_ = ended_ || (errno != EAGAIN && errno != EINTR);
                return;
            }
            out_.erase(0, static_cast<std::size_t>(sent));
        }
        if (hangs_up_ && !std::exchange(hung_up_, true))
            ::shutdown(descriptor_, SHUT_WR);
    }

private:
    SSL* ssl() const noexcept { return ssl_.get(); }

    bool is_through() const noexcept
    {
        return cut_ || (ssl_ != nullptr && (SSL_get_shutdown(ssl()) & SSL_SENT_SHUTDOWN) != 0);
    }

    void flush_handshake()
    {
        SSL_do_handshake(ssl());
        collect();
    }

    void decrypt(std::string_view text)
    {
        BIO_write(SSL_get_rbio(ssl()), text.data(), static_cast<int>(text.size()));
        for (;;) {
            static thread_local std::array<char, 16 * 1024> some;
            ERR_clear_error();
            const int got = SSL_read(ssl(), some.data(), static_cast<int>(some.size()));
            if (got > 0) {
                in.append(some.data(), static_cast<std::size_t>(got));
                continue;
            }
            if (SSL_get_error(ssl(), got) == SSL_ERROR_SSL)
                complain(ERR_reason_error_string(ERR_peek_error()));
            ERR_clear_error();
            break;
        }
        collect();
    }

    void collect()
    {
        if (ssl_ == nullptr)
            return;
        char* bytes = nullptr;
        BIO* const said = SSL_get_wbio(ssl());
        const auto size = BIO_get_mem_data(said, &bytes);
        out_.append(bytes, static_cast<std::size_t>(size));
        BIO_reset(said);
    }

    std::unique_ptr<SSL, loopsafe::detail::c_deleter<&SSL_free>> ssl_;
    std::string out_;
    const int descriptor_;
    const unsigned short port_;
    bool ended_ = false;
    bool hangs_up_ = false;
    bool hung_up_ = false;
    bool cut_ = false;
};

} // namespace carry

#endif
