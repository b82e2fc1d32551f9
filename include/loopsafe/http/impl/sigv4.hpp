// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_SIGV4_HPP
#define LOOPSAFE_HTTP_IMPL_SIGV4_HPP

#include <loopsafe/http/detail/layers/aws_canonical.hpp>
#include <loopsafe/http/detail/layers/aws_signature.hpp>
#include <loopsafe/http/detail/layers/credential_store.hpp>
#include <loopsafe/http/detail/layers/request_layer.hpp>
#include <loopsafe/http/detail/url_view.hpp>
#include <loopsafe/http/layers/layer.hpp>
#include <loopsafe/pool/detail/rules.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http {
namespace detail {

class aws_signing final : public request_layer {
public:
    explicit aws_signing(sigv4_options with)
        : with_(checked(std::move(with))), credentials_(with_.credentials)
    {
    }

    std::string_view name() const noexcept override { return "sigv4"; }
    http::place place() const noexcept override { return http::place::signing; }

private:
    asio::awaitable<void> prepare(exchange& x, const next& inner) const override
    {
        if (is_for_others(x))
            return {};
        auto found = credentials_.look(with_.clock());
        if (found.must_try)
            return fetch_and_sign(x, inner, std::move(found));
        return sign(x, inner, found.usable), asio::awaitable<void>();
    }

    asio::awaitable<void> fetch_and_sign(exchange& x, next inner,
                                         credential_store::found first) const
    {
        const auto got = co_await credentials_.replace(std::move(first), with_.clock);
        sign(x, inner, got);
    }

    static sigv4_options checked(sigv4_options with)
    {
        using loopsafe::detail::refuse_option;
        const auto is_word = [](std::string_view text) {
            return is_token(text) && text.find_first_of("!#$%&'*+^`|~") == std::string_view::npos;
        };
        if (!is_word(with.service))
            refuse_option("http::sigv4: service must be as in its endpoint, such as \"s3\"");
        if (!is_word(with.region))
            refuse_option("http::sigv4: region must be a name, such as \"eu-central-1\"");
        if (with.credentials == nullptr)
            refuse_option("http::sigv4: credentials must not be null");
        if (!with.clock)
            with.clock = &std::chrono::system_clock::now;
        return with;
    }

    // A URL that is wrong is left for the client to refuse.
    static bool is_for_others(const exchange& x)
    {
        return x.foreign || x.asked.headers.contains("authorization") ||
               !split_url(x.asked.url).wrong.empty();
    }

    void sign(exchange& x, const next& inner, const credential_store::pointer& by) const
    {
        auto& asked = x.asked;
        const auto& as = *by;
        const bool object_store = is_object_store(with_.service);
        const auto hash = body_hash(asked, object_store);
        const auto time = aws_time(with_.clock());
        replace(asked.headers, "X-Amz-Date", time);
        if (!as.session_token.empty())
            replace(asked.headers, "X-Amz-Security-Token", as.session_token);

        const auto parts = split_url(asked.url);
        const auto query = std::min(parts.target.find('?'), parts.target.size());
        const auto path = aws_path(parts.target.substr(0, query), object_store,
                                   inner.options().keep_dot_segments);
        const auto sent_query = query == parts.target.size()
                                    ? std::string()
                                    : aws_query(parts.target.substr(query + 1));
        const auto host = checked_origin(parts, asked.url).authority();
        asked.url.resize(parts.target.empty()
                             ? std::min(asked.url.find('#'), asked.url.size())
                             : static_cast<std::size_t>(parts.target.data() - asked.url.data()));
        asked.url.append(path).append(sent_query.empty() ? "" : "?").append(sent_query);

        const auto fields = signed_fields(asked.headers, inner.options().headers, host);
        const aws_scope scope{time, with_.region, with_.service};
        const auto signature =
            aws_signature(scope, key_of(scope, by),
                          canonical_request(asked.method, canonical_path(path, object_store),
                                            canonical_query(sent_query), fields, hash));
        asked.headers.add("Authorization",
                          aws_authorization(scope, as.access_key_id, fields.names(), signature));
    }

    sha256_hash key_of(const aws_scope& scope, const credential_store::pointer& by) const
    {
        const std::lock_guard lock(mutex_);
        if (key_.by != by || key_.date != scope.date()) {
            key_.by = nullptr; // if it throws
            key_.date = scope.date();
            key_.key = aws_key(scope, by->secret_access_key);
            key_.by = by;
        }
        return key_.key;
    }

    // Also adds the field where a service must be told.
    static std::string body_hash(request& asked, bool object_store)
    {
        constexpr const char* field = "X-Amz-Content-Sha256";
        if (const auto given = asked.headers.find(field))
            return std::string(*given);
        std::string hash = "UNSIGNED-PAYLOAD";
        if (!asked.body.is_streamed())
            hash = hex_of(sha256(asked.body.bytes()));
        else if (!split_url(asked.url).origin.secure)
            refuse(errc::unsigned_body,
                   asked.method + ' ' + shown(asked.url) +
                       ": pass the body as a string, or its hash as X-Amz-Content-Sha256");
        if (object_store || asked.body.is_streamed())
            asked.headers.add(field, hash);
        return hash;
    }

    // As set(), without a copy.
    static void replace(fields& in, std::string_view name, std::string_view value)
    {
        in.erase(name);
        in.add(name, value);
    }

    // Of those that are sent: the client's own have no Host, and yield to the request's.
    static canonical_fields signed_fields(const fields& asked, const fields& own,
                                          std::string_view host)
    {
        const auto is_signed = [](std::string_view name) {
            constexpr std::string_view amz = "x-amz-";
            return equal_ignoring_case(name, "host") || equal_ignoring_case(name, "content-type") ||
                   equal_ignoring_case(name.substr(0, amz.size()), amz);
        };
        canonical_fields all;
        if (!asked.contains("host"))
            all.add("host", host);
        for (const auto& each : asked) {
            if (is_signed(each.name))
                all.add(each.name, each.value);
        }
        for (const auto& each : own) {
            if (is_signed(each.name) && !asked.contains(each.name))
                all.add(each.name, each.value);
        }
        all.sort();
        return all;
    }

    const sigv4_options with_;
    const credential_store credentials_;

    // The last one. It holds the credentials, so that no others get their address.
    struct day_key {
        credential_store::pointer by;
        std::string date;
        sha256_hash key{};
    };
    mutable std::mutex mutex_;
    mutable day_key key_;
};

} // namespace detail

inline std::shared_ptr<const layer> sigv4(sigv4_options with)
{
    return std::make_shared<const detail::aws_signing>(std::move(with));
}

} // namespace loopsafe::http

#endif
