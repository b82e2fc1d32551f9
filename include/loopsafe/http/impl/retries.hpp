// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_IMPL_RETRIES_HPP
#define LOOPSAFE_HTTP_IMPL_RETRIES_HPP

#include <loopsafe/http/detail/layers/http_date.hpp>
#include <loopsafe/http/detail/layers/leave_unread.hpp>
#include <loopsafe/http/detail/layers/retry_budget.hpp>
#include <loopsafe/http/detail/layers/stand_in.hpp>
#include <loopsafe/http/detail/wire/request_head.hpp>
#include <loopsafe/http/layers/layer.hpp>
#include <loopsafe/pool/detail/rules.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string_view>
#include <utility>

namespace loopsafe::http {
namespace detail {

// How long a response asks to wait. A date counts from that of the response, if it has one: the
// clocks of the two machines may differ.
inline std::optional<std::chrono::seconds> retry_after(const fields& headers)
{
    const auto text = headers.find("retry-after");
    if (!text)
        return {};
    if (const auto seconds = whole_number<std::uint32_t>(*text))
        return std::chrono::seconds(*seconds);
    if (!text->empty() && all_are(digit_char, *text)) // more than anybody would wait
        return std::chrono::hours(24 * 365);
    const auto then = parse_http_date(*text);
    if (!then)
        return {};
    const auto sent = parse_http_date(headers["date"]);
    const auto now =
        sent ? *sent : std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    return std::max(*then - now, std::chrono::seconds::zero());
}

// Whether a request may be carried out twice.
inline bool is_harmless(const request& asked) noexcept
{
    return asked.replay == replay::safe || is_idempotent(asked.method) ||
           asked.headers.contains("idempotency-key");
}

// Whether a failure may be gone the next time.
inline bool may_pass(const error& e, const request& asked) noexcept
{
    const auto& seen = e.seen();
    const bool late = e.code() == errc::timed_out;
    const bool lost = e.code() == condition::connection_lost || e.code() == asio::error::eof;
    if (e.code() == asio::error::operation_aborted || seen.timeout == "total")
        return false;
    if (seen.bytes_sent != 0)
        return is_harmless(asked) && (lost || (late && seen.timeout == "first_byte"));
    switch (seen.stage) {
    case stage::resolve:
    case stage::connect: return true;
    case stage::tunnel:
    case stage::tls:
    case stage::write:
    case stage::first_byte: return lost || late;
    default: return false;
    }
}

class retry final : public layer {
public:
    explicit retry(retry_options with) : with_(std::move(with))
    {
        using loopsafe::detail::refuse_option;
        if (with_.attempts < 1)
            refuse_option("http::retries: attempts must be at least 1");
        const std::pair<const char*, std::chrono::milliseconds> all[] = {
            {"first_pause", with_.first_pause},
            {"longest_pause", with_.longest_pause},
            {"longest_retry_after", with_.longest_retry_after}};
        for (const auto& [which, limit] : all) {
            if (limit < std::chrono::milliseconds::zero() || limit > std::chrono::hours(24))
                refuse_option("http::retries: " + std::string(which) +
                              " must be from 0 to 24 hours");
        }
    }

    std::string_view name() const noexcept override { return "retries"; }
    http::place place() const noexcept override { return http::place::retries; }

    asio::awaitable<response> send(exchange& x, next inner) const override
    {
        attempts all(*this, x, inner);
        for (;;) {
            try {
                auto got = co_await inner.send(x);
                if (!all.is_worth_another(got))
                    co_return got;
            } catch (const error& e) {
                if (!all.is_worth_another(e))
                    throw;
            }
            co_await inner.pause(all.pause());
            all.again();
        }
    }

