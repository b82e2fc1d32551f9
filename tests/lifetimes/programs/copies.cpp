// SPDX-License-Identifier: BSL-1.0
// Copies of a process that are made so that nothing can tell them from it, as a snapshot makes
// them: by a bare system call, which no handler of pthread_atfork() sees, and with the same process
// id.

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/tls.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <openssl/rand.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <support/tls_peer.hpp>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" pid_t getpid() noexcept // OpenSSL asks for it to notice a fork
{
    return 4711;
}

namespace {

namespace asio = boost::asio;
using pool_type = loopsafe::connection_pool<loopsafe::tls_connector, loopsafe::carry_over_pool>;

constexpr int copies = 8;
using random_bytes = std::array<unsigned char, 16>;

random_bytes draw()
{
    random_bytes drawn{};
    if (RAND_bytes(drawn.data(), static_cast<int>(drawn.size())) != 1)
        std::abort();
    return drawn;
}

// The number of connections that the pool has made for one exchange, or -1.
int use(pool_type& pool)
{
    asio::io_context context(1);
    int connects = -1;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            auto lease = co_await pool.acquire();
            lease.release();
            connects = static_cast<int>(pool.stats().connects);
        },
        [](const std::exception_ptr& error) {
            if (error != nullptr)
                std::abort();
        });
    context.run();
    return connects;
}

} // namespace

int main()
{
    tls_peer server;
    server.serve();
    auto options = server.trusting();
    options.server_name = "localhost";
    pool_type pool{loopsafe::tls_connector(server.endpoint(), options)};
    if (use(pool) != 1 || pool.stats().parked != 1)
        return 1;
    draw();
    std::set<random_bytes> streams;
    int connects = 0;
    for (int i = 0; i < copies; ++i) {
        std::array<int, 2> pipe{};
        if (::pipe(pipe.data()) != 0)
            return 2;
        // The server's thread stays behind, and with it every lock that it may hold.
        const auto child = ::syscall(SYS_fork);
        if (child == 0) {
            loopsafe::process_restored();
            const auto drawn = draw();
            const int made = use(pool);
            const bool told = ::write(pipe[1], drawn.data(), drawn.size()) == 16;
            ::_exit(told && made == 2 ? 0 : 1);
        }
        random_bytes drawn{};
        const bool heard = ::read(pipe[0], drawn.data(), drawn.size()) == 16;
        int status = 0;
        ::waitpid(static_cast<pid_t>(child), &status, 0);
        ::close(pipe[0]);
        ::close(pipe[1]);
        if (!heard || status != 0)
            return 3;
        streams.insert(drawn);
        ++connects;
    }
    streams.insert(draw());
    // Nobody has touched the connection of the first.
    const int own = use(pool);
    std::printf("%zu random streams of %d, %d own connections, and the first still has its %d\n",
                streams.size(), copies + 1, connects, own);
    return streams.size() == copies + 1 && own == 1 ? 0 : 4;
}
