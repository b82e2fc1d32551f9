// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CLIENT_FROM_OPTIONS_HPP
#define LOOPSAFE_HTTP_DETAIL_CLIENT_FROM_OPTIONS_HPP

#include <loopsafe/detail/share_new.hpp>
#include <loopsafe/http/detail/client_settings.hpp>
#include <loopsafe/http/detail/wire/request_head.hpp>
#include <loopsafe/http/options.hpp>
#include <loopsafe/pool/detail/rules.hpp>
#include <loopsafe/pool/policy.hpp>

#include <memory>
#include <string>
#include <sys/un.h>
#include <utility>

// What a client makes of its options, once. Invalid ones are refused here.
namespace loopsafe::http::detail {

inline void set_base(client_settings& of, const std::string& base_url)
{
    of.base = parse_url(base_url);
    of.target_prefix = of.base->target;
    if (of.target_prefix.find('?') != std::string::npos)
        refuse(errc::bad_url, "base_url " + shown(base_url) +
                                  ": it must not have a query, since requests are appended to it");
    if (of.target_prefix.ends_with('/'))
        of.target_prefix.pop_back();
}

inline void set_fields(client_settings& of, const fields& headers)
{
    check_fields(headers);
    if (headers.contains("host"))
        refuse(errc::framing_field, "field Host in the headers for every server");
    for (const auto& each : headers) {
        write_field(of.own_fields, each.name, each.value);
        if (!is_for_every_origin(each.name))
            continue;
        write_field(of.foreign_fields, each.name, each.value);
        of.foreign_headers.add(each.name, each.value);
    }
}

inline void check_ways(const single_use_client_options& o)
{
    using loopsafe::detail::refuse_option;
    if (o.unix_socket.size() >= sizeof(::sockaddr_un::sun_path))
        refuse_option("http::client: unix_socket is longer than the path of a socket may be");
    if (!o.unix_socket.empty() && !o.proxies.empty())
        refuse_option("http::client: unix_socket and proxies exclude each other: requests go "
                      "through one of them");
}

inline std::shared_ptr<const client_settings>
made_settings(std::shared_ptr<const single_use_client_options> options, bool closes)
{
    auto made = loopsafe::detail::share_new<client_settings>();
    if (!options->base_url.empty())
        set_base(*made, options->base_url);
    set_fields(*made, options->headers);
    check_ways(*options);
    made->options = std::move(options);
    made->closes = closes;
    return made;
}

template <class PoolPolicy>
typename PoolPolicy::options pool_options(const client_options_for<PoolPolicy>& o)
{
    using loopsafe::detail::refuse_option;
    if (o.max_per_origin == 0)
        refuse_option("http::client: max_per_origin must be at least 1");
    if (o.max_total == 0)
        refuse_option("http::client: max_total must be at least 1");
    check_timeouts(o.timeouts);
    typename PoolPolicy::options limits;
    limits.name = "http::client";
    limits.max_size = o.max_per_origin;
    limits.max_waiting = o.max_waiting;
    limits.acquire_timeout = o.timeouts.wait;
    limits.connect_timeout = never; // each step has its own
    if constexpr (PoolPolicy::keeps_idle) {
        limits.idle_timeout = o.idle_timeout;
        limits.max_lifetime = o.max_lifetime;
        limits.lifetime_jitter = o.lifetime_jitter;
        limits.probe_after = o.probe_after;
    }
    if constexpr (carries_over<PoolPolicy>) {
        if (o.max_parked_per_origin == 0)
            refuse_option("http::client: max_parked_per_origin must be at least 1; to carry "
                          "nothing over, use http::basic_client<per_context_pool>");
        limits.max_parked = o.max_parked_per_origin;
    }
    loopsafe::detail::checked_rules(limits, PoolPolicy::keeps_idle, PoolPolicy::limit_per_context);
    return limits;
}

} // namespace loopsafe::http::detail

#endif
