// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_DETAIL_PARKED_TLS_HPP
#define LOOPSAFE_TLS_DETAIL_PARKED_TLS_HPP

#include <loopsafe/tcp/detail/parked_socket.hpp>
#include <loopsafe/tls/detail/channel.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace loopsafe::detail {

// A TLS connection outside of any context: the descriptor, and the engine with its whole state. If
// it is destroyed without having been attached to a context, it sends close_notify.
class parked_tls {
    using parked = parked_socket<asio::ip::tcp::socket>;

public:
    // Preconditions: as for parked_socket. Afterwards, the channel must not be used.
    static std::optional<parked_tls> take_from(tls_channel& channel) noexcept
    {
        auto socket = parked::take_from(channel.socket);
        if (!socket)
            return std::nullopt;
        return parked_tls(*std::move(socket), channel);
    }

    parked_tls(parked_tls&&) noexcept = default;
    parked_tls& operator=(parked_tls&&) = delete;
    ~parked_tls()
    {
        if (socket_.native_handle() >= 0)
            engine_.say_goodbye();
    }

    // Errors: those of parked_socket, after which nothing has changed; `bad_alloc`.
    std::shared_ptr<tls_channel> attach(const asio::any_io_executor& executor)
    {
        asio::ip::tcp::socket socket(executor);
        socket_.give_to(socket);
        return std::make_shared<tls_channel>(std::move(socket), std::move(settings_),
                                             std::move(engine_));
    }

    // In a forked child.
    void mute() noexcept { engine_.mute(); }

private:
    parked_tls(parked&& socket, tls_channel& channel) noexcept
        : settings_(std::move(channel.settings)),
          socket_(std::move(socket)),
          engine_(std::move(channel.engine))
    {
    }

    std::shared_ptr<const tls_settings> settings_;
    parked socket_;
    tls_engine engine_;
};

} // namespace loopsafe::detail

#endif
