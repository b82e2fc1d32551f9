// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_PROBE_HPP
#define LOOPSAFE_TCP_PROBE_HPP

#include <loopsafe/tcp/detail/probe.hpp>

namespace loopsafe {

/// Whether an idle connected socket still seems alive: its peer has sent nothing, and has not
/// closed. For the `probe()` of a connector of your own.
///
/// `socket` is any socket of Asio, or what else has a `native_handle()`. It is not waited for, and
/// nothing is read. Complexity: one system call.
template <class Socket>
bool seems_alive(Socket& socket) noexcept
{
    return detail::seems_alive(socket.native_handle());
}

} // namespace loopsafe

#endif
