// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_DETAIL_SESSIONS_HPP
#define LOOPSAFE_TLS_DETAIL_SESSIONS_HPP

#include <loopsafe/tls/detail/handles.hpp>

#include <array>
#include <cstddef>
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
        kept_[next_++ % kept_.size()] = std::move(session);
    }

    // Null if there is none.
    ssl_session_handle take() noexcept
    {
        const std::lock_guard lock(mutex_);
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
    std::mutex mutex_;
    std::array<ssl_session_handle, 8> kept_;
    std::size_t next_ = kept_.size();
};

} // namespace loopsafe::detail

#endif
