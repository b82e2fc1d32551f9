// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_REFERENCE_HPP
#define LOOPSAFE_TESTS_MODEL_REFERENCE_HPP

#include "few.hpp"

#include <loopsafe/pool/stats.hpp>

// A pool as its documentation tells it. Everything is searched for when it is asked for: nothing is
// counted beforehand, nothing is linked to anything else. Homes, slots and callers are numbers.
namespace model {

using loopsafe::close_reason;
using loopsafe::pool_stats;

inline constexpr int none = -1;
inline constexpr int never = 1 << 20;

struct moment {
    int monotonic = 0;
    int boot = 0;
    int wall = 0;

    int since(const moment& earlier) const
    {
        return std::max(
            {0, monotonic - earlier.monotonic, boot - earlier.boot, wall - earlier.wall});
    }
};

struct limits {
    bool keeps_idle = true;
    bool limit_per_context = true;
    int max_size = 2;
    int max_waiting = 1;
    int idle_timeout = never;
    int max_lifetime = never;
    int probe_after = never;
    int reading_lasts = 2;

    bool timed() const { return std::min({idle_timeout, max_lifetime, probe_after}) < never; }
};

enum class stage : signed char { promised, readying, leased, idle, leaving, expiring };

// One of the places that a pool has for connections, and what is known of the connection there.
struct place {
    int home = none;
    stage at = stage::promised;
    int slot = none;
    bool made = false;
    bool inherited = false; // from the parent process
    bool stale = false;     // older than the last invalidate()
    bool suspect = false;   // idle while something happened to the whole pool
    bool reused = false;
    moment born{};
    moment kept{};
};

struct answer {
    bool any = false;
    int slot = none; // none: a place, for a connection yet to be made
    friend bool operator==(const answer&, const answer&) = default;
};

struct wakening {
    enum class cause : signed char { granted, closed, drained };
    int who = none;
    cause why = cause::granted;
    int slot = none;
    friend bool operator==(const wakening&, const wakening&) = default;
    friend auto operator<=>(const wakening&, const wakening&) = default;
};

struct judgement {
    enum class kind : signed char { fresh, probe, close } what = kind::fresh;
    close_reason why{};
};

class reference {
public:
    explicit reference(const limits& l) : limits_(l) {}

    few<wakening, 8> woken;
    pool_stats counted;

    // Who is there.
    void open(int home) { homes_.push_back({.number = home, .attached = true, .shut = closed_}); }
    void enter(int home) { visits_.push_back(home); }
    bool leave(int home)
    {
        visits_.erase(std::find(visits_.begin(), visits_.end(), home));
        if (visits_.empty()) {
            for (const auto& d : drainers_)
                woken.push_back({d.who, wakening::cause::drained, none});
            drainers_.clear();
        }
        return forget_if_alone(home);
    }
    void hold(int home) { holds_.push_back(home); }
    bool let_go(int home)
    {
        holds_.erase(std::find(holds_.begin(), holds_.end(), home));
        return forget_if_alone(home);
    }
    bool context_lets_go(int home)
    {
        the(home).attached = false;
        return forget_if_alone(home);
    }

    // Acquiring.
    answer fresh(int home, int cheap_now)
    {
        auto* p = newest(home, stage::idle);
        if (the(home).shut || p == nullptr || p->suspect)
            return {};
        if (limits_.timed()) {
            const int idle = cheap_now - p->kept.wall;
            const int age = cheap_now - the(home).reading.wall;
            const bool young =
                cheap_now - p->born.wall < limits_.max_lifetime || limits_.max_lifetime == never;
            if (idle < 0 || idle >= limits_.idle_timeout || idle >= limits_.probe_after || !young ||
                age < 0 || age >= limits_.reading_lasts)
                return {};
            the(home).cheaply = cheap_now;
        }
        ++counted.acquired;
        ++counted.reused;
        enter(home);
        return {true, newest_becomes(*p, stage::leased).slot};
    }