    asio::awaitable<void> lend(exchange& x, next inner) const override
    {
        attempts all(*this, x, inner);
        judge to(all, x);
        for (bool again = true; again;) {
            to.begin();
            try {
                co_await inner.lend(x);
                again = to.wants_another();
            } catch (const error& e) {
                if (to.handed_on() || !all.is_worth_another(e))
                    throw;
            }
            if (again) {
                co_await inner.pause(all.pause());
                all.again();
            }
        }
    }

private:
    // Those of one request.
    class attempts {
    public:
        attempts(const retry& l, exchange& x, next inner)
            : layer_(l), x_(x), inner_(inner), origin_(account_of(x.asked.url))
        {
            x.attempts = 1;
            x.asked.body.share();
            kept_ = x.asked;
        }
        attempts(const attempts&) = delete;
        attempts& operator=(const attempts&) = delete;

        bool is_worth_another(const error& e)
        {
            return may_be_repeated() && may_pass(e, kept_) && plan({});
        }

        bool is_worth_another(const response_head& got)
        {
            const auto& all = layer_.with_.statuses;
            if (std::find(all.begin(), all.end(), got.status) == all.end()) {
                layer_.budget_.succeeded(origin_);
                return false;
            }
            return may_be_repeated() && is_harmless(kept_) && plan(retry_after(got.headers));
        }

        std::chrono::nanoseconds pause() const noexcept { return pause_; }

        void again()
        {
            ++x_.attempts;
            x_.asked = kept_;
        }

    private:
        // By its spelling, which is cheap: two spellings of one origin have two accounts.
        static std::size_t account_of(std::string_view url) noexcept
        {
            constexpr std::size_t scheme = 8;
            return std::hash<std::string_view>()(url.substr(0, url.find_first_of("/?#", scheme)));
        }

        bool may_be_repeated() const noexcept
        {
            return kept_.replay != replay::never && kept_.body.repeatable();
        }

        // Whether there is to be another attempt, and after what pause.
        bool plan(std::optional<std::chrono::seconds> told)
        {
            const auto& with = layer_.with_;
            layer_.budget_.failed(origin_);
            if (x_.attempts >= with.attempts || !layer_.budget_.allows(origin_) ||
                (told && *told > with.longest_retry_after))
                return false;
            pause_ = told.value_or(std::chrono::seconds::zero()) + random_pause();
            return !x_.due || inner_.now() + pause_ < *x_.due;
        }

        // Not from a generator of our own: copies of a process would all have its state.
        std::chrono::nanoseconds random_pause() const
        {
            const auto& with = layer_.with_;
            auto most = with.first_pause;
            for (int n = 1; n < x_.attempts && most < with.longest_pause; ++n)
                most *= 2;
            const std::chrono::nanoseconds whole = std::min(most, with.longest_pause);
            std::random_device random;
            std::uniform_int_distribution<std::chrono::nanoseconds::rep> up_to(0, whole.count());
            return std::chrono::nanoseconds(up_to(random));
        }

        const retry& layer_;
        exchange& x_;
        next inner_;
        std::size_t origin_;
        request kept_;
        std::chrono::nanoseconds pause_ = {};
    };

    class judge final : public stand_in {
    public:
        judge(attempts& all, exchange& x) noexcept : stand_in(x), all_(all) {}

        asio::awaitable<void> take(incoming_response& from) override
        {
            wants_another_ = all_.is_worth_another(from.head());
            if (wants_another_) {
                co_await leave_unread(from);
                co_return;
            }
            handed_on_ = true;
            co_await outer->take(from);
        }

        void begin() noexcept
        {
            wants_another_ = false;
            step_in();
        }
        bool wants_another() const noexcept { return wants_another_; }
        bool handed_on() const noexcept { return handed_on_; }

    private:
        attempts& all_;
        bool wants_another_ = false;
        bool handed_on_ = false;
    };

    const retry_options with_;
    mutable retry_budget budget_;
};

} // namespace detail

inline std::shared_ptr<const layer> retries(retry_options with)
{
    return std::make_shared<const detail::retry>(std::move(with));
}

inline std::shared_ptr<const layer> retries(int attempts)
{
    retry_options with;
    with.attempts = attempts;
    return retries(std::move(with));
}

} // namespace loopsafe::http

#endif
