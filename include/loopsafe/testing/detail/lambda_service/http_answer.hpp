// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_HTTP_ANSWER_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_HTTP_ANSWER_HPP

#include <loopsafe/testing/detail/lambda_service/json_text.hpp>
#include <loopsafe/testing/lambda_fault.hpp>
#include <loopsafe/testing/lambda_reply.hpp>

#include <boost/beast/http/status.hpp>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::testing::detail {

// What the service says, before anything goes wrong with it.
struct http_answer {
    unsigned status = 200;
    lambda_fields fields;
    std::string body;
};

inline http_answer json_answer(unsigned status, std::string body)
{
    return {status, {{"Content-Type", "application/json"}}, std::move(body)};
}

inline http_answer accepted()
{
    return json_answer(202, "{\"status\":\"OK\"}\n");
}

// As AWS words it, with the message before the type.
inline http_answer refusal(unsigned status, std::string_view type, std::string_view message)
{
    return json_answer(status, "{\"errorMessage\":" + json_quoted(message) +
                                   ",\"errorType\":" + json_quoted(type) + "}\n");
}

// The bytes of an answer, and what becomes of the connection after them.
struct outgoing {
    enum class then { keep, close, reset, stall };

    std::string bytes;
    then after = then::keep;
};

inline std::string with_case(std::string_view name, const std::optional<fault>& wrong)
{
    std::string changed(name);
    const auto change = [&](int (*to)(int)) {
        std::transform(changed.begin(), changed.end(), changed.begin(),
                       [to](unsigned char c) { return static_cast<char>(to(c)); });
    };
    if (wrong && wrong->what() == fault::kind::lower_case)
        change(&std::tolower);
    if (wrong && wrong->what() == fault::kind::upper_case)
        change(&std::toupper);
    return changed;
}

inline outgoing write_answer(http_answer answer, const std::optional<fault>& wrong, bool keep_alive)
{
    using kind = fault::kind;
    const auto is = [&](kind what) { return wrong && wrong->what() == what; };
    if (is(kind::not_json))
        answer.body = "{\"this is not\": json";
    if (is(kind::large_header))
        answer.fields.emplace_back("X-Large", std::string(1024 * 1024, 'x'));
    auto length = answer.body.size();
    if (is(kind::length) && wrong->number() == 0 && length > 0)
        --length;
    if (is(kind::length) && wrong->number() != 0)
        ++length;

    outgoing out;
    const auto reason =
        boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(answer.status));
    out.bytes = "HTTP/1.1 " + std::to_string(answer.status) + " ";
    out.bytes.append(reason.data(), reason.size()).append("\r\n");
    answer.fields.emplace_back("Content-Length", std::to_string(length));
    if (!keep_alive) {
        answer.fields.emplace_back("Connection", "close");
        out.after = outgoing::then::close;
    }
    for (const auto& [name, value] : answer.fields)
        out.bytes.append(with_case(name, wrong)).append(": ").append(value).append("\r\n");
    out.bytes += "\r\n";
    const auto head = out.bytes.size();
    out.bytes += answer.body;

    if (is(kind::cut) || is(kind::stall)) {
        auto kept = wrong->number();
        out.after = is(kind::stall) ? outgoing::then::stall : outgoing::then::reset;
        if (kept == fault::head)
            kept = head;
        if (kept == fault::half) {
            kept = head + answer.body.size() / 2;
            out.after = outgoing::then::close;
        }
        out.bytes.resize(std::min(kept, out.bytes.size()));
    }
    return out;
}

} // namespace loopsafe::testing::detail

#endif
