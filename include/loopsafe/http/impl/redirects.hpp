// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_REDIRECTS_HPP
#define LOOPSAFE_HTTP_IMPL_REDIRECTS_HPP

#include <loopsafe/http/detail/client_settings.hpp>
#include <loopsafe/http/detail/layers/leave_unread.hpp>
#include <loopsafe/http/detail/layers/reference.hpp>
#include <loopsafe/http/detail/layers/stand_in.hpp>
#include <loopsafe/http/layers/layer.hpp>
#include <loopsafe/http/url.hpp>
#include <loopsafe/pool/detail/rules.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace loopsafe::http {
namespace detail {

inline bool has_prefix(std::string_view name, std::string_view prefix) noexcept
{
    return equal_ignoring_case(name.substr(0, prefix.size()), prefix);
}

class follow_redirects final : public layer {
public:
    explicit follow_redirects(redirect_options with) : with_(std::move(with))
    {
        if (with_.most < 1)
            loopsafe::detail::refuse_option("http::redirects: most must be at least 1");
    }

    std::string_view name() const noexcept override { return "redirects"; }
    http::place place() const noexcept override { return http::place::redirects; }

    asio::awaitable<response> send(exchange& x, next inner) const override
    {
        const own_course here(x);
        request kept = keep(x);
        for (;;) {
            auto got = co_await inner.send(x);
            if (!leads_on(x, kept, got, got.seen))
                co_return got;
            go_on(x, kept);
        }
    }

    asio::awaitable<void> lend(exchange& x, next inner) const override
    {
        const own_course here(x);
        request kept = keep(x);
        judge to(*this, x, kept);
        for (;;) {
            to.leads_on = false;
            to.step_in();
            co_await inner.lend(x);
            if (!to.leads_on)
                break;
            go_on(x, kept);
        }
    }

private:
    // A layer further out may send the request again, which begins where the caller said, then.
    class own_course {
    public:
        explicit own_course(exchange& x) noexcept : x_(x), foreign_(x.foreign) { x.hops = 0; }
        own_course(const own_course&) = delete;
        own_course& operator=(const own_course&) = delete;
        ~own_course() { x_.foreign = foreign_; }

    private:
        exchange& x_;
        const bool foreign_;
    };

    class judge final : public stand_in {
    public:
        judge(const follow_redirects& l, exchange& x, request& kept)
            : stand_in(x), layer_(l), x_(x), kept_(kept)
        {
        }

        asio::awaitable<void> take(incoming_response& from) override
        {
            leads_on = layer_.leads_on(x_, kept_, from.head(), from.seen());
            if (leads_on)
                co_await leave_unread(from);
            else
                co_await outer->take(from);
        }

        bool leads_on = false;

    private:
        const follow_redirects& layer_;
        exchange& x_;
        request& kept_;
    };

    static request keep(exchange& x)
    {
        x.asked.body.share();
        return x.asked;
    }

    // The last one needs no copy, but nobody knows which that is.
    static void go_on(exchange& x, const request& kept)
    {
        ++x.hops;
        x.attempts = 1;
        x.asked = kept;
    }

    // Changes `kept` into the request that comes next, if there is one.
    bool leads_on(exchange& x, request& kept, const response_head& got, const evidence& seen) const
    {
        constexpr std::array<int, 5> all{301, 302, 303, 307, 308};
        const auto location = got.headers.find("location");
        if (std::find(all.begin(), all.end(), got.status) == all.end() || !location)
            return false;
        const bool to_get = (got.status == 303 && kept.method != "HEAD") ||
                            (got.status <= 302 && kept.method == "POST");
        if (!to_get && !kept.body.repeatable())
            return false;
        const auto fail = [&](errc why, std::string_view because) {
            throw error(why, seen,
                        kept.method + ' ' + shown(kept.url) + ": " + std::to_string(got.status) +
                            std::string(because));
        };
        if (got.headers.count("location") > 1)
            fail(errc::bad_location, ", with two Location fields");
        auto wanted = resolve_reference(kept.url, *location);
        const auto from = split_url(kept.url);
        const auto to = split_url(wanted);
        if (!to.wrong.empty())
            fail(errc::bad_location,
                 " to " + shown_malformed(wanted) + ": " + std::string(to.wrong));
        if (x.hops >= with_.most)
            fail(errc::too_many_redirects, " to " + shown(wanted));
        if (from.origin.secure && !to.origin.secure && !with_.to_plain)
            fail(errc::redirect_refused,
                 " leads from https to " + shown(wanted) + "; see redirect_options::to_plain");
        const bool elsewhere = from.origin.secure != to.origin.secure ||
                               from.origin.port != to.origin.port ||
                               !equal_ignoring_case(from.origin.host, to.origin.host);
        if (!to_get && kept.body.present() && (elsewhere || x.foreign) &&
            !with_.body_to_other_origin)
            fail(errc::redirect_refused, " leads a request with a body to another origin, " +
                                             shown(wanted) +
                                             "; see redirect_options::body_to_other_origin");
        x.foreign = x.foreign || elsewhere;
        if (to_get) {
            kept.method = "GET";
            kept.body = {};
        }
        kept.headers = remaining(kept.headers, to_get, x.foreign);
        kept.url = std::move(wanted);
        return true;
    }

    // Host belongs to the URL that the caller has named.
    fields remaining(const fields& before, bool to_get, bool foreign) const
    {
        fields kept;
        for (const auto& each : before) {
            if (equal_ignoring_case(each.name, "host") ||
                (to_get && (has_prefix(each.name, "content-") ||
                            equal_ignoring_case(each.name, "trailer"))) ||
                (foreign && !is_for_others(each.name)))
                continue;
            kept.add(each.name, each.value);
        }
        return kept;
    }

    bool is_for_others(std::string_view name) const noexcept
    {
        return is_for_every_origin(name) || has_prefix(name, "content-") ||
               has_prefix(name, "if-") || equal_ignoring_case(name, "range") ||
               equal_ignoring_case(name, "trailer") ||
               std::any_of(with_.fields_for_every_origin.begin(),
                           with_.fields_for_every_origin.end(),
                           [name](const auto& each) { return equal_ignoring_case(name, each); });
    }

    const redirect_options with_;
};

} // namespace detail

inline std::shared_ptr<const layer> redirects(redirect_options with)
{
    return std::make_shared<const detail::follow_redirects>(std::move(with));
}

inline std::shared_ptr<const layer> redirects(int most)
{
    redirect_options with;
    with.most = most;
    return redirects(std::move(with));
}

} // namespace loopsafe::http

#endif
