// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_PEER_HPP
#define LOOPSAFE_TESTS_BENCH_PEER_HPP

#include "idle_connector.hpp"

#include <boost/asio/append.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>

#include <list>
#include <memory>
#include <mutex>
#include <utility>

namespace bench {

namespace asio = boost::asio;

// The shape of elsid/resource_pool: two lists under a mutex, handles that share the pool, and a
// result that is always posted. Only its warm path, without its queue, its timers and its limits.
class peer_pool {
    using connections = std::list<idle_connection>;
    struct lists {
        std::mutex mutex;
        connections available{1};
        connections used;
    };

public:
    class handle {
    public:
        handle() = default;
        handle(std::shared_ptr<lists> pool, connections::iterator at)
            : pool_(std::move(pool)), at_(at)
        {
        }
        handle(handle&&) noexcept = default;
        handle& operator=(handle&&) = delete;
        ~handle() { release(); }

        void release()
        {
            if (const auto pool = std::exchange(pool_, nullptr)) {
                const std::lock_guard lock(pool->mutex);
                pool->available.splice(pool->available.begin(), pool->used, at_);
            }
        }

    private:
        std::shared_ptr<lists> pool_;
        connections::iterator at_;
    };

    template <class Token>
    auto async_acquire(const asio::any_io_executor& executor, Token&& token)
    {
        return asio::async_initiate<Token, void(boost::system::error_code, handle)>(
            [pool = lists_, executor](auto handler) {
                connections::iterator at;
                {
                    const std::lock_guard lock(pool->mutex);
                    at = pool->available.begin();
                    pool->used.splice(pool->used.begin(), pool->available, at);
                }
                asio::post(executor, asio::append(std::move(handler), boost::system::error_code(),
                                                  handle(pool, at)));
            },
            token);
    }

private:
    std::shared_ptr<lists> lists_ = std::make_shared<lists>();
};

} // namespace bench

#endif
