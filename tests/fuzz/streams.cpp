// SPDX-License-Identifier: BSL-1.0
// Bodies that are read as they come, as events and as lines: whatever they hold, and however they
// are split, they mean what a simple reader finds that has all of it, and memory stays bounded. The
// first bytes say what is read, the limit, and the sizes of the parts.

#include "require.hpp"

#include <loopsafe/http/detail/event_parser.hpp>
#include <loopsafe/http/detail/line_splitter.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using loopsafe::http::server_sent_event;
using loopsafe::http::detail::event_parser;
using loopsafe::http::detail::line_splitter;

struct part_sizes {
    std::string_view pattern; // a byte a part, again and again
    std::size_t at = 0;

    std::size_t next()
    {
        return pattern.empty() ? 4096
                               : static_cast<unsigned char>(pattern[at++ % pattern.size()]) + 1U;
    }
};

struct outcome {
    std::vector<server_sent_event> events;
    bool is_too_large = false;
    std::string last_id;
    std::optional<std::chrono::milliseconds> retry;
};

outcome in_parts(std::string_view body, std::size_t most, part_sizes sizes)
{
    outcome all;
    event_parser parser(most);
    while (!body.empty() && !parser.is_too_large()) {
        auto part = body.substr(0, sizes.next());
        body.remove_prefix(part.size());
        while (!part.empty() && !parser.is_too_large()) {
            const auto n = parser.put(part);
            require(n <= part.size() && (n != 0 || parser.is_too_large()));
            part.remove_prefix(n);
            if (parser.is_ready())
                all.events.push_back(parser.take());
        }
    }
    all.is_too_large = parser.is_too_large();
    all.last_id = parser.last_id();
    all.retry = parser.retry();
    return all;
}

// The whole body, cut into lines and then into events.
outcome at_once(std::string_view body, std::size_t most)
{
    outcome all;
    constexpr std::string_view mark = "\xef\xbb\xbf";
    if (mark.starts_with(body)) // or the beginning of one, which waits for the rest
        return all;
    if (body.starts_with(mark))
        body.remove_prefix(mark.size());
    std::string id;
    std::string type;
    std::vector<std::string> data;
    std::size_t used = 0;
    while (!body.empty()) {
        const auto end = std::min(body.find_first_of("\r\n"), body.size());
        const std::string line(body.substr(0, end));
        const bool is_whole = end != body.size();
        body.remove_prefix(end);
        body.remove_prefix(body.starts_with("\r\n") ? 2 : is_whole ? 1 : 0);
        if (line.starts_with(':'))
            continue;
        used += line.size();
        if (used > most) {
            all.is_too_large = true;
            return all;
        }
        if (!is_whole)
            return all;
        if (line.empty()) {
            used = 0;
            all.last_id = id;
            if (!data.empty()) {
                std::string text;
                for (const auto& each : data)
                    text += (&each == &data.front() ? "" : "\n") + each;
                all.events.emplace_back(id, type.empty() ? "message" : type, text, all.retry);
            }
            type.clear();
            data.clear();
            continue;
        }
        const auto colon = line.find(':');
        const auto name = line.substr(0, colon);
        auto value = colon == std::string::npos ? "" : line.substr(colon + 1);
        if (value.starts_with(' '))
            value.erase(0, 1);
        if (name == "data")
            data.push_back(value);
        if (name == "event")
            type = value;
        if (name == "id" && value.find('\0') == std::string::npos)
            id = value;
        if (name == "retry" && !value.empty() &&
            value.find_first_not_of("0123456789") == std::string::npos) {
            const auto digits = value.substr(std::min(value.find_first_not_of('0'), value.size()));
            const long long day = 24LL * 3600 * 1000;
            const auto number = digits.size() > 9 ? day : digits.empty() ? 0 : std::stoll(digits);
            all.retry = std::chrono::milliseconds(std::min(number, day));
        }
    }
    return all;
}

void events(std::string_view body, std::size_t most, const part_sizes& sizes)
{
    const auto seen = in_parts(body, most, sizes);
    const auto meant = at_once(body, most);
    require(seen.is_too_large == meant.is_too_large);
    require(seen.last_id == meant.last_id);
    require(seen.retry == meant.retry);
    require(seen.events.size() == meant.events.size());
    for (std::size_t i = 0; i != seen.events.size(); ++i) {
        const auto& a = seen.events[i];
        const auto& b = meant.events[i];
        require(a.id == b.id && a.type == b.type && a.data == b.data && a.retry == b.retry);
        require(a.data.size() + a.type.size() <= most + 7);
    }
}

void lines(std::string_view body, std::size_t most, part_sizes sizes)
{
    std::vector<std::string> meant;
    bool is_too_long = false;
    for (auto left = body; !left.empty() && !is_too_long;) {
        const auto end = left.find('\n');
        const bool is_whole = end != std::string_view::npos;
        auto line = left.substr(0, end);
        left.remove_prefix(is_whole ? end + 1 : left.size());
        if (is_whole && line.ends_with('\r'))
            line.remove_suffix(1);
        is_too_long = line.size() > most;
        if (!is_too_long)
            meant.emplace_back(line);
    }
    std::vector<std::string> seen;
    line_splitter splitter(most);
    bool is_refused = false;
    for (;;) {
        const auto line = splitter.next();
        is_refused = line ? splitter.is_too_long(*line) : splitter.is_too_long();
        if (is_refused)
            break;
        if (line) {
            seen.emplace_back(*line);
            continue;
        }
        if (body.empty()) {
            if (!splitter.rest().empty()) {
                is_refused = splitter.is_too_long(splitter.rest());
                if (!is_refused)
                    seen.emplace_back(splitter.rest());
            }
            break;
        }
        const auto room = splitter.room();
        require(room.size() != 0 && room.size() <= std::max<std::size_t>(4096, 2 * most + 4));
        const auto n = std::min({room.size(), body.size(), sizes.next()});
        std::memcpy(room.data(), body.data(), n);
        body.remove_prefix(n);
        splitter.came(n);
    }
    require(is_refused == is_too_long);
    require(seen == meant);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size < 3)
        return 0;
    std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::size_t most = data[1] % 2 == 0 ? data[1] / 2U : 100U * data[1];
    const std::size_t parts = std::min<std::size_t>(data[2] % 8, size - 3);
    const part_sizes sizes{text.substr(3, parts)};
    text.remove_prefix(3 + parts);
    if (data[0] % 2 == 0)
        events(text, most, sizes);
    else
        lines(text, most, sizes);
    return 0;
}
