// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_CARRY_HTTP_ECHO_HPP
#define LOOPSAFE_TESTS_CARRY_HTTP_ECHO_HPP

#include <carry/caller.hpp>
#include <carry/dice.hpp>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

/// The same in HTTP. A request is `POST /manner/id/wanted`; its body is that of the id, and the
/// answer's that of the id's complement.
namespace carry::http_echo {

enum class manner {
    plain,
    in_chunks,
    after_interim,
    ticket_before,
    ticket_behind,
    keys_behind,
    unasked_behind,
    goodbye_behind,
    close_behind,
    said_close, ///< and does not
    early,      ///< answers as soon as it has the head
    half,       ///< the other half comes when the next request does
    silent,
    deaf
};

inline std::string target(manner how, std::uint64_t id, std::size_t wanted)
{
    return '/' + std::to_string(static_cast<int>(how)) + '/' + std::to_string(id) + '/' +
           std::to_string(wanted);
}

inline std::string answer(std::uint64_t id, std::size_t size, manner how = manner::plain)
{
    const auto body = content(~id, size);
    std::string text = "HTTP/1.1 200 OK\r\nX-Id: " + std::to_string(id) + "\r\n";
    if (how == manner::said_close)
        text += "Connection: close\r\n";
    if (how != manner::in_chunks)
        return text + "Content-Length: " + std::to_string(size) + "\r\n\r\n" + body;
    text += "Transfer-Encoding: chunked\r\n\r\n";
    const auto chunk = [&](std::string_view part) {
        char digits[16];
        const auto end = std::to_chars(digits, digits + sizeof digits, part.size(), 16).ptr;
        text.append(digits, end).append("\r\n").append(part).append("\r\n");
    };
    const std::string_view all = body;
    for (std::size_t at = 0; at < size; at += 1 + size / 3)
        chunk(all.substr(at, 1 + size / 3));
    return text + "0\r\n\r\n";
}

/// More than half of an answer, so that what is left in memory would not do for another.
inline std::string unasked()
{
    return answer(0xbad, 20).substr(0, 50);
}

struct asked {
    manner how = manner::plain;
    std::uint64_t id = 0;
    std::size_t wanted = 0;
    std::size_t head = 0; ///< of this size
    std::size_t body = 0;
};

template <class T>
const char* number(const char* from, const std::string& in, T& into)
{
    return std::from_chars(from, in.data() + in.size(), into).ptr + 1;
}

/// Whether there is a head. What is none is wrong.
inline bool find_head(caller& c, asked& a)
{
    const auto end = c.in.find("\r\n\r\n");
    constexpr std::string_view begin = "POST /";
    const auto seen = std::min(begin.size(), c.in.size());
    if (c.in.compare(0, seen, begin, 0, seen) != 0) {
        c.complain("no request: " + c.in.substr(0, 40));
        return false;
    }
    if (end == std::string::npos)
        return false;
    int how = 0;
    number(number(number(c.in.data() + begin.size(), c.in, how), c.in, a.id), c.in, a.wanted);
    a.how = static_cast<manner>(how);
    a.head = end + 4;
    constexpr std::string_view length = "\r\nContent-Length: ";
    if (const auto at = c.in.find(length); at < end)
        number(c.in.data() + at + length.size(), c.in, a.body);
    return true;
}

inline void reply(caller& c, const asked& a)
{
    const bool can = c.speaks_tls_13();
    const auto text = answer(a.id, a.wanted, a.how);
    c.say(std::exchange(c.owed, {}));
    switch (a.how) {
    case manner::half:
        c.owed = text.substr(text.size() - a.wanted / 2);
        c.say(std::string_view(text).substr(0, text.size() - a.wanted / 2));
        return;
    case manner::silent: c.owed = text; return;
    case manner::after_interim: c.say("HTTP/1.1 103 Early Hints\r\n\r\n"); break;
    case manner::ticket_before:
        if (can)
            c.send_ticket();
        break;
    default: break;
    }
    c.say(text);
    switch (a.how) {
    case manner::ticket_behind:
        if (can)
            c.send_ticket();
        break;
    case manner::keys_behind:
        if (can)
            c.change_keys(a.id % 2 == 0);
        break;
    case manner::unasked_behind: c.say(unasked()); break;
    case manner::goodbye_behind: c.say_goodbye(); break;
    case manner::close_behind: c.hang_up(); break;
    case manner::said_close: c.said_no_more = true; break;
    default: break;
    }
}

inline void serve(caller& c)
{
    while (!c.in.empty()) {
        asked a;
        if (!find_head(c, a))
            return;
        if (c.said_no_more) {
            c.complain("a request after Connection: close");
            return;
        }
        if (a.how == manner::early && c.answered != a.id) {
            reply(c, a);
            c.answered = a.id;
        }
        if (a.how == manner::deaf)
            c.deaf = true;
        const auto come = std::string_view(c.in).substr(a.head, a.body);
        if (come.size() == a.body || a.how == manner::early) {
            if (come != std::string_view(content(a.id, a.body)).substr(0, come.size())) {
                c.complain("another body than that of the request");
                return;
            }
        }
        if (come.size() != a.body)
            return;
        c.in.erase(0, a.head + a.body);
        if (a.how != manner::early)
            reply(c, a);
    }
}

} // namespace carry::http_echo

#endif