    answer ask(int home)
    {
        if (closed_ || the(home).dead || next_in_line(home) != nullptr)
            return {};
        if (auto* p = newest(home, stage::idle))
            return {true, newest_becomes(*p, stage::readying).slot};
        if (taken(home) == limits_.max_size)
            return {};
        places_.push_back({.home = home});
        return {true, none};
    }

    bool line_is_full(int home) const { return waiting(home) >= limits_.max_waiting; }
    void join_line(int who, int home) { line_.push_back({who, home}); }
    void leave_line(int who)
    {
        if (auto* c = first_of(line_, [=](const caller& x) { return x.who == who; }))
            line_.erase(c);
    }

    // Connecting.
    void notice(int home, const moment& now)
    {
        the(home).reading = now;
        the(home).cheaply = now.wall;
    }
    void begin(int home, int slot)
    {
        auto* p = first_of(
            places_, [=](const place& x) { return x.home == home && x.at == stage::promised; });
        *p = {.home = home, .slot = slot};
        newest_becomes(*p, stage::readying);
    }
    void connected(int slot, const moment& now)
    {
        ++counted.connects;
        at(slot).made = true;
        at(slot).reused = false;
        at(slot).born = now;
    }
    void failed() { ++counted.connect_failures; }
    void given_up(int slot) { at(slot).at = stage::leaving; }
    void lease(int slot)
    {
        at(slot).at = stage::leased;
        ++counted.acquired;
        counted.reused += at(slot).reused;
    }

    judgement judge(int slot, const moment& now) const
    {
        const auto& p = at(slot);
        using enum judgement::kind;
        if (p.inherited)
            return {close, close_reason::forked};
        if (p.stale)
            return {close, close_reason::invalidated};
        if (limits_.max_lifetime != never && now.since(p.born) >= limits_.max_lifetime)
            return {close, close_reason::lived_too_long};
        if (now.since(p.kept) >= limits_.idle_timeout)
            return {close, close_reason::idle_too_long};
        if (p.suspect || now.since(p.kept) >= limits_.probe_after)
            return {probe};
        return {fresh};
    }
    void lost(int slot, close_reason why)
    {
        gone(why);
        at(slot) = {.home = at(slot).home, .at = stage::readying, .slot = slot};
    }
    answer expired(int home, const moment& now, close_reason& why)
    {
        place* newest = nullptr;
        for (auto& p : places_) {
            if (p.home == home && p.at == stage::idle &&
                judge(p.slot, now).what == judgement::kind::close)
                newest = &p;
        }
        if (newest == nullptr)
            return {};
        why = judge(newest->slot, now).why;
        gone(why);
        newest->at = stage::leaving;
        return {true, newest->slot};
    }

    // Releasing.
    bool is_undisturbed(int slot)
    {
        const auto* p = first_of(places_, [=](const place& x) { return x.slot == slot; });
        return p != nullptr && p->at == stage::leased && limits_.keeps_idle && !the(p->home).shut &&
               !the(p->home).dead && !p->suspect && next_in_line(p->home) == nullptr;
    }
    bool keep(int slot)
    {
        auto& p = at(slot);
        if (!limits_.keeps_idle || the(p.home).shut || the(p.home).dead || p.inherited || p.stale)
            return false;
        p.reused = true;
        p.suspect = false;
        const auto& read = the(p.home).reading;
        const int later = the(p.home).cheaply - read.wall;
        p.kept = {read.monotonic + later, read.boot + later, the(p.home).cheaply};
        if (auto* first = next_in_line(p.home)) {
            woken.push_back({first->who, wakening::cause::granted, slot});
            line_.erase(first);
            newest_becomes(p, stage::readying);
        } else {
            newest_becomes(p, stage::idle);
        }
        return true;
    }
    // What cannot be helped comes first, then what the holder said, then what the pool was told.
    close_reason leaves(int slot, close_reason said)
    {
        auto& p = at(slot);
        p.at = stage::leaving;
        const bool unsaid = said == close_reason::not_kept;
        const auto why = p.inherited         ? close_reason::forked
                         : the(p.home).dead  ? close_reason::context_died
                         : unsaid && closed_ ? close_reason::pool_closed
                         : unsaid && p.stale ? close_reason::invalidated
                                             : said;
        gone(why);
        return why;
    }
    void free_promise(int home)
    {
        places_.erase(first_of(
            places_, [=](const place& x) { return x.home == home && x.at == stage::promised; }));
        serve(home);
    }
    void free_place(int slot)
    {
        const int home = at(slot).home;
        places_.erase(&at(slot));
        serve(home);
    }

