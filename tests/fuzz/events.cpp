// SPDX-License-Identifier: BSL-1.0
// Whatever an event holds: no crash, and what is accepted can be answered. The first byte says
// which kind of event it is, and how the records of a batch end; an error's report is JSON for all
// bytes.

#include "require.hpp"

#include <loopsafe/lambda/detail/error_report.hpp>
#include <loopsafe/lambda/detail/record_run.hpp>
#include <loopsafe/lambda/http_event.hpp>
#include <loopsafe/lambda/sqs.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/src.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

namespace asio = boost::asio;
namespace json = boost::json;
namespace lambda = loopsafe::lambda;
using lambda::detail::error_report;

json::value strictly_parsed(std::string_view text)
{
    json::parse_options options;
    options.max_depth = 64; // a report's own
    return json::parse({text.data(), text.size()}, {}, options);
}

bool is_sendable(std::string_view type)
{
    const auto dot = type.find('.');
    if (dot == std::string_view::npos || type.size() < dot + 3)
        return false;
    const auto family = type.substr(0, dot);
    bool letters = true;
    for (const char c : type.substr(dot + 1))
        letters = letters && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
    return letters && (family == "Runtime" || family == "Function") && type[dot + 1] <= 'Z';
}

void require_report(const std::exception_ptr& error)
{
    const auto report = lambda::detail::report_of(error);
    require(report.body.size() <= error_report::most_bytes);
    require(report.xray.size() <= error_report::most_xray_bytes);
    require(is_sendable(report.type));
    for (const char c : report.xray)
        require(c >= ' ' && c <= '~');
    require(strictly_parsed(report.xray).as_object().contains("exceptions"));
    const auto body = strictly_parsed(report.body);
    require(body.as_object().at("stackTrace").as_array().empty());
}

void throw_nested(std::string_view text, std::size_t depth)
{
    const std::string what(text.substr(0, text.size() - depth * text.size() / 4));
    if (depth == 0)
        throw lambda::function_error(what, what);
    try {
        throw_nested(text, depth - 1);
    } catch (...) {
        std::throw_with_nested(std::runtime_error(what));
    }
}

void errors(std::string_view text, unsigned how)
{
    try {
        throw_nested(text, how % 4);
    } catch (...) {
        const auto thrown = std::current_exception();
        require_report(thrown);
        require_report(std::make_exception_ptr(loopsafe::all_failed({how % 40, thrown})));
    }
}

// The event as this type, unless it is refused as it should be.
template <class T>
std::optional<T> read(std::string_view text)
{
    try {
        return lambda::detail::event_to<T>(text);
    } catch (const lambda::unmarshal_error& e) {
        require(e.offset() == lambda::unmarshal_error::nowhere || e.offset() <= text.size());
        require_report(std::current_exception());
        return std::nullopt;
    }
}

void any_event(std::string_view text)
{
    const auto value = read<json::value>(text);
    if (!value)
        return;
    try { // a number may be too large for any that Boost.JSON has
        const auto answer = lambda::detail::write_answer(*value);
        require(!loopsafe::detail::not_utf8_at(answer));
        require(strictly_parsed(answer).kind() == value->kind());
    } catch (const lambda::marshal_error&) {
        require_report(std::current_exception());
    }
}

// Each record ends well or not, at once or later, as its id says; the answer has those that did
// not.
void batch(std::string_view text, unsigned how)
{
    const auto event = read<lambda::sqs_batch>(text);
    if (!event)
        return;
    const auto fails = [&](const lambda::sqs_record& record) {
        return (record.message_id.size() + record.body.size() + how) % 3 == 0;
    };
    std::size_t running = 0;
    const auto function = [&](const lambda::sqs_record& record) -> asio::awaitable<void> {
        require(++running <= how % 4 + 1);
        if (how % 2 != 0)
            co_await asio::post(asio::use_awaitable);
        --running;
        for (const auto& [name, attribute] : record.message_attributes)
            static_cast<void>(attribute.bytes()); // may throw, and is a failure, too
        if (fails(record))
            throw how;
    };
    std::size_t told = 0;
    const std::function<void(const lambda::record_failure&)> hook =
        [&](const lambda::record_failure&) { ++told; };
    lambda::each_record_options options;
    options.max_running = how % 4 + 1;
    options.order = static_cast<lambda::record_order>(how / 4 % 4);
    options.on_failure = &hook;
    std::optional<std::chrono::steady_clock::time_point> due;
    if (how / 16 % 4 == 0)
        due = std::chrono::steady_clock::now() - std::chrono::hours(1);
    std::optional<lambda::batch_response> answer;
    bool refused = false;
    asio::io_context context(1);
    asio::co_spawn(context,
                   lambda::detail::run_records<asio::steady_timer>(*event, function, due, options),
                   [&](const std::exception_ptr& error, lambda::batch_response response) {
                       refused = error != nullptr;
                       if (!refused)
                           answer = std::move(response);
                   });
    context.run();
    require(running == 0 && (refused || answer));
    std::set<std::string> ids;
    std::set<std::string> must;
    bool has_unnamed_failure = false;
    for (const auto& each : event->records) {
        ids.insert(each.message_id);
        if (!due && !fails(each))
            continue;
        must.insert(each.message_id);
        has_unnamed_failure = has_unnamed_failure || each.message_id.empty();
    }
    require(refused || !has_unnamed_failure);
    if (refused)
        return;
    require(answer->failed_ids().size() <= told);
    std::set<std::string> failed;
    for (const auto& each : answer->failed_ids()) {
        require(!each.empty() && ids.contains(each));
        require(failed.insert(each).second);
    }
    for (const auto& each : must)
        require(failed.contains(each));
    const auto written = strictly_parsed(lambda::detail::answer_from(*answer));
    require(written.at("batchItemFailures").as_array().size() == failed.size());
}

void http(std::string_view text, unsigned how)
{
    auto request = read<lambda::http_request>(text);
    if (!request)
        return;
    namespace fields = loopsafe::http::detail;
    require(fields::is_token(request->method));
    require(fields::all_are(fields::target_char, request->path + request->query));
    require(request->path.starts_with('/') || request->path == "*");
    for (const auto [name, value] : request->headers)
        require(fields::is_token(name) && fields::all_are(fields::field_char, value) &&
                request->headers.count(name) == 1);
    lambda::http_response response;
    response.status = static_cast<int>(how * 4);
    response.headers = std::move(request->headers);
    response.cookies = std::move(request->cookies);
    response.body = std::move(request->body);
    try {
        const auto written = strictly_parsed(lambda::detail::answer_from(response)).as_object();
        std::string body(written.at("body").as_string());
        if (written.at("isBase64Encoded").as_bool()) {
            auto decoded = loopsafe::detail::from_base64(body);
            require(!decoded.wrong_at);
            body = std::move(decoded.bytes);
        }
        require(body == response.body || response.status == 204 || response.status == 304);
    } catch (const lambda::marshal_error&) {
        require_report(std::current_exception());
    }
}

void base64(std::string_view text)
{
    const auto bytes = loopsafe::detail::from_base64(text);
    if (!bytes.wrong_at)
        require(loopsafe::detail::to_base64(bytes.bytes) == text);
    const auto back = loopsafe::detail::from_base64(loopsafe::detail::to_base64(text));
    require(!back.wrong_at && back.bytes == text);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size < 2)
        return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
    const unsigned how = data[1];
    switch (data[0] % 5) {
    case 0: any_event(text); break;
    case 1: batch(text, how); break;
    case 2: http(text, how); break;
    case 3: errors(text, how); break;
    default: base64(text); break;
    }
    return 0;
}
