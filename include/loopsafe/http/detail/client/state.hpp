// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_STATE_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_STATE_HPP

#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/detail/share_new.hpp>
#include <loopsafe/http/detail/client/from_options.hpp>
#include <loopsafe/http/detail/client/server_list.hpp>
#include <loopsafe/http/detail/connection/connector.hpp>
#include <loopsafe/offload/connection_pool.hpp>
#include <loopsafe/pool/connection_pool.hpp>

#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http::detail {

// The state that a client and its requests share.
template <class PoolPolicy, class ExecutionPolicy>
class client_state {
    using mutex = typename PoolPolicy::mutex_type;
    using timer = typename PoolPolicy::clock_type::timer;
    using connector_type = connector<timer>;

public:
    static constexpr bool offloaded = std::same_as<ExecutionPolicy, thread_offload>;
    static constexpr bool has_home = PoolPolicy::has_home && !offloaded;

private:
    // Connections to nothing, each a permit for one request in progress. Of the same kind as the
    // others if possible: another kind of pool takes long to compile.
    using permit_policy =
        std::conditional_t<has_home, PoolPolicy,
                           basic_null_pool<mutex, typename PoolPolicy::clock_type>>;
    using permit_pool = connection_pool<connector_type, permit_policy>;

public:
    using pool_type = connection_pool<connector_type, PoolPolicy, ExecutionPolicy>;
    using lease_type = typename pool_type::lease_type;
    using connection_type = connection<timer>;
    using options_type = client_options_for<PoolPolicy>;
    using permit = typename permit_pool::lease_type;
    using timer_type = timer;

    // One origin, and the connections to it.
    struct server {
        http::origin origin;
        std::string url;        // of the origin
        std::string host_field; // "Host: ...", as a line; with what goes to a proxy
        std::string absolute;   // of an http origin behind a proxy: url, with the client's prefix
        pool_type pool;
        std::shared_ptr<const client_settings> settings; // a request keeps them through this
        std::uint64_t last_used = 0;
    };

    client_state(options_type with, const loopsafe::detail::located_executor* home,
                 worker_threads* workers)
        : options_(loopsafe::detail::share_new<const options_type>(std::move(with))),
          workers_(workers),
          settings_(made_settings(options_, !PoolPolicy::keeps_idle))
    {
        // So that at exit OpenSSL ends after a client in static storage, which closes its
        // connections. Of all options this one has the least done before a secure connection needs
        // the rest; without any, OpenSSL does nothing.
        OPENSSL_init_crypto(OPENSSL_INIT_ASYNC, nullptr);
        if (!uses_defaults(options_->tls)) // so that errors in them are reported now
            tls_ = loopsafe::detail::share_new<const loopsafe::detail::tls_context>(options_->tls);
        pool_options<PoolPolicy>(*options_); // checks them
        if (home != nullptr) {
            home_ = context_of(home->executor, home->where);
            if (!home_)
                throw context_error(loopsafe::detail::refusal(
                    {}, home->executor, "http::client", "construction", home->where,
                    "give it an io_context, a thread_pool, or an executor of one"));
        }
        if (options_->max_total != options_->no_limit) {
            typename permit_policy::options limits;
            limits.max_size = options_->max_total;
            limits.max_waiting = options_->max_waiting;
            limits.connect_timeout = never;
            limits.name = "http, all servers";
            if constexpr (has_home)
                permits_.emplace(*home, connector_type(), limits);
            else
                permits_.emplace(connector_type(), limits);
        }
    }

    const context_ref& home() const noexcept { return home_; }

    void require_home(const asio::any_io_executor& executor, const char* operation,
                      const std::source_location& where) const
    {
        if constexpr (has_home) {
            if (loopsafe::detail::at_home(home_, executor)) [[likely]]
                return;
            throw context_error(loopsafe::detail::refusal(
                home_, executor, "http::client", operation, where,
                "make the client inside the context that uses it, or choose "
                "http::basic_client<null_pool> (a new connection each time), <per_context_pool> "
                "(each context keeps its own), <carry_over_pool> (the next context gets what the "
                "last one leaves) or <keep_alive_pool, thread_offload> (any context)"));
        }
    }

    [[noreturn]] static void refuse_closed(const std::source_location& where)
    {
        std::rethrow_exception(loopsafe::detail::pool_is_gone("send", where, "http client"));
    }

