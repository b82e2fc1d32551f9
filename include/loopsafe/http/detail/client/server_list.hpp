// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_SERVER_LIST_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_SERVER_LIST_HPP

#include <loopsafe/http/detail/url_view.hpp>
#include <loopsafe/http/detail/wire/request_head.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::http::detail {

// The servers that a client has used. A Server has an origin, its url, and `last_used`.
template <class Server, class Mutex>
class server_list {
public:
    using pointer = std::shared_ptr<Server>;

    // The next request likely goes to the same server as the last one, with the same spelling. Null
    // if not, and if the list is closed.
    pointer same_as_latest(std::string_view url, std::string_view& target) const
    {
        const std::lock_guard lock(mutex_);
        if (latest_ == nullptr || closed_ || !url.starts_with(latest_->url))
            return nullptr;
        const auto rest = url.substr(latest_->url.size());
        target = leading(target_char | encoded_char, rest);
        const bool whole = target.size() == rest.size() || rest[target.size()] == '#';
        return whole && rest.starts_with('/') ? latest_ : nullptr;
    }

    // Null if it is unknown, and if the list is closed.
    pointer find(const origin_view& wanted)
    {
        const std::lock_guard lock(mutex_);
        return closed_ ? nullptr : use(known_server(wanted));
    }

    // This one, or the equal one that another thread has added; null if the list is closed.
    pointer add(const pointer& made)
    {
        pointer forgotten; // destroyed without the lock
        const std::lock_guard lock(mutex_);
        if (closed_)
            return nullptr;
        const auto origin = view(made->origin);
        if (const auto at = known_server(origin))
            return use(at);
        servers_.push_back({hash_of(origin), made});
        if (servers_.size() > most)
            forgotten = forget_oldest();
        return use(made);
    }

    void close() noexcept
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    bool closed() const noexcept
    {
        const std::lock_guard lock(mutex_);
        return closed_;
    }

    // Calls f(server, time of its last use) for each, without the lock, since it may call a hook.
    // From back to front, so that a server that takes the place of a forgotten one is not missed.
    template <class F>
    void each(F f) const
    {
        for (auto next = std::numeric_limits<std::size_t>::max();;) {
            pointer at;
            std::uint64_t last_used = 0;
            {
                const std::lock_guard lock(mutex_);
                next = std::min(next, servers_.size());
                if (next == 0)
                    return;
                at = servers_[--next].at;
                last_used = at->last_used;
            }
            f(at, last_used);
        }
    }

    static origin_view view(const origin& o) noexcept { return {o.secure, o.host, o.port}; }

private:
    static constexpr std::size_t most = 1024;

    // Searched from front to back, which is fast: the hashes are adjacent.
    struct known {
        std::size_t hash;
        pointer at;
    };

    pointer known_server(const origin_view& wanted) const // under the lock
    {
        const auto hash = hash_of(wanted);
        for (const auto& each : servers_) {
            if (each.hash == hash && is_same(each.at->origin, wanted))
                return each.at;
        }
        return nullptr;
    }
    static bool is_same(const origin& a, const origin_view& b) noexcept
    {
        return a.secure == b.secure && a.port == b.port && equal_ignoring_case(a.host, b.host);
    }

    pointer use(const pointer& one) noexcept // under the lock
    {
        if (one != nullptr) {
            one->last_used = ++uses_;
            latest_ = one;
        }
        return one;
    }

    // A client that visits many servers must not remember all of them.
    pointer forget_oldest() // under the lock
    {
        known* oldest = nullptr;
        for (auto& each : servers_) {
            if (each.at.use_count() == 1 &&
                (oldest == nullptr || each.at->last_used < oldest->at->last_used))
                oldest = &each;
        }
        if (oldest == nullptr)
            return nullptr;
        std::swap(*oldest, servers_.back());
        auto forgotten = std::move(servers_.back().at);
        servers_.pop_back();
        return forgotten;
    }

    mutable Mutex mutex_;
    std::vector<known> servers_;
    pointer latest_;
    std::uint64_t uses_ = 0;
    bool closed_ = false;
};

} // namespace loopsafe::http::detail

#endif