    // A context dies.
    void context_dies(int home)
    {
        the(home).dead = true;
        forget(line_, home);
        forget(drainers_, home);
        evict(home, close_reason::context_died);
    }
    // Whether that slot may be the next; or, for none, whether there is nothing.
    bool leftover(int home, int slot)
    {
        const auto is_left = [=](const place& x) {
            return x.home == home && (x.at == stage::readying || x.at == stage::leased);
        };
        if (slot == none)
            return !any_of(places_, is_left);
        auto& p = at(slot);
        if (!is_left(p))
            return false;
        p.at = stage::expiring;
        gone(p.inherited ? close_reason::forked : close_reason::context_died);
        return true;
    }

    // The whole pool: what happens to it reaches each context when that is told.
    void close()
    {
        closed_ = true;
        happens_ = happening::close;
    }
    void invalidate() { happens_ = happening::invalidate; }
    void thaw() { happens_ = happening::thaw; }
    void tell(int home)
    {
        the(home).shut = closed_;
        while (closed_ && next_in_line(home) != nullptr) {
            const int who = next_in_line(home)->who;
            woken.push_back({who, wakening::cause::closed, none});
            leave_line(who);
        }
        for (auto& p : places_) {
            if (p.home != home || happens_ == happening::close)
                continue;
            p.stale = p.stale || happens_ == happening::invalidate;
            p.suspect = true;
        }
    }
    void evict(int home, close_reason why)
    {
        for (auto& p : places_) {
            if (p.home == home && p.at == stage::idle) {
                gone(p.inherited ? close_reason::forked : why);
                p.at = stage::leaving;
            }
        }
    }
    void evicted(int home, const few<int, 4>& slots)
    {
        for (const int slot : slots)
            places_.erase(&at(slot));
        serve(home);
    }
    void fork()
    {
        for (auto& p : places_)
            p.inherited = p.suspect = true;
    }
    void thaw_process()
    {
        for (auto& p : places_)
            p.suspect = true;
    }
    void owner_gone() { owned_ = false; }
    bool wait_until_drained(int who, int home)
    {
        if (drained())
            return false;
        drainers_.push_back({who, home});
        return true;
    }
    bool stop_draining(int who)
    {
        auto* d = first_of(drainers_, [=](const caller& x) { return x.who == who; });
        if (d != nullptr)
            drainers_.erase(d);
        return d != nullptr;
    }

