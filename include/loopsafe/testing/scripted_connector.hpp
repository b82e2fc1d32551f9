// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_SCRIPTED_CONNECTOR_HPP
#define LOOPSAFE_TESTING_SCRIPTED_CONNECTOR_HPP

#include <loopsafe/pool/connector.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::testing {

/// Plans what the connections of a `scripted_connector` do, and counts what happens to them.
/// Thread safety: safe.
class connect_script {
public:
    enum class outcome { ok, fail, never };

    /// The outcomes of the next connects, in order; all later ones succeed.
    void plan(std::initializer_list<outcome> next)
    {
        const std::lock_guard lock(mutex_);
        planned_.insert(planned_.end(), next);
    }

    outcome next()
    {
        const std::lock_guard lock(mutex_);
        if (planned_.empty())
            return outcome::ok;
        const auto first = planned_.front();
        planned_.pop_front();
        return first;
    }

    /// What a peer answers to what a connection wrote to it, or was asked by `query()`. What it
    /// throws, `query()` throws; a write fails with `connection_reset` then. Without one, a peer
    /// says nothing.
    void reply(std::function<std::string(std::string_view)> how)
    {
        const std::lock_guard lock(mutex_);
        reply_ = std::move(how);
    }

    std::string answer_to(std::string_view said)
    {
        std::function<std::string(std::string_view)> how;
        {
            const std::lock_guard lock(mutex_);
            how = reply_;
        }
        return how ? how(said) : std::string();
    }

    std::atomic<int> attempts{0};
    std::atomic<int> opened{0};
    std::atomic<int> closed{0};
    std::atomic<int> probes{0};
    std::atomic<int> resets{0};
    std::atomic<int> abandoned{0};
    std::atomic<int> detached{0};
    std::atomic<int> attached{0};
    std::atomic<bool> peer_alive{true}; ///< the result of probes
    std::atomic<bool> reset_works{true};
    std::atomic<bool> wants_reset{false}; ///< whether used connections need a reset
    std::atomic<bool> detach_works{true};
    std::atomic<bool> attach_works{true};

    int open() const noexcept { return opened - closed; }

private:
    std::mutex mutex_;
    std::deque<outcome> planned_;
    std::function<std::string(std::string_view)> reply_;
};

/// A connection without a peer: the script answers. It holds a timer, so it is as bound to its
/// context as a socket is, and a sanitizer notices if it outlives the context.
///
/// Asio and Beast read from it and write to it as to a socket (AsyncReadStream, AsyncWriteStream).
/// It is not clean while an answer is unread. One read at a time, and no move while one is pending.
class scripted_connection {
public:
    using executor_type = boost::asio::any_io_executor;

    scripted_connection(std::shared_ptr<connect_script> script,
                        const boost::asio::any_io_executor& executor)
        : scripted_connection(opened(std::move(script)), executor)
    {
    }

    scripted_connection(scripted_connection&& other) noexcept
        : clean(other.clean),
          opened_(std::move(other.opened_)),
          timer_(std::move(other.timer_)),
          arrival_(std::move(other.arrival_)),
          unread_(std::move(other.unread_))
    {
    }
    scripted_connection& operator=(scripted_connection&&) = delete;

    /// 1 for the first connection of the script, and so on.
    int number() const noexcept { return opened_.number; }
    boost::asio::steady_timer& timer() noexcept { return timer_; }
    executor_type get_executor() noexcept { return timer_.get_executor(); }

    /// What the script answers to `text`, after a turn of the context.
    boost::asio::awaitable<std::string> query(std::string text)
    {
        const auto was_clean = std::exchange(clean, false);
        boost::asio::steady_timer turn(timer_.get_executor(),
                                       boost::asio::steady_timer::time_point::min());
        co_await turn.async_wait(boost::asio::use_awaitable);
        auto answer = opened_.script->answer_to(text);
        clean = was_clean;
        co_return answer;
    }

    template <class Buffers, class Token = boost::asio::default_completion_token_t<executor_type>>
    auto async_write_some(const Buffers& from, Token&& token = {})
    {
        return boost::asio::async_compose<Token, void(boost::system::error_code, std::size_t)>(
            [this, from, n = std::size_t{0}, written = false, failed = false](auto& self) mutable {
                if (std::exchange(written, true)) {
                    boost::system::error_code ec;
                    if (failed)
                        ec = boost::asio::error::connection_reset;
                    self.complete(ec, failed ? 0 : n);
                    return;
                }
                std::string said(boost::asio::buffer_size(from), '\0');
                n = boost::asio::buffer_copy(boost::asio::buffer(said), from);
                try {
                    unread_ += opened_.script->answer_to(said);
                } catch (...) { // Asio does not expect it here
                    failed = true;
                    clean = false;
                }
                if (!unread_.empty())
                    arrival_.cancel(); // who waits for it
                boost::asio::post(get_executor(), std::move(self));
            },
            token, timer_);
    }

