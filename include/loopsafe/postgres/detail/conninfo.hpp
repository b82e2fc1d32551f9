// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_CONNINFO_HPP
#define LOOPSAFE_POSTGRES_DETAIL_CONNINFO_HPP

#include <loopsafe/never.hpp>
#include <loopsafe/postgres/detail/diagnose.hpp>
#include <loopsafe/postgres/detail/handles.hpp>
#include <loopsafe/postgres/error.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::postgres::detail {

// A list of targets, one for each entry of libpq's lists.
struct target {
    std::string host;
    std::string address;
    std::string port;
};

// Keywords and values, in libpq's format. The last value of a keyword counts.
class settings {
public:
    bool is_uri = false; // so a part of a password may be where it is not expected

    void set(std::string_view keyword, std::string value)
    {
        items_.emplace_back(keyword, std::move(value));
    }

    bool has(std::string_view keyword) const
    {
        for (const auto& [key, value] : items_)
            if (key == keyword)
                return true;
        return false;
    }

    void set_unless_given(std::string_view keyword, std::string value)
    {
        if (!has(keyword))
            set(keyword, std::move(value));
    }

    // Where libpq looks for a value that is not given.
    void fall_back(std::string_view keyword, const char* variable, const char* compiled_in)
    {
        const auto text = [](const char* s) { return std::string(s == nullptr ? "" : s); };
        defaults_.push_back({std::string(keyword), text(variable), text(compiled_in)});
    }

    // As libpq takes it where no service file is used. It ignores what is given as empty.
    std::string value_of(std::string_view keyword) const
    {
        for (auto at = items_.rbegin(); at != items_.rend(); ++at)
            if (at->first == keyword && !at->second.empty())
                return at->second;
        for (const auto& each : defaults_) {
            if (each.keyword != keyword)
                continue;
            const char* const set = std::getenv(each.variable.c_str());
            return set != nullptr ? std::string(set) : each.compiled_in;
        }
        return {};
    }

    // Begins to connect, to one of these targets where there are any. libpq looks up names here,
    // and blocks.
    connection_handle start(const std::vector<target>& targets) const
    {
        std::string host;
        std::string address;
        std::string port;
        const char* comma = "";
        for (const auto& each : targets) {
            host.append(comma).append(each.host);
            address.append(comma).append(each.address);
            port.append(comma).append(each.port);
            comma = ",";
        }
        std::vector<const char*> keywords;
        std::vector<const char*> values;
        const auto add = [&](const char* keyword, const std::string& value) {
            keywords.push_back(keyword);
            values.push_back(value.c_str());
        };
        keywords.reserve(items_.size() + 4);
        values.reserve(items_.size() + 4);
        for (const auto& [key, value] : items_) {
            if (targets.empty() || (key != "host" && key != "hostaddr" && key != "port"))
                add(key.c_str(), value);
        }
        if (!targets.empty()) {
            add("host", host);
            add("hostaddr", address);
            add("port", port);
        }
        keywords.push_back(nullptr);
        values.push_back(nullptr);
        connection_handle handle(PQconnectStartParams(keywords.data(), values.data(), 0));
        if (handle == nullptr)
            throw std::bad_alloc();
        return handle;
    }

private:
    struct fallback {
        std::string keyword;
        std::string variable;
        std::string compiled_in;
    };

    std::vector<std::pair<std::string, std::string>> items_;
    std::vector<fallback> defaults_;
};

// libpq quotes what it does not understand, which may be a part of a password.
inline std::string without_quotations(std::string_view reason)
{
    std::string text;
    for (bool inside = false; !reason.empty(); inside = !inside) {
        const auto quote = std::min(reason.find('"'), reason.size());
        text.append(inside ? std::string_view("...") : reason.substr(0, quote));
        if (quote != reason.size())
            text += '"';
        reason.remove_prefix(std::min(quote + 1, reason.size()));
    }
    return text;
}

inline bool may_hold_a_password(std::string_view conninfo) noexcept
{
    return conninfo.find("://") != conninfo.npos || conninfo.find("password") != conninfo.npos;
}