    // What is to be seen from outside.
    bool closed() const { return closed_; }
    bool drained() const { return visits_.empty(); }
    bool unreferenced() const { return !owned_ && homes_.empty(); }
    bool orphaned(int h) const { return !owned_ && users(h) == 0 && references(h) == 1; }
    std::size_t homes() const { return homes_.size(); }
    int home(std::size_t i) const { return homes_[i].number; }
    bool dead(int h) const { return the(h).dead; }
    int users(int h) const
    {
        return static_cast<int>(std::count(visits_.begin(), visits_.end(), h));
    }
    int references(int h) const
    {
        return static_cast<int>(std::count(holds_.begin(), holds_.end(), h)) + the(h).attached;
    }
    int taken(int h) const
    {
        return static_cast<int>(
            how_many(places_, [&](const place& p) { return share(p.home, h); }));
    }
    int waiting(int h) const
    {
        return static_cast<int>(how_many(line_, [&](const caller& c) { return share(c.home, h); }));
    }
    template <class F>
    void each_waiting(int h, F f) const
    {
        for (const auto& c : line_) {
            if (share(c.home, h))
                f(c.who);
        }
    }
    moment reading(int h) const { return the(h).reading; }
    int cheaply(int h) const { return the(h).cheaply; }
    int known(int slot) const // of what happened to a connection
    {
        const auto* p = first_of(const_cast<reference*>(this)->places_,
                                 [=](const place& x) { return x.slot == slot; });
        return p == nullptr ? 0xff
                            : p->inherited | p->stale << 1 | p->suspect << 2 | p->reused << 3;
    }
    template <class F>
    void each_place(F f) const
    {
        std::for_each(places_.begin(), places_.end(), f);
    }
    pool_stats stats() const
    {
        const auto those = [&](stage s) {
            return how_many(places_, [=](const place& p) { return p.at == s; });
        };
        pool_stats now = counted;
        now.idle = those(stage::idle);
        now.leased = those(stage::leased);
        now.connecting = those(stage::readying);
        now.waiting = line_.size();
        return now;
    }
    // For each budget: whoever waits, waits because nothing is free.
    bool nobody_waits_in_vain() const
    {
        return !any_of(line_, [&](const caller& c) {
            return the(c.home).shut || the(c.home).dead || taken(c.home) < limits_.max_size ||
                   any_of(
                       places_,
                       [&](const place& p) { return p.home == c.home && p.at == stage::idle; });
        });
    }
    bool no_budget_is_exceeded() const
    {
        return !any_of(homes_,
                       [&](const context& h) { return taken(h.number) > limits_.max_size; });
    }

private:
    struct context {
        int number = none;
        bool attached = false;
        bool dead = false;
        bool shut = false; // it knows that the pool is closed
        int cheaply = 0;
        moment reading{};
    };
    struct caller {
        int who = none;
        int home = none;
    };

    bool share(int a, int b) const { return !limits_.limit_per_context || a == b; }
    context& the(int home)
    {
        return *first_of(homes_, [=](const context& h) { return h.number == home; });
    }
    const context& the(int home) const { return const_cast<reference*>(this)->the(home); }
    place& at(int slot)
    {
        auto* p = first_of(places_, [=](const place& x) { return x.slot == slot; });
        expect(p != nullptr, "the slot has a place in the pool");
        return *p;
    }
    const place& at(int slot) const { return const_cast<reference*>(this)->at(slot); }
    place* newest(int home, stage s)
    {
        place* last = nullptr;
        for (auto& p : places_) {
            if (p.home == home && p.at == s)
                last = &p;
        }
        return last;
    }
    place& newest_becomes(place& p, stage s)
    {
        auto moved = p;
        moved.at = s;
        places_.erase(&p);
        places_.push_back(moved);
        return places_[places_.size() - 1];
    }
    caller* next_in_line(int home)
    {
        return first_of(line_, [=, this](const caller& c) { return share(c.home, home); });
    }
    void serve(int home)
    {
        while (taken(home) < limits_.max_size) {
            auto* first = next_in_line(home);
            if (first == nullptr)
                return;
            woken.push_back({first->who, wakening::cause::granted, none});
            places_.push_back({.home = first->home});
            line_.erase(first);
        }
    }
    template <std::size_t N>
    void forget(few<caller, N>& callers, int home)
    {
        while (auto* c = first_of(callers, [=](const caller& x) { return x.home == home; }))
            callers.erase(c);
    }
    bool forget_if_alone(int home)
    {
        if (users(home) != 0 || references(home) != 0)
            return false;
        homes_.erase(&the(home));
        return true;
    }
    void gone(close_reason why) { ++counted.closed_because[static_cast<std::size_t>(why)]; }

    limits limits_;
    bool closed_ = false;
    enum class happening : signed char { close, invalidate, thaw } happens_{};
    bool owned_ = true;
    few<context, 8> homes_;
    few<int, 8> visits_;
    few<int, 4> holds_;
    few<place, 12> places_; // in the order in which each came to where it is
    few<caller, 4> line_;   // in the order of arrival
    few<caller, 2> drainers_;
};

} // namespace model

#endif
