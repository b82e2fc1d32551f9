// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_CARRY_ECHO_HPP
#define LOOPSAFE_TESTS_CARRY_ECHO_HPP

#include <carry/caller.hpp>
#include <carry/dice.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

/// A protocol of requests and answers that all differ: each has a number, and its bytes are those
/// of this number. An answer to another request shows at its first byte, and one that is shifted,
/// mixed or cut, too.
namespace carry::echo {

/// What the server does besides, or instead.
enum class manner : std::uint32_t {
    plain,
    ticket_before,
    ticket_behind,
    keys_before,
    keys_behind,
    half,           ///< the other half comes when the next request does
    silent,         ///< all of it does
    unasked_behind, ///< something follows that nobody asked for
    goodbye_behind,
    close_behind,
    deaf ///< it stops reading in the middle of the request
};

struct head {
    std::uint64_t id = 0;
    std::uint32_t size = 0; ///< of what follows
    std::uint32_t wanted = 0;
    manner how = manner::plain;
    std::uint32_t check = 0; ///< of the head
    std::uint64_t sum = 0;   ///< of what follows

    std::uint32_t checked() const noexcept
    {
        return static_cast<std::uint32_t>(mix(id ^ mix(size ^ mix(wanted ^ mix(sum)))));
    }
};

inline std::string message(std::uint64_t id, std::size_t size, std::size_t wanted, manner how,
                           std::uint64_t of)
{
    auto body = content(of, size);
    head h{id,
           static_cast<std::uint32_t>(size),
           static_cast<std::uint32_t>(wanted),
           how,
           0,
           checksum(body)};
    h.check = h.checked();
    std::string text(sizeof h, '\0');
    std::memcpy(text.data(), &h, sizeof h);
    return text + body;
}

inline std::string request(std::uint64_t id, std::size_t size, std::size_t wanted, manner how)
{
    return message(id, size, wanted, how, id);
}

inline std::string answer(std::uint64_t id, std::size_t size)
{
    return message(id, size, 0, manner::plain, ~id);
}

/// Where one answer would not fit between two others.
inline std::string unasked()
{
    return answer(0xbad, 20);
}

/// One request, if all of it is there.
inline bool take(caller& c, head& h)
{
    if (c.in.size() < sizeof h)
        return false;
    std::memcpy(&h, c.in.data(), sizeof h);
    if (h.check != h.checked()) {
        c.complain("no head of a request");
        return false;
    }
    if (h.how == manner::deaf)
        c.deaf = true;
    if (c.in.size() < sizeof h + h.size)
        return false;
    const std::string_view body(c.in.data() + sizeof h, h.size);
    if (body != content(h.id, h.size) || h.sum != checksum(body)) {
        c.complain("another body than that of the request");
        return false;
    }
    c.in.erase(0, sizeof h + h.size);
    return true;
}

inline void serve(caller& c)
{
    head h;
    while (take(c, h)) {
        c.say(std::exchange(c.owed, {}));
        const auto text = answer(h.id, h.wanted);
        const bool can = c.speaks_tls_13();
        switch (h.how) {
        case manner::half:
            c.owed = text.substr(text.size() / 2);
            c.say(std::string_view(text).substr(0, text.size() / 2));
            continue;
        case manner::silent: c.owed = text; continue;
        case manner::ticket_before:
            if (can)
                c.send_ticket();
            break;
        case manner::keys_before:
            if (can)
                c.change_keys(h.id % 2 == 0);
            break;
        default: break;
        }
        c.say(text);
        switch (h.how) {
        case manner::ticket_behind:
            if (can)
                c.send_ticket();
            break;
        case manner::keys_behind:
            if (can)
                c.change_keys(h.id % 2 == 0);
            break;
        case manner::unasked_behind: c.say(unasked()); break;
        case manner::goodbye_behind: c.say_goodbye(); break;
        case manner::close_behind: c.hang_up(); break;
        default: break;
        }
    }
}

} // namespace carry::echo

#endif
