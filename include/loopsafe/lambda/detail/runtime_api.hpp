// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_RUNTIME_API_HPP
#define LOOPSAFE_LAMBDA_DETAIL_RUNTIME_API_HPP

#include <loopsafe/async/detail/is_cancellation.hpp>
#include <loopsafe/lambda/detail/api_client.hpp>
#include <loopsafe/lambda/detail/error_report.hpp>
#include <loopsafe/lambda/invocation.hpp>
#include <loopsafe/lambda/options.hpp>

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::lambda::detail {

// What of the wall clock's time is left until `header` (Unix time in ms), on the steady clock. A
// service that gives a small number means the time from now.
inline std::optional<std::chrono::steady_clock::time_point>
due_at(std::string_view header, std::chrono::system_clock::time_point now_by_wall,
       std::chrono::steady_clock::time_point now)
{
    std::int64_t ms = 0;
    const auto [end, failed] = std::from_chars(header.data(), header.data() + header.size(), ms);
    if (header.empty() || failed != std::errc() || end != header.data() + header.size() || ms < 0)
        return std::nullopt;
    constexpr std::int64_t least_unix_time = 1'000'000'000'000;
    const auto wall = std::chrono::floor<std::chrono::milliseconds>(now_by_wall.time_since_epoch());
    const std::int64_t left = ms < least_unix_time ? ms : ms - wall.count();
    constexpr std::int64_t longest = std::chrono::milliseconds(std::chrono::minutes(15)).count();
    return now + std::chrono::milliseconds(std::clamp<std::int64_t>(left, 0, longest));
}

// It stands in paths of ours.
inline bool is_request_id(std::string_view id) noexcept
{
    return !id.empty() && id.size() <= 256 && std::all_of(id.begin(), id.end(), [](char c) {
        return http::detail::is(http::detail::token_char, c) && c != '%' && c != '#';
    });
}

// The calls of the Runtime API (2018-06-01), as one runtime makes them.
class runtime_api {
public:
    runtime_api(endpoint to, const runtime_options& options)
        : client_(std::move(to), options.api_timeout), log_(options.log)
    {
    }

    api_client& client() noexcept { return client_; }

    // The next event. It waits as long as it takes: the process is frozen meanwhile, and a time-out
    // would ask twice.
    // Errors: `no_runtime_api`, `refused`; `operation_aborted`; each as `system_error`.
    asio::awaitable<invocation> next()
    {
        for (int failures = 0;;) {
            std::string wrong;
            try {
                auto answer = co_await client_.get("/2018-06-01/runtime/invocation/next", {});
                if (answer.status == 200 && is_request_id(answer.headers[header::id])) {
                    was_cut_ = false;
                    co_return made_of(std::move(answer));
                }
                wrong = answer.status == 200 ? "an event without a request id" : text_of(answer);
                // What was cut off may still be under way there.
                if (answer.status >= 400 && answer.status < 500 && !was_cut_)
                    throw boost::system::system_error(make_error_code(errc::refused), wrong);
            } catch (const boost::system::system_error& e) {
                if (e.code() == errc::refused || e.code() == asio::error::operation_aborted)
                    throw;
                wrong = e.what();
            }
            co_await pause_after("/next", wrong, failures);
        }
    }

    // Nothing that the service answers to these three ends the runtime: it says what it refuses.
    asio::awaitable<void> respond(const invocation& to, std::string_view body)
    {
        const auto status = co_await post_about(to, "/response", fields_of(to, nullptr), body);
        if (status != 413)
            co_return;
        const error_report too_large = report_of(std::make_exception_ptr(function_error(
            "Function.ResponseSizeTooLarge", "the response of " + std::to_string(body.size()) +
                                                 " bytes is more than Lambda takes")));
        co_await fail(to, too_large);
    }

    asio::awaitable<void> fail(const invocation& of, const error_report& why)
    {
        co_await post_about(of, "/error", fields_of(of, &why), why.body);
    }

    // A start that failed. What the service answers matters no more.
    asio::awaitable<void> fail_start(std::string_view call, const error_report& why)
    {
        const auto path = std::string("/2018-06-01/runtime").append(call);
        const auto fields = fields_of({}, &why);
        try {
            const auto answer = co_await client_.post(path, fields, why.body);
            if (answer.status / 100 != 2)
                log_(std::string(call) + ": " + text_of(answer));
        } catch (const boost::system::system_error& e) {
            if (e.code() == asio::error::operation_aborted)
                throw;
            log_(std::string(call) + ": " + e.what());
        }
    }

    // Returns in the process that was made from the snapshot.
    asio::awaitable<void> restored()
    {
        const auto answer = co_await client_.get("/2018-06-01/runtime/restore/next", {});
        if (answer.status / 100 != 2)
            throw boost::system::system_error(make_error_code(errc::refused), text_of(answer));
    }

    void response_was_cut(bool was) noexcept { was_cut_ = was; }

    static std::string path_of(const invocation& of, std::string_view call)
    {
        std::string path = "/2018-06-01/runtime/invocation/";
        path.append(of.id()).append(call);
        return path;
    }

    static std::string_view nonce_of(const invocation& of) noexcept
    {
        const auto* const state = invocation_access::state(of);
        return state != nullptr ? std::string_view(state->nonce) : std::string_view();
    }

    static std::string text_of(const api_answer& answer)
    {
        auto text = "the Runtime API answers " + std::to_string(answer.status);
        const std::string_view body = answer.body;
        if (!body.empty())
            text.append(": ").append(body.substr(0, 200));
        return text;
    }

    // What the service says of a response.
    void note(const invocation& of, const api_answer& answer) const
    {
        if (answer.status / 100 != 2)
            log_("invocation " + std::string(of.id()) + ": " + text_of(answer));
    }

private:
    static invocation made_of(api_answer answer)
    {
        auto state = std::make_unique<invocation_state>();
        state->headers = std::move(answer.headers);
        state->event = std::move(answer.body);
        state->read_headers();
        state->due = due_at(state->deadline, std::chrono::system_clock::now(),
                            std::chrono::steady_clock::now());
        return invocation_access::make(inherited_ref(std::move(state)));
    }

    using answer_fields = std::array<api_field, 3>;

    static answer_fields fields_of(const invocation& about, const error_report* why) noexcept
    {
        answer_fields all{{{header::nonce, nonce_of(about)}}};
        if (why != nullptr) {
            all[1] = {header::error_type, why->type};
            all[2] = {header::xray_cause, why->xray};
        }
        return all;
    }

    // 0 if it could not be sent. A connection that is lost is tried once more: the service knows
    // the invocation's id, and refuses a second answer.
    asio::awaitable<int> post_about(const invocation& about, std::string_view call,
                                    answer_fields fields, std::string_view body)
    {
        const auto path = path_of(about, call);
        for (int attempt = 1;; ++attempt) {
            try {
                const auto answer = co_await client_.post(path, fields, body);
                note(about, answer);
                co_return answer.status;
            } catch (const boost::system::system_error& e) {
                if (e.code() == asio::error::operation_aborted)
                    throw;
                log_("invocation " + std::string(about.id()) + ", " + std::string(call.substr(1)) +
                     ": " + e.what());
                if (attempt == 2)
                    co_return 0;
            }
        }
    }

    // Errors: `no_runtime_api` (as `system_error`).
    asio::awaitable<void> pause_after(std::string_view call, const std::string& wrong,
                                      int& failures) const
    {
        log_(std::string(call) + ": " + wrong);
        if (++failures == most_failures)
            throw boost::system::system_error(make_error_code(errc::no_runtime_api), wrong);
        asio::steady_timer timer(co_await asio::this_coro::executor,
                                 std::chrono::milliseconds(50) * (1 << failures));
        const auto [ec] = co_await timer.async_wait(asio::as_tuple(asio::deferred));
        if (ec)
            throw boost::system::system_error(ec);
    }

    static constexpr int most_failures = 5;

    api_client client_;
    const log_function& log_;
    bool was_cut_ = false; // the last response
};

} // namespace loopsafe::lambda::detail

#endif
