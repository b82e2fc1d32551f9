// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_CARRY_DISTURB_HPP
#define LOOPSAFE_TESTS_CARRY_DISTURB_HPP

#include <algorithm>
#include <carry/dice.hpp>
#include <carry/server.hpp>
#include <carry/tally.hpp>
#include <iterator>
#include <string>
#include <vector>

namespace carry {

using ports = std::vector<unsigned short>;

/// Leaves those of connections that are open.
inline void forget_closed(ports& some, const std::vector<server::descriptor>& open)
{
    std::erase_if(some, [&](unsigned short port) {
        return std::none_of(open.begin(), open.end(),
                            [&](const auto& each) { return each.port == port; });
    });
}

/// What a server does to a connection that is parked. True: it can be adopted all the same.
inline bool disturb(server& remote, const server::descriptor& at, dice& d, tally& t, int tls,
                    const std::string& unasked)
{
    struct {
        const char* name;
        bool good;
        bool tls_13;
        server::deed what;
    } const deeds[] = {
        {"unasked", false, false, [&](caller& c) { c.say(unasked); }},
        {"goodbye", false, false, [](caller& c) { c.say_goodbye(); }},
        {"closed", false, false, [](caller& c) { c.hang_up(); }},
        {"ticket", true, true, [](caller& c) { c.send_ticket(); }},
        {"new keys", true, true, [](caller& c) { c.change_keys(true); }},
        {"ticket and keys", true, true,
         [](caller& c) {
             c.send_ticket();
             c.change_keys(false);
         }},
        {"ticket, unasked", false, true,
         [&](caller& c) {
             c.send_ticket();
             c.say(unasked);
         }},
        {"ticket, goodbye", false, true,
         [](caller& c) {
             c.send_ticket();
             c.say_goodbye();
         }},
        {"ticket's first record", false, true, [](caller& c) { c.send_half_ticket(true); }},
        {"half a record", false, true, [](caller& c) { c.send_half_ticket(false); }},
    };
    const auto& one = deeds[d.below(tls == TLS1_3_VERSION ? std::size(deeds) : 3)];
    remote.tell(at.port, one.what);
    await_input(at.number);
    ++t.while_parked[one.name];
    return one.good;
}

} // namespace carry

#endif