inline settings parse(const std::string& conninfo)
{
    if (conninfo.find('\0') != conninfo.npos)
        throw error(errc::bad_conninfo, stage::configure,
                    {.message = "a NUL byte in the connection string"});
    char* reason = nullptr;
    const options_handle options(PQconninfoParse(conninfo.c_str(), &reason));
    const std::unique_ptr<char, c_deleter<&PQfreemem>> reason_owner(reason);
    if (options == nullptr) {
        if (reason == nullptr)
            throw std::bad_alloc();
        auto message = without_trailing_space(reason);
        if (may_hold_a_password(conninfo))
            message =
                without_quotations(message) +
                "; in a URI, write \"%\" in a password as \"%25\", \"@\" as \"%40\" and \"/\" "
                "as \"%2F\"; elsewhere, put a value with spaces in single quotes";
        throw error(errc::bad_conninfo, stage::configure, {.message = std::move(message)});
    }
    settings parsed;
    parsed.is_uri = conninfo.find("://") != conninfo.npos;
    for (auto* option = options.get(); option->keyword != nullptr; ++option) {
        const std::string_view key = option->keyword;
        if (option->val != nullptr)
            parsed.set(key, option->val);
        if (key == "host" || key == "hostaddr" || key == "port" || key == "connect_timeout" ||
            key == "service")
            parsed.fall_back(key, option->envvar, option->compiled);
    }
    return parsed;
}

// As libpq reads it: whole seconds, 0 or less for no limit, and at least 2.
inline std::chrono::milliseconds limit_of(std::string_view connect_timeout)
{
    int seconds = 0;
    std::from_chars(connect_timeout.data(), connect_timeout.data() + connect_timeout.size(),
                    seconds);
    return seconds <= 0 ? never : std::chrono::seconds(std::max(seconds, 2));
}

inline std::vector<std::string> split(std::string_view list)
{
    std::vector<std::string> parts;
    for (;;) {
        const auto comma = list.find(',');
        parts.emplace_back(list.substr(0, comma));
        if (comma == list.npos)
            return parts;
        list.remove_prefix(comma + 1);
    }
}

// The lists of what to connect to, and how long it may take.
struct destination {
    std::string host;
    std::string address;
    std::string port;
    std::string connect_timeout;
};

// After service file, environment and defaults, as libpq determines them: an invalid sslmode makes
// it stop before it uses any of them. It does half of the work of a connect for that.
inline destination ask_libpq(settings wanted)
{
    wanted.set("sslmode", "none, only the hosts");
    const auto handle = wanted.start({});
    const options_handle options(PQconninfo(handle.get()));
    destination found;
    for (auto* option = options.get(); option != nullptr && option->keyword != nullptr; ++option) {
        const std::string_view key = option->keyword;
        if (option->val == nullptr)
            continue;
        if (key == "host")
            found.host = option->val;
        else if (key == "hostaddr")
            found.address = option->val;
        else if (key == "port")
            found.port = option->val;
        else if (key == "connect_timeout")
            found.connect_timeout = option->val;
    }
    return found;
}

inline destination destination_of(const settings& wanted)
{
    if (!wanted.value_of("service").empty())
        return ask_libpq(wanted);
    return {wanted.value_of("host"), wanted.value_of("hostaddr"), wanted.value_of("port"),
            wanted.value_of("connect_timeout")};
}

// `limit`: how long one of them may take before the next is tried.
inline std::vector<target> targets_of(const settings& wanted, std::chrono::milliseconds& limit)
{
    const auto to = destination_of(wanted);
    if (!to.connect_timeout.empty())
        limit = limit_of(to.connect_timeout);
    auto hosts = split(to.host);
    auto addresses = split(to.address);
    auto ports = split(to.port);
    const bool has_addresses = addresses.size() > 1 || !addresses[0].empty();
    const bool has_hosts = hosts.size() > 1 || !hosts[0].empty();
    const auto count = has_addresses ? addresses.size() : hosts.size();
    // libpq rejects lists of different lengths.
    if ((has_addresses && has_hosts && hosts.size() != count) ||
        (ports.size() != 1 && ports.size() != count))
        return {};
    std::vector<target> targets(count);
    for (std::size_t i = 0; i < count; ++i) {
        targets[i].host = has_hosts ? hosts[i] : std::string();
        targets[i].address = has_addresses ? addresses[i] : std::string();
        targets[i].port = ports[ports.size() == 1 ? 0 : i];
    }
    return targets;
}

} // namespace loopsafe::postgres::detail

#endif
