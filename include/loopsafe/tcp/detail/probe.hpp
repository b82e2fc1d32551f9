// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_DETAIL_PROBE_HPP
#define LOOPSAFE_TCP_DETAIL_PROBE_HPP

#include <cerrno>
#include <cstdint>
#include <sys/socket.h>

#if !defined(MSG_DONTWAIT)
#error "loopsafe's TCP probe needs MSG_DONTWAIT; Windows is not supported yet."
#endif

namespace loopsafe::detail {

enum class arrival : std::uint8_t { nothing, something, end };

// What is unread on a descriptor; an error counts as the end.
inline arrival peek(int descriptor) noexcept
{
    char byte = 0;
    for (;;) {
        const auto n = ::recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n > 0)
            return arrival::something;
        if (n == 0)
            return arrival::end;
        if (errno != EINTR)
            return errno == EAGAIN || errno == EWOULDBLOCK ? arrival::nothing : arrival::end;
    }
}

// An idle connection must be silent: end of file, an error and unexpected data all mean no.
inline bool seems_alive(int descriptor) noexcept
{
    return peek(descriptor) == arrival::nothing;
}

} // namespace loopsafe::detail

#endif
