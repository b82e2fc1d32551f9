// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_DETAIL_PARKED_SOCKET_HPP
#define LOOPSAFE_TCP_DETAIL_PARKED_SOCKET_HPP

#include <loopsafe/error.hpp>

#include <optional>
#include <unistd.h>
#include <utility>

namespace loopsafe::detail {

// A socket outside of any context.
template <class Socket>
class parked_socket {
public:
    // Preconditions: its context is alive, or is being destroyed by this thread and its reactor
    // still exists; no operation is pending.
    static std::optional<parked_socket> take_from(Socket& socket) noexcept
    {
        error_code ec;
        const auto local = socket.local_endpoint(ec);
        if (ec)
            return std::nullopt;
        const int descriptor = socket.release(ec);
        if (ec)
            return std::nullopt;
        return parked_socket(descriptor, local.protocol());
    }

    parked_socket(parked_socket&& other) noexcept
        : descriptor_(std::exchange(other.descriptor_, -1)), protocol_(other.protocol_)
    {
    }
    parked_socket& operator=(parked_socket&&) = delete;
    ~parked_socket()
    {
        if (descriptor_ >= 0)
            ::close(descriptor_);
    }

    int native_handle() const noexcept { return descriptor_; }

    // Errors: those of the reactor, as `system_error`; then the descriptor stays here.
    void give_to(Socket& socket)
    {
        socket.assign(protocol_, descriptor_);
        descriptor_ = -1;
    }

private:
    parked_socket(int descriptor, const typename Socket::protocol_type& protocol) noexcept
        : descriptor_(descriptor), protocol_(protocol)
    {
    }

    int descriptor_;
    typename Socket::protocol_type protocol_;
};

} // namespace loopsafe::detail

#endif
