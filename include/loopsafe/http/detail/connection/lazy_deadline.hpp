// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_LAZY_DEADLINE_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_LAZY_DEADLINE_HPP

#include <loopsafe/detail/process_generation.hpp>
#include <loopsafe/detail/share_new.hpp>
#include <loopsafe/http/detail/connection/idle_wait.hpp>
#include <loopsafe/never.hpp>
#include <loopsafe/pool/mutex.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <sys/socket.h>

namespace loopsafe::http::detail {

// The deadlines of one connection, one at a time. Setting one is usually just a store: when the
// timer fires, it checks how far the deadline has moved.
//
// When a deadline passes, the descriptor is shut down, so that operations on it end. That needs
// neither the connection's thread nor its strand.
template <class Timer>
class lazy_deadline {
public:
    using clock = typename Timer::clock_type;
    using time_point = typename Timer::time_point;

    lazy_deadline(const boost::asio::any_io_executor& executor, int descriptor)
        : work_(executor), timer_(work_.executor()), shared_(loopsafe::detail::share_new<shared>())
    {
        shared_->owner = this;
        shared_->descriptor = descriptor;
    }
    lazy_deadline(const lazy_deadline&) = delete;
    lazy_deadline& operator=(const lazy_deadline&) = delete;
    ~lazy_deadline()
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->owner = nullptr;
    }

    // This long from now, but no later than `latest`, of the same clock.
    void set(std::string_view option, std::chrono::milliseconds from_now,
             std::optional<std::chrono::nanoseconds> latest)
    {
        auto due = latest ? time_point(*latest) : time_point::max();
        option_ = {};
        if (from_now != never) {
            const auto now = clock::now();
            if (from_now <= std::chrono::floor<std::chrono::milliseconds>(due - now)) {
                due = now + from_now;
                option_ = option;
                limit_ = from_now;
            }
        }
        is_set_ = true;
        const std::lock_guard lock(shared_->mutex);
        shared_->due = due;
        if (due < waits_until_)
            wait();
    }

    void clear() noexcept
    {
        if (!is_set_) // saves a lock and a cache line
            return;
        is_set_ = false;
        const std::lock_guard lock(shared_->mutex);
        shared_->due = time_point::max();
        if (!work_.can_be_left() && waits_until_ != time_point::max()) {
            waits_until_ = time_point::max();
            timer_.cancel();
        }
    }

    bool expired() const noexcept { return shared_->expired.load(std::memory_order_relaxed); }

    // What was set last. Empty: the latest time, which came first.
    std::string_view option() const noexcept { return option_; }
    std::chrono::milliseconds limit() const noexcept { return limit_; }

private:
    // With the handlers, which may outlive the connection.
    struct shared {
        pool_mutex mutex;
        lazy_deadline* owner = nullptr;
        time_point due = time_point::max();
        int descriptor = -1;
        std::atomic<bool> expired{false};
    };

    void wait() // under the lock
    {
        waits_until_ = time_point::max(); // if memory runs out, the wait does not begin
        timer_.expires_at(shared_->due);
        timer_.async_wait([state = shared_, work = work_](const boost::system::error_code& ec) {
            work.resume();
            const std::lock_guard lock(state->mutex);
            if (!ec && state->owner != nullptr)
                state->owner->fired();
        });
        waits_until_ = shared_->due;
        work_.leave();
    }

    void fired() // under the lock
    {
        if (clock::now() < waits_until_)
            return; // an earlier wait, which was replaced
        waits_until_ = time_point::max();
        if (shared_->due == time_point::max())
            return;
        if (clock::now() < shared_->due) {
            wait();
            return;
        }
        shared_->expired.store(true, std::memory_order_relaxed);
        if (forks_ != loopsafe::detail::fork_generation.load(std::memory_order_relaxed))
            return; // the parent's connection continues
        ::shutdown(shared_->descriptor, SHUT_RDWR);
    }

    std::string_view option_;
    std::chrono::milliseconds limit_{};
    const idle_wait work_;
    Timer timer_;
    const std::shared_ptr<shared> shared_;
    const std::uint64_t forks_ = loopsafe::detail::fork_generation.load(std::memory_order_relaxed);
    time_point waits_until_ = time_point::max();
    bool is_set_ = false; // since clear()
};

} // namespace loopsafe::http::detail

#endif
