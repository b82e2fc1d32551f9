// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "dying_context_kinds.hpp"

#include <unistd.h>

namespace dying_context_asio_tests {

namespace {

using namespace dying_context;

struct timer {
    using stream = asio::steady_timer;

    static asio::awaitable<std::unique_ptr<stream>> connect(asio::any_io_executor executor,
                                                            tcp::endpoint)
    {
        co_return std::make_unique<stream>(executor);
    }
    static asio::awaitable<void> serve(tcp::socket) { co_return; }
    static asio::awaitable<void> operate(stream& waiting)
    {
        waiting.expires_at(stream::time_point::max());
        co_await waiting.async_wait(asio::use_awaitable);
    }
    static void touch(stream& waiting) { waiting.cancel(); }
};

// A descriptor that is closed by somebody else, as libpq's is.
class borrowed_descriptor {
public:
    borrowed_descriptor(const asio::any_io_executor& executor, int descriptor)
        : watched(executor, descriptor), descriptor_(descriptor)
    {
    }
    ~borrowed_descriptor() { close(); }

    void close()
    {
        if (watched.is_open()) {
            watched.release();
            ::close(descriptor_);
        }
    }

    asio::posix::stream_descriptor watched;

private:
    int descriptor_;
};

struct posix_descriptor : tcp_socket {
    using stream = borrowed_descriptor;

    static asio::awaitable<std::unique_ptr<stream>> connect(asio::any_io_executor executor,
                                                            tcp::endpoint peer)
    {
        const auto socket = co_await tcp_socket::connect(executor, peer);
        co_return std::make_unique<stream>(executor, socket->release());
    }
    static asio::awaitable<void> operate(stream& descriptor)
    {
        co_await descriptor.watched.async_wait(asio::posix::descriptor_base::wait_read,
                                               asio::use_awaitable);
    }
    static void touch(stream& descriptor) { descriptor.close(); }
};

} // namespace

TEST_CASE_TEMPLATE("a dying context leaves a leased TCP socket to its lease (rule 1)", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<tcp_socket, Death>() == promised<Death>());
}

TEST_CASE_TEMPLATE("a dying context leaves a leased timer to its lease (rule 1)", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<timer, Death>() == promised<Death>());
}

TEST_CASE_TEMPLATE("a dying context leaves a leased POSIX descriptor to its lease (rule 1)", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<posix_descriptor, Death>() == promised<Death>());
}

} // namespace dying_context_asio_tests
