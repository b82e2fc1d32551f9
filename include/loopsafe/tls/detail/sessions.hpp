// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_DETAIL_SESSIONS_HPP
#define LOOPSAFE_TLS_DETAIL_SESSIONS_HPP

#include <loopsafe/detail/process_generation.hpp>
#include <loopsafe/tls/detail/handles.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

namespace loopsafe::detail {

// The sessions that connections to one server may resume, the newest first. Servers send two
// tickets for each connection of TLS 1.3; a few of them serve a burst of new connections.
class tls_sessions {
public:
    void add(ssl_session_handle session) noexcept
    {
        const std::lock_guard lock(mutex_);
        drop_inherited();
        kept_[next_++ % kept_.size()] = std::move(session);
    }

    // Null if there is none.
    ssl_session_handle take() noexcept
    {
        const std::lock_guard lock(mutex_);
        drop_inherited();
        for (std::size_t i = 1; i <= kept_.size(); ++i) {
            auto& session = kept_[(next_ - i) % kept_.size()];
            if (session == nullptr)
                continue;
            if (SSL_SESSION_is_resumable(session.get()) == 0) {
                session.reset();
                continue;
            }
            if (SSL_SESSION_get_protocol_version(session.get()) >= TLS1_3_VERSION)
                return std::move(session);
            SSL_SESSION_up_ref(session.get());
            return ssl_session_handle(session.get());
        }
        return nullptr;
    }

private:
    // A session is for one client: other copies of this process have these, too.
    void drop_inherited() noexcept
    {
        const auto now = process_generation.load(std::memory_order_relaxed);
        if (copied_between(std::exchange(generation_, now), now))
            kept_ = {};
    }

    std::mutex mutex_;
    std::uint64_t generation_ = process_generation.load(std::memory_order_relaxed);
    std::array<ssl_session_handle, 8> kept_;
    std::size_t next_ = kept_.size();
};

} // namespace loopsafe::detail

#endif
