// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_WATCHED_SOCKET_HPP
#define LOOPSAFE_POSTGRES_DETAIL_WATCHED_SOCKET_HPP

#include <loopsafe/context/pin.hpp>
#include <loopsafe/context/residents.hpp>
#include <loopsafe/detail/mute_descriptor.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <new>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <utility>

namespace loopsafe::postgres::detail {

namespace asio = boost::asio;

// Waits for libpq's socket through a duplicate of it. libpq may close its own at any time, in the
// middle of a call; the reactor would be left with a number that means something else by then. The
// duplicate is closed once, here, after the reactor has released it.
class watched_socket {
public:
    watched_socket(const asio::any_io_executor& executor, const context_ref& home) : home_(home)
    {
        ::new (static_cast<void*>(&descriptor_)) asio::posix::stream_descriptor(executor);
    }

    watched_socket(const watched_socket&) = delete;
    watched_socket& operator=(const watched_socket&) = delete;

    ~watched_socket()
    {
        close();
        if (const context_pin pin(home_); pin.may_touch() && !orphaned_)
            std::destroy_at(&descriptor_);
    }

    // Does nothing if that is watched already. Its number does not tell: what libpq opens after it
    // has closed its socket has the same one.
    // Preconditions: on the home context.
    error_code watch(int socket)
    {
        struct ::stat file;
        if (::fstat(socket, &file) != 0)
            return {errno, boost::system::system_category()};
        if (number_ >= 0 && file.st_ino == file_ && file.st_dev == device_)
            return {};
        close();
        const int duplicate = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
        if (duplicate < 0)
            return {errno, boost::system::system_category()};
        error_code ec;
        descriptor_.assign(duplicate, ec);
        if (ec) {
            ::close(duplicate);
            return ec;
        }
        number_ = duplicate;
        file_ = file.st_ino;
        device_ = file.st_dev;
        return ec;
    }

    auto& descriptor() noexcept { return descriptor_; }

    void close() noexcept
    {
        if (orphaned_)
            return;
        if (const context_pin pin(home_); pin.may_touch()) {
            error_code ignored;
            descriptor_.close(ignored);
        } else {
            if (number_ >= 0)
                ::close(number_);
            orphaned_ = true;
        }
        number_ = -1;
    }

    // In a forked child: later operations must not reach the reactor that the parent may share.
    void mute() noexcept
    {
        if (number_ >= 0)
            orphaned_ = !loopsafe::detail::mute_descriptor(number_);
    }

private:
    context_ref home_;
    union { // inert after its context: its destructor would use services that are gone
        asio::posix::stream_descriptor descriptor_;
    };
    int number_ = -1;  // of the duplicate: it cannot be queried once inert
    ::ino_t file_ = 0; // what it is a duplicate of, as long as there is one
    ::dev_t device_ = 0;
    bool orphaned_ = false;
};

} // namespace loopsafe::postgres::detail

#endif
