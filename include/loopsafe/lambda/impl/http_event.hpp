// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_IMPL_HTTP_EVENT_HPP
#define LOOPSAFE_LAMBDA_IMPL_HTTP_EVENT_HPP

namespace loopsafe::lambda {
namespace detail {

inline std::string json_member(const boost::json::object& of, std::string_view name)
{
    const auto* found = member(of, name);
    return found != nullptr ? boost::json::serialize(*found) : std::string();
}

inline void read_headers(http_request& to, const boost::json::object& event)
{
    const auto* headers = object_member(event, "headers", "the event");
    if (headers == nullptr)
        return;
    try {
        for (const auto& each : *headers) {
            if (each.value().is_null())
                continue;
            const auto* value = each.value().if_string();
            if (value == nullptr)
                throw_wrong_member("the event", "headers", "object of strings");
            add_request_field(to, each.key(), std::string_view(value->data(), value->size()));
        }
    } catch (const http::error& e) { // whose text has the name
        throw unmarshal_error("a field of the event cannot be one: " + e.code().message());
    }
}

inline void read_cookies(http_request& to, const boost::json::object& event)
{
    const auto* cookies = array_member(event, "cookies", "the event");
    if (cookies == nullptr)
        return;
    to.cookies.clear(); // a function URL has them among the headers as well
    for (const auto& each : *cookies) {
        const auto* cookie = each.if_string();
        if (cookie == nullptr)
            throw_wrong_member("the event", "cookies", "array of strings");
        to.cookies.emplace_back(cookie->data(), cookie->size());
    }
}

inline void read_body(http_request& to, const boost::json::object& event)
{
    to.body = string_member(event, "body", "the event");
    if (!bool_member(event, "isBase64Encoded", "the event"))
        return;
    auto decoded = loopsafe::detail::from_base64(to.body);
    if (decoded.wrong_at)
        throw unmarshal_error("the body of the event is no base64 at its byte " +
                                  std::to_string(*decoded.wrong_at),
                              *decoded.wrong_at);
    to.body = std::move(decoded.bytes);
}

inline gateway_context to_gateway(const boost::json::object& event,
                                  const boost::json::object& context)
{
    static constexpr std::string_view what = "requestContext";
    gateway_context to;
    to.request_id = string_member(context, "requestId", what);
    to.account_id = string_member(context, "accountId", what);
    to.api_id = string_member(context, "apiId", what);
    to.domain_name = string_member(context, "domainName", what);
    to.route_key = string_member(event, "routeKey", "the event");
    to.stage = string_member(context, "stage", what);
    if (const auto* time = member(context, "timeEpoch")) {
        boost::system::error_code ec;
        to.time_epoch_ms = time->to_number<std::int64_t>(ec);
        if (ec)
            throw_wrong_member(what, "timeEpoch", "number of milliseconds");
    }
    to.path_parameters = map_member(event, "pathParameters", "the event");
    to.stage_variables = map_member(event, "stageVariables", "the event");
    to.authorizer = json_member(context, "authorizer");
    to.authentication = json_member(context, "authentication");
    return to;
}

[[noreturn]] inline void throw_no_http_event(const boost::json::object* event)
{
    std::string what = "the event is no HTTP request of the payload format 2.0";
    if (event != nullptr && event->contains("httpMethod"))
        what += ", but of 1.0: set PayloadFormatVersion of the integration to 2.0";
    throw unmarshal_error(what);
}

} // namespace detail

inline http_request tag_invoke(const boost::json::value_to_tag<http_request>&,
                               const boost::json::value& from)
{
    using namespace detail;
    const auto* event = from.if_object();
    if (event == nullptr)
        throw_no_http_event(nullptr);
    const auto* context = object_member(*event, "requestContext", "the event");
    const auto* http =
        context == nullptr ? nullptr : object_member(*context, "http", "requestContext");
    if (http == nullptr)
        throw_no_http_event(event);
    static constexpr std::string_view what = "requestContext.http";
    http_request to;
    to.method = string_member(*http, "method", what);
    if (!http::detail::is_token(to.method))
        throw_wrong_member(what, "method", "method");
    auto path = string_member(*event, "rawPath", "the event");
    if (path.empty())
        path = string_member(*http, "path", what);
    if (!path.starts_with('/') && path != "*")
        path.insert(0, "/");
    to.path = encoded(path, true);
    to.query = encoded(string_member(*event, "rawQueryString", "the event"), false);
    read_headers(to, *event);
    read_cookies(to, *event);
    read_body(to, *event);
    to.protocol = string_member(*http, "protocol", what);
    to.source_ip = string_member(*http, "sourceIp", what);
    to.gateway = to_gateway(*event, *context);
    return to;
}

inline void tag_invoke(const boost::json::value_from_tag&, boost::json::value& to,
                       const http_response& from)
{
    const auto framed = detail::frame(from);
    boost::json::object headers;
    for (const auto [name, value] : framed.headers)
        headers.emplace(boost::json::string_view(name.data(), name.size()),
                        boost::json::string_view(value.data(), value.size()));
    boost::json::object answer;
    answer["statusCode"] = framed.status;
    answer["headers"] = std::move(headers);
    if (!framed.cookies.empty())
        answer["cookies"] = boost::json::array(framed.cookies.begin(), framed.cookies.end());
    if (framed.has_body && !framed.is_text)
        answer["body"] = loopsafe::detail::to_base64(from.body);
    else
        answer["body"] = framed.has_body ? from.body : std::string();
    answer["isBase64Encoded"] = framed.has_body && !framed.is_text;
    to = std::move(answer);
}

} // namespace loopsafe::lambda

#endif
