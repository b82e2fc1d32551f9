// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_IMPL_ERROR_HPP
#define LOOPSAFE_IMPL_ERROR_HPP

#include <loopsafe/detail/error_category.hpp>
#include <loopsafe/detail/share_new.hpp>

#include <string_view>
#include <utility>

namespace loopsafe {
namespace detail {

struct errc_table {
    using value_type = errc;
    static constexpr auto id = 0x6c6f6f7073616665u;
    static constexpr auto name = "loopsafe";

    static std::string message(value_type value)
    {
        switch (value) {
        case errc::wrong_context:
            return "used from a context that is not its home; use a connection only in the context "
                   "that acquired it, and acquire another one elsewhere";
        case errc::context_closed:
            return "its home context is gone; acquire another one in a context that is alive";
        case errc::no_context: return "the caller names no context";
        case errc::lease_expired: return "the lease is empty or its context is gone";
        case errc::pool_closed: return "the pool is closed";
        case errc::acquire_timeout: return "no connection became free in time";
        case errc::connect_timeout: return "no connection could be made in time";
        case errc::queue_full: return "too many callers are already waiting";
        case errc::close_timeout: return "leases were still out at the deadline for closing";
        case errc::nested_run: return "run() inside run() would block the outer context";
        case errc::main_stuck: return "main was given up before it completed";
        case errc::bad_option: return "invalid option";
        case errc::workers_closed: return "the worker threads are closed";
        case errc::would_deadlock: return "a worker thread would wait for its own set of threads";
        case errc::no_thread: return "no worker thread could be started";
        case errc::busy: return "another call still uses the connection";
        case errc::task_lost: return "a task was destroyed before it had ended";
        case errc::all_failed: return "none of the operations succeeded";
        case errc::timed_out: return "the deadline has passed";
        case errc::task_stuck: return "a task goes on although it was cancelled";
        }
        return "unknown";
    }
};

struct condition_table {
    using value_type = condition;
    static constexpr auto id = 0x6c6f6f7073616666u;
    static constexpr auto name = "loopsafe.condition";

    static std::string message(value_type value)
    {
        switch (value) {
        case condition::context_misuse: return "a resource was used outside its home context";
        case condition::timeout: return "a deadline passed";
        case condition::overloaded:
            return "a pool, or a set of worker threads, has reached its limit";
        }
        return "unknown";
    }

    static bool covers(const error_code& code, value_type value) noexcept
    {
        if (code.category() != errc_category())
            return false;
        const auto e = static_cast<errc>(code.value());
        switch (value) {
        case condition::context_misuse:
            return e == errc::wrong_context || e == errc::context_closed || e == errc::no_context ||
                   e == errc::lease_expired;
        case condition::timeout:
            return e == errc::acquire_timeout || e == errc::connect_timeout ||
                   e == errc::close_timeout || e == errc::timed_out;
        case condition::overloaded:
            return e == errc::acquire_timeout || e == errc::queue_full || e == errc::no_thread;
        }
        return false;
    }
};

inline constexpr category_of<errc_table> errc_category_instance{};
inline constexpr category_of<condition_table> condition_category_instance{};

inline std::string_view file_name(const std::source_location& where)
{
    const std::string_view path = where.file_name();
    return path.substr(path.find_last_of("/\\") + 1);
}

inline std::string to_string(const std::source_location& where)
{
    return std::string(file_name(where)) + ':' + std::to_string(where.line());
}

// " at file:line", or nothing if the place is unknown.
inline std::string place(const std::source_location& where)
{
    return where.line() == 0 ? std::string() : " at " + to_string(where);
}

inline std::string to_string(const context_info& info)
{
    if (!info)
        return "no context";
    std::string text = "context #" + std::to_string(info.number);
    if (!info.name.empty())
        text += " \"" + info.name + '"';
    switch (info.origin) {
    case context_origin::run: text += ", made by run at "; break;
    case context_origin::runner: text += ", made by runner at "; break;
    case context_origin::named: text += ", named at "; break;
    default: text += ", first seen at "; break;
    }
    text += to_string(info.where);
    text += info.alive ? ", alive" : ", gone";
    return text;
}

} // namespace detail

inline const boost::system::error_category& errc_category() noexcept
{
    return detail::errc_category_instance;
}

inline const boost::system::error_category& condition_category() noexcept
{
    return detail::condition_category_instance;
}

inline error_code make_error_code(errc e) noexcept
{
    return {static_cast<int>(e), errc_category()};
}

inline boost::system::error_condition make_error_condition(condition c) noexcept
{
    return {static_cast<int>(c), condition_category()};
}

inline std::string context_report::to_string() const
{
    const std::string message = make_error_code(code).message();
    std::string text = resource + ": " + message.substr(0, message.find(';')); // see `advice`
    text += "\n  home:  " + detail::to_string(home);
    if (asked || code != errc::lease_expired)
        text += "\n  asked: " + detail::to_string(asked);
    text += "\n  used:  " + operation + detail::place(used);
    if (!advice.empty())
        text += "\n  cure:  " + advice;
    return text;
}

inline context_error::context_error(context_report report)
    : system_error(make_error_code(report.code))
{
    auto text = report.to_string();
    shared_ = detail::share_new<shared>(shared{std::move(report), std::move(text)});
}

inline located_error::located_error(error_code code, const std::string& what,
                                    const std::source_location& where)
    : system_error(detail::without_place(code), what)
{
    add_place(where);
}

inline const char* located_error::what() const noexcept
{
    return text_ != nullptr ? text_->c_str() : system_error::what();
}

inline void located_error::add_place(const std::source_location& where)
{
    if (where.line() == 0 || where_.line() != 0)
        return;
    add_line("used:  " + detail::to_string(where));
    where_ = where;
}

inline void located_error::add_line(const std::string& line)
{
    text_ = detail::share_new<const std::string>(std::string(what()) + "\n  " + line);
}

} // namespace loopsafe

#endif