    // Performs every check that is possible before a byte is sent, and finds the server. The call
    // keeps it alive.
    server& prepare(call& c, const asio::any_io_executor& executor,
                    const std::source_location& where)
    {
        check_request(c.asked);
        const auto& o = *options_;
        c.settings = settings_.get();
        c.most = &o.limits;
        c.times = &o.timeouts;
        if (c.asked.timeouts) {
            check_timeouts(*c.asked.timeouts);
            c.times = &*c.asked.timeouts;
        }
        if (!c.due)
            c.due = after(c.times->total);
        auto at = find_server(c, executor, where);
        c.host_field = &at->host_field;
        c.origin = &at->origin;
        auto& found = *at;
        c.server = std::move(at);
        if (!found.absolute.empty()) [[unlikely]]
            ask_proxy(c, found);
        return found;
    }

    // What layers compare and resolve has an origin of its own.
    void make_absolute(request& asked) const
    {
        const std::string_view text = asked.url;
        if (settings_->base && !split_url(text).wrong.empty() && is_relative(text))
            asked.url = settings_->base->origin.to_string() + settings_->target_prefix +
                        (text.starts_with('/') ? "" : "/") + asked.url;
    }

    // When all that is done for a request must have ended.
    std::optional<std::chrono::nanoseconds> due(const request& asked) const
    {
        if (asked.timeouts)
            check_timeouts(*asked.timeouts);
        return after(asked.timeouts ? asked.timeouts->total : options_->timeouts.total);
    }

    const single_use_client_options& given() const noexcept { return *options_; }

    asio::awaitable<permit> permission(const call& c, std::source_location where)
    {
        return permits_->acquire({.timeout = c.times->wait}, where);
    }
    bool asks_for_authorization(const call& c) const
    {
        return options_->authorization && !c.foreign &&
               !c.asked.headers.contains("authorization") &&
               !options_->headers.contains("authorization");
    }
    bool needs_permission() const noexcept { return permits_.has_value(); }

    // Idle connections count, too, and can be given up.
    void make_room(const server& wanted) noexcept
    {
        if (!permits_)
            return;
        if (const auto now = wanted.pool.stats(); now.idle + now.parked != 0)
            return;
        std::size_t open = 0;
        std::shared_ptr<server> oldest;
        std::uint64_t when = 0;
        servers_.each([&](const std::shared_ptr<server>& each, std::uint64_t last_used) {
            const auto now = each->pool.stats();
            open += now.idle + now.leased + now.connecting + now.parked;
            if (now.idle + now.parked != 0 && (oldest == nullptr || last_used < when)) {
                oldest = each;
                when = last_used;
            }
        });
        if (open >= options_->max_total && oldest != nullptr)
            oldest->pool.invalidate();
    }

    // For the hook.
    void number(call& c) noexcept
    {
        c.number = requests_.fetch_add(1, std::memory_order_relaxed) + 1;
        c.clock = []() noexcept -> std::chrono::nanoseconds {
            return timer_type::clock_type::now().time_since_epoch();
        };
        c.since = c.clock();
    }

    void invalidate() noexcept
    {
        servers_.each([](const auto& each, auto) { each->pool.invalidate(); });
    }

    void thaw() noexcept
    {
        servers_.each([](const auto& each, auto) { each->pool.thaw(); });
    }

    void drop_parked() noexcept
    {
        servers_.each([](const auto& each, auto) { each->pool.drop_parked(); });
    }

    void close() noexcept
    {
        servers_.close();
        if (permits_)
            permits_->close();
        servers_.each([](const auto& each, auto) { each->pool.close(); });
    }

    const server_list<server, mutex>& servers() const noexcept { return servers_; }

private:
    static std::optional<std::chrono::nanoseconds> after(std::chrono::milliseconds total) noexcept
    {
        if (total == never)
            return {};
        const auto now = timer::clock_type::now().time_since_epoch();
        const auto most =
            std::chrono::duration_cast<std::chrono::milliseconds>(timer::duration::max() - now);
        return total < most ? std::optional<std::chrono::nanoseconds>(now + total) : std::nullopt;
    }

    // It has no scheme: a "://" in it is in its path or query.
    static bool is_relative(std::string_view text) noexcept
    {
        return text.substr(0, text.find_first_of("/?#")).find(':') == std::string_view::npos;
    }

    // For the whole URL (RFC 9112, 3.2.2).
    static void ask_proxy(call& c, const server& at)
    {
        if (c.asked.headers.contains("host"))
            refuse(errc::framing_field, "field Host, for " + at.url +
                                            ": its proxy puts the host of the URL in its place");
        c.prefix = c.prefix.empty() ? at.url : at.absolute;
    }

