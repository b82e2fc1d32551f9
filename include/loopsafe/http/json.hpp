// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_JSON_HPP
#define LOOPSAFE_HTTP_JSON_HPP

#include <loopsafe/detail/demangled.hpp>
#include <loopsafe/detail/json.hpp>
#include <loopsafe/http/request.hpp>
#include <loopsafe/http/response.hpp>

#include <concepts>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

/// Bodies of JSON, by Boost.JSON. `<loopsafe/http.hpp>` does not include this: one source file of
/// the program contains `#include <boost/json/src.hpp>`, or the program is linked to Boost.JSON.
namespace loopsafe::http {
namespace detail {

inline boost::json::value parsed_json(std::string_view text, const evidence& seen,
                                      const std::string& about)
{
    auto read = loopsafe::detail::read_json(text);
    if (read.wrong)
        throw error(errc::bad_json, seen,
                    about + ", byte " + std::to_string(read.at) + ": " + read.wrong.message());
    return std::move(read.value);
}

template <class T>
T converted_json(const boost::json::value& value, const evidence& seen, const std::string& about)
{
    try {
        return boost::json::value_to<T>(value);
    } catch (const std::bad_alloc&) {
        throw;
    } catch (...) {
        std::throw_with_nested(
            error(errc::bad_json, seen,
                  about + ", JSON, but no " + loopsafe::detail::demangled(typeid(T).name())));
    }
}

template <class T>
T json_to(std::string_view text, const evidence& seen, const std::string& about)
{
    static_assert(!loopsafe::detail::is_view_of_json<T>,
                  "as_json would give a view of what is gone: take a std::string");
    static_assert(loopsafe::detail::is_read_from_json<T>,
                  "as_json has no conversion from JSON to this type: write "
                  "tag_invoke(boost::json::value_to_tag<T>, const boost::json::value&) in the "
                  "namespace of T, or take a boost::json::value");
    auto value = parsed_json(text, seen, about);
    if constexpr (std::is_same_v<T, boost::json::value>)
        return value;
    else
        return converted_json<T>(value, seen, about);
}

inline request with_json_text(request&& asked, const boost::json::value& value)
{
    auto written = loopsafe::detail::write_json(value);
    if (!written.wrong.empty())
        refuse(errc::unwritable_json, "with_json, the value has " + written.wrong);
    asked.headers.set("Content-Type", "application/json");
    asked.body = std::move(written.text);
    return std::move(asked);
}

} // namespace detail

/// The body of a response, as a type of the user's.
///
///     const auto user = http::as_json<user_type>(co_await client.get(url));
///
/// It is converted by `boost::json::value_to`: so T has a `tag_invoke`, is described
/// (Boost.Describe), is one of the standard types, or is a `boost::json::value`. Neither status nor
/// Content-Type are looked at.
/// Errors: `error` {`bad_json`}, with the byte where the body is no JSON (RFC 8259, at most 32
/// arrays and objects in each other), or with T where it is another JSON; then, what the conversion
/// has thrown is nested in it. Nothing of the body is in the text. `bad_alloc`. Complexity: linear
/// in the body.
template <class T = boost::json::value>
T as_json(const response& answer)
{
    return detail::json_to<T>(answer.body, answer.seen,
                              "as_json, status " + std::to_string(answer.status));
}

/// The same for text that has come in another way: a line of a `line_reader`, the data of an event.
template <class T = boost::json::value>
T as_json(std::string_view text)
{
    return detail::json_to<T>(text, {.stage = stage::body}, "as_json");
}

/// The request with this value as its body, and `Content-Type: application/json` in place of what
/// it had. The method stays.
///
///     auto r = http::with_json({"POST", url}, {{"model", "small"}, {"stream", true}});
///
/// Errors: `error` {`unwritable_json`} in the stage `prepare`, where the value has a number that is
/// infinite or none, or a string that is no UTF-8. Nothing of it is in the text.
/// Complexity: linear in the value.
inline request with_json(request asked, const boost::json::value& value)
{
    return detail::with_json_text(std::move(asked), value);
}

/// The same for a type of the user's, which `boost::json::value_from` converts. Errors: besides,
/// what the conversion throws.
template <class T>
    requires(!std::convertible_to<const T&, const boost::json::value&>)
request with_json(request asked, const T& value)
{
    static_assert(loopsafe::detail::is_written_as_json<T>,
                  "with_json has no conversion from this type to JSON: write "
                  "tag_invoke(boost::json::value_from_tag, boost::json::value&, const T&) in the "
                  "namespace of T, or give a boost::json::value");
    if constexpr (loopsafe::detail::is_written_as_json<T>)
        return detail::with_json_text(std::move(asked), boost::json::value_from(value));
}

} // namespace loopsafe::http

#endif
