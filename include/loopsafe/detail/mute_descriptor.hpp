// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_MUTE_DESCRIPTOR_HPP
#define LOOPSAFE_DETAIL_MUTE_DESCRIPTOR_HPP

#include <fcntl.h>
#include <unistd.h>

namespace loopsafe::detail {

// In a forked child: replaces what a descriptor refers to with /dev/null, so that closing it
// reaches neither the parent's peer nor a reactor that the parent may share (Asio takes a
// descriptor that was assign()ed off its epoll set when it closes it). False: out of descriptors.
inline bool mute_descriptor(int descriptor) noexcept
{
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere < 0)
        return false;
    const bool replaced = descriptor < 0 || ::dup3(nowhere, descriptor, O_CLOEXEC) >= 0;
    ::close(nowhere);
    return replaced;
}

} // namespace loopsafe::detail

#endif