    std::shared_ptr<server> find_server(call& c, const asio::any_io_executor& executor,
                                        const std::source_location& where)
    {
        const std::string_view text = c.asked.url;
        if (auto at = servers_.same_as_latest(text, c.target)) {
            normalise(c);
            return at;
        }
        auto parts = split_url(text);
        if (!parts.wrong.empty() && settings_->base && is_relative(text)) {
            parts.target = text.substr(0, text.find('#'));
            parts.wrong = all_are(target_char | encoded_char, parts.target) ? std::string_view()
                                                                            : a_byte_to_encode;
            parts.origin = servers_.view(settings_->base->origin);
            c.prefix = settings_->target_prefix;
        }
        c.target = parts.target;
        if (parts.wrong.empty()) {
            normalise(c);
            if (servers_.closed())
                refuse_closed(where);
            if (auto at = servers_.find(parts.origin))
                return at;
        }
        return add_server(checked_origin(parts, text), executor, where);
    }

    // Dot segments are resolved in the whole path, so that they are in what the base URL adds, too.
    void normalise(call& c) const
    {
        if (is_normal(c.target, options_->keep_dot_segments)) [[likely]]
            return;
        c.normal = normal_target(std::string(std::exchange(c.prefix, {})) +
                                     (c.target.starts_with('/') ? "" : "/") + std::string(c.target),
                                 options_->keep_dot_segments);
        c.target = c.normal;
    }

    std::shared_ptr<server> add_server(origin of, const asio::any_io_executor& executor,
                                       const std::source_location& where)
    {
        std::shared_ptr<const loopsafe::detail::tls_settings> tls;
        if (of.secure)
            tls = loopsafe::detail::share_new<const loopsafe::detail::tls_settings>(
                options_->tls.server_name.empty() ? of.host : options_->tls.server_name,
                shared_tls());
        auto own_url = of.to_string();
        const auto name = "http " + own_url;
        auto limits = pool_options<PoolPolicy>(*options_);
        limits.name = name;
        auto host_field = "Host: " + of.authority() + "\r\n";
        std::string absolute;
        const proxy* const through = options_->proxies.find(of);
        if (through != nullptr && !of.secure) {
            absolute = own_url + settings_->target_prefix;
            if (!through->authorization.empty())
                write_field(host_field, "Proxy-Authorization", through->authorization);
        }
        connector_type how({of, options_, std::move(tls), through});
        auto made = loopsafe::detail::share_new<server>(
            server{std::move(of), std::move(own_url), std::move(host_field), std::move(absolute),
                   make_pool(std::move(how), limits, executor), settings_});
        if constexpr (carries_over<PoolPolicy>) {
            if (options_->on_event)
                made->pool.on_event([known = options_, of = made->origin](const pool_event& e) {
                    tell_parking(*known, of, e);
                });
        }
        auto at = servers_.add(made);
        if (at == nullptr)
            refuse_closed(where);
        return at;
    }

    static bool uses_defaults(const tls_options& o) noexcept
    {
        return o.trusted_file.empty() && o.alpn.empty() && o.certificate_file.empty() &&
               o.private_key_file.empty() && !o.configure;
    }

    // Made when the first server needs it, since it reads all of the system's trusted certificates.
    std::shared_ptr<const loopsafe::detail::tls_context> shared_tls()
    {
        const std::lock_guard lock(tls_mutex_);
        if (tls_ == nullptr)
            tls_ = loopsafe::detail::share_new<const loopsafe::detail::tls_context>(options_->tls);
        return tls_;
    }

    pool_type make_pool(connector_type how, const typename PoolPolicy::options& limits,
                        [[maybe_unused]] const asio::any_io_executor& executor)
    {
        if constexpr (has_home)
            return pool_type(executor, std::move(how), limits);
        else if constexpr (offloaded)
            return pool_type(std::move(how), limits, workers_);
        else
            return pool_type(std::move(how), limits);
    }

    const std::shared_ptr<const options_type> options_;
    worker_threads* const workers_;
    const std::shared_ptr<const client_settings> settings_;
    std::shared_ptr<const loopsafe::detail::tls_context> tls_;
    std::optional<permit_pool> permits_;
    context_ref home_;

    std::atomic<std::uint64_t> requests_{0}; // that are watched
    server_list<server, mutex> servers_;
    mutex tls_mutex_;
};

} // namespace loopsafe::http::detail

#endif