    template <class Buffers, class Token = boost::asio::default_completion_token_t<executor_type>>
    auto async_read_some(const Buffers& into, Token&& token = {})
    {
        return boost::asio::async_compose<Token, void(boost::system::error_code, std::size_t)>(
            [this, into, begun = false](auto& self, boost::system::error_code = {}) mutable {
                using clock = boost::asio::steady_timer;
                if (!begun)
                    self.reset_cancellation_state(boost::asio::enable_total_cancellation());
                const bool ready = !unread_.empty() || boost::asio::buffer_size(into) == 0;
                if (self.cancelled() != boost::asio::cancellation_type::none) {
                    self.complete(boost::asio::error::operation_aborted, 0);
                } else if (!std::exchange(begun, true) || !ready) {
                    arrival_.expires_at(ready ? clock::time_point::min()
                                              : clock::time_point::max());
                    arrival_.async_wait(std::move(self));
                } else {
                    const auto n = boost::asio::buffer_copy(into, boost::asio::buffer(unread_));
                    unread_.erase(0, n);
                    self.complete({}, n);
                }
            },
            token, arrival_);
    }

    bool clean = true; ///< the result of `is_clean`

private:
    friend class scripted_connector;

    // What is counted, and carried from one context to the next.
    struct opened {
        explicit opened(std::shared_ptr<connect_script> s)
            : script(std::move(s)), number(++script->opened)
        {
        }
        opened(opened&&) noexcept = default;
        opened& operator=(opened&&) = delete;
        ~opened()
        {
            if (script != nullptr)
                ++script->closed;
        }

        std::shared_ptr<connect_script> script;
        int number;
    };

    scripted_connection(opened&& by, const boost::asio::any_io_executor& executor)
        : opened_(std::move(by)), timer_(executor), arrival_(executor)
    {
    }

    opened opened_;
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer arrival_; // of something to read
    std::string unread_;
};

/// A connector for testing code that uses a pool: no network, outcomes as planned.
class scripted_connector {
public:
    using connection_type = scripted_connection;
    using handle_type = scripted_connection::opened;

    static constexpr bool frames_messages = true;

    explicit scripted_connector(std::shared_ptr<connect_script> script) : script_(std::move(script))
    {
    }

    boost::asio::awaitable<scripted_connection> connect(boost::asio::any_io_executor executor) const
    {
        ++script_->attempts;
        const auto outcome = script_->next();
        boost::asio::steady_timer timer(executor,
                                        outcome == connect_script::outcome::never
                                            ? boost::asio::steady_timer::duration::max()
                                            : boost::asio::steady_timer::duration::zero());
        if (outcome == connect_script::outcome::never)
            timer.expires_at(boost::asio::steady_timer::time_point::max());
        auto [ec] = co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        if (outcome == connect_script::outcome::fail)
            ec = boost::asio::error::connection_refused;
        if (ec)
            throw boost::system::system_error(ec, "scripted");
        co_return scripted_connection(script_, executor);
    }

    bool is_clean(const scripted_connection& connection) const noexcept
    {
        return connection.clean && connection.unread_.empty();
    }

    bool probe(scripted_connection&) const noexcept
    {
        ++script_->probes;
        return script_->peer_alive;
    }

    bool needs_reset(const scripted_connection&) const noexcept { return script_->wants_reset; }

    boost::asio::awaitable<void> reset(scripted_connection&) const
    {
        ++script_->resets;
        if (!script_->reset_works)
            throw boost::system::system_error(boost::asio::error::connection_reset, "scripted");
        co_return;
    }

    std::optional<handle_type> detach(scripted_connection& connection) const noexcept
    {
        ++script_->detached;
        if (!script_->detach_works)
            return std::nullopt;
        return std::move(connection.opened_);
    }

    scripted_connection attach(handle_type&& handle,
                               const boost::asio::any_io_executor& executor) const
    {
        ++script_->attached;
        if (!script_->attach_works)
            throw boost::system::system_error(boost::asio::error::no_descriptors, "scripted");
        return scripted_connection(std::move(handle), executor);
    }

    void abandon(scripted_connection&) const noexcept { ++script_->abandoned; }
    void abandon(handle_type&) const noexcept { ++script_->abandoned; }

private:
    std::shared_ptr<connect_script> script_;
};

static_assert(connector<scripted_connector>);
static_assert(can_reset<scripted_connector> && can_abandon<scripted_connector> &&
              can_carry<scripted_connector>);

} // namespace loopsafe::testing

#endif
