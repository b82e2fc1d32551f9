// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_STEPS_HPP
#define LOOPSAFE_TESTS_MODEL_STEPS_HPP

#include "world.hpp"

#include <iterator>

namespace model {

inline bool world::is_running(const shelf& s) const
{
    return std::any_of(callers_, callers_ + most_callers,
                       [&](const caller& c) { return c.runs() && c.on_home && c.where == &s; }) ||
           (drainer_.runs() && drainer_.where == &s);
}

inline bool world::has_frames(const shelf& s) const
{
    return std::any_of(callers_, callers_ + most_callers,
                       [&](const caller& c) { return c.is_suspended() && c.where == &s; }) ||
           drainer_.where == &s;
}

template <class F>
void world::each_step(F f) const
{
    using enum act;
    if (freed_)
        return;
    const auto tell = [&](act what, int who = 0, int how = 0) {
        f(step{what, static_cast<signed char>(who), static_cast<signed char>(how)});
    };
    if (untold_ != nullptr) {
        steps_meanwhile(tell);
        return;
    }
    bool somebody_runs = main_.at != sweeper::place::off || drainer_.runs();
    bool told_outside = false;
    for (const auto& c : callers_) {
        if (c.w.who >= settings_.callers)
            break;
        somebody_runs = somebody_runs || c.runs();
        if (c.at != at::outside) {
            steps_of(c, tell);
        } else if (owned_ && !told_outside) { // those who do nothing are all alike
            told_outside = true;
            steps_of_outside(c.w.who, tell);
        }
    }
    steps_of_drainer(tell);
    bool all_live = true;
    for (const auto* s : living_) {
        if (s == nullptr)
            continue;
        all_live = all_live && s->at == phase::alive;
        if (!is_running(*s))
            steps_of(*s, tell);
    }
    if (main_.at != sweeper::place::off) {
        tell(act::sweep, 0);
    } else if (owned_ && settings_.whole) {
        tell(invalidate);
        tell(thaw);
        if (settings_.process)
            tell(thaw_process);
        if (!core_.closed())
            tell(act::close);
        tell(destroy_pool);
    }
    if (settings_.whole && all_live && !somebody_runs)
        tell(fork);
    if (ticks_left_ > 0 && !somebody_runs) {
        tell(tick);
        tell(freeze, 0, 0);
        tell(freeze, 0, 1);
        tell(step_back);
    }
}

template <class Tell>
void world::steps_of_outside(int who, Tell tell) const
{
    for (int x = 0; x < addresses; ++x) {
        const auto* s = living_[x];
        if (s != nullptr && s->at != phase::alive)
            continue;
        tell(act::acquire, who, x);
        if (settings_.resets && s != nullptr && s->idle != nullptr)
            tell(act::acquire, who, x + addresses);
    }
}

template <class Tell>
void world::steps_meanwhile(Tell tell) const
{
    tell(act::tell_next);
    bool told_outside = false;
    for (const auto& c : callers_) {
        if (c.w.who >= settings_.callers)
            break;
        if (c.at == at::holding)
            tell(act::release, c.w.who);
        if (c.at != at::outside || told_outside)
            continue;
        told_outside = true;
        for (int x = 0; owned_ && x < addresses; ++x) {
            if (may_run(living_[x]) && find_shelf(x) != nullptr)
                tell(act::acquire, c.w.who, x);
        }
    }
}

template <class Tell>
void world::steps_of(const caller& c, Tell tell) const
{
    using enum act;
    const int i = c.w.who;
    const bool lives = may_run(c.where);
    if (c.is_suspended() && c.where->at == phase::unwinding && !is_running(*c.where))
        tell(end_frame, i);
    switch (c.at) {
    case at::outside: break;
    case at::entered:
        if (lives) {
            tell(act::start, i);
            tell(cancel, i);
        }
        break;
    case at::missed:
        tell(act::begin_wait, i);
        tell(cancel, i);
        break;
    case at::waiting:
        if (lives && c.w.st == pool_waiter::status::queued) {
            tell(time_out, i);
            tell(cancel, i);
        } else if (lives) {
            tell(act::resume, i);
        }
        break;
    case at::granted:
        tell(act::look, i);
        tell(cancel, i);
        if (c.got != nullptr)
            tell(act::look, i, 1);
        if (c.got != nullptr && settings_.resets)
            tell(act::look, i, 2);
        break;
    case at::making:
        if (lives && c.got->connection) {
            tell(act::finish_connecting, i);
        } else if (lives) {
            tell(connect, i);
            tell(fail_to_connect, i);
        }
        break;
    case at::resetting:
        if (lives) {
            tell(act::end_reset, i, 0);
            tell(act::end_reset, i, 1);
            tell(cancel, i);
        }
        break;
    case at::holding:
        tell(release, i);
        tell(discard, i);
        if (settings_.resets)
            tell(discard, i, 2);
        if (unwinds(c.where)) {
            tell(release, i, 1);
            tell(discard, i, 1);
        }
        break;
    case at::closing_old: tell(act::end_old, i); break;
    case at::closing: tell(act::end_closing, i); break;
    case at::leaving: tell(act::end_ticket, i); break;
    }
}

template <class Tell>
void world::steps_of(const shelf& s, Tell tell) const
{
    switch (s.at) {
    case phase::alive: tell(act::die, s.address); break;
    case phase::marked:
        if (s.pins == 0)
            tell(act::context_dies, s.address);
        break;
    case phase::told: tell(act::idle_destroyed, s.address); break;
    case phase::unwinding:
        if (!has_frames(s))
            tell(act::frames_gone, s.address);
        break;
    case phase::sweeping: tell(act::leftover_destroyed, s.address); break;
    case phase::gone: break;
    }
}

template <class Tell>
void world::steps_of_drainer(Tell tell) const
{
    using enum act;
    const auto* home = drainer_.where;
    if (home != nullptr && home->at == phase::unwinding && !is_running(*home))
        tell(end_frame, the_drainer);
    switch (drainer_.at) {
    case drainer::place::outside:
        for (int x = 0; settings_.drains && owned_ && x < addresses; ++x) {
            const auto* s = living_[x];
            if (s == nullptr ? !settings_.has_home : s->at == phase::alive)
                tell(act::drain, x);
        }
        break;
    case drainer::place::entered:
        if (may_run(home))
            tell(act::start, the_drainer);
        break;
    case drainer::place::closing:
        if (drainer_.closes.at != sweeper::place::off)
            tell(act::sweep, the_drainer);
        else
            tell(act::begin_wait, the_drainer);
        break;
    case drainer::place::waiting:
        if (may_run(home) && drainer_.w.st == pool_waiter::status::queued)
            tell(time_out, the_drainer);
        else if (may_run(home))
            tell(act::resume, the_drainer);
        break;
    }
}

inline void world::perform(step s, census& seen)
{
    const bool drains = s.who == the_drainer;
    auto& c = callers_[s.who % most_callers];
    auto* const living = living_[s.who % addresses];
    seen_ = &seen;
    ++seen.acts[static_cast<int>(s.what)];
    woken_.clear();
    expected_.woken.clear();
    switch (s.what) {
    case act::acquire: acquire(c, s.how % addresses, s.how >= addresses); break;
    case act::start: drains ? start_drain() : start(c); break;
    case act::begin_wait: drains ? wait_for_drain() : begin_wait(c); break;
    case act::time_out: drains ? resume_drain() : resume(c, true); break;
    case act::resume: drains ? resume_drain() : resume(c, false); break;
    case act::cancel:
        c.on_home = true;
        c.at == at::waiting ? resume(c, false) : end_ticket(c, false);
        break;
    case act::look: look(c, s.how != 1, s.how == 2); break;
    case act::connect: connect(c); break;
    case act::fail_to_connect:
        c.on_home = true;
        core_.connect_failed();
        expected_.failed();
        end_ticket(c, false);
        break;
    case act::finish_connecting: lease(c); break;
    case act::end_reset: end_reset(c, s.how == 0); break;
    case act::release:
        c.on_home = s.how == 1;
        finish(c, true, close_reason::dirty, c.on_home);
        break;
    case act::discard:
        c.on_home = s.how == 1;
        finish(c, false, s.how == 2 ? close_reason::dirty : close_reason::discarded, c.on_home);
        break;
    case act::end_old: end_old(c); break;
    case act::end_closing: end_closing(c); break;
    case act::end_ticket: end_ticket(c, false); break;
    case act::end_frame:
        if (drains) {
            const auto st = drainer_.w.st;
            const bool waits =
                st == pool_waiter::status::queued || st == pool_waiter::status::granted;
            waits ? resume_drain() : end_drain();
        } else {
            c.on_home = true;
            end_waiter(c);
            end_ticket(c, true);
        }
        break;
    case act::sweep: sweep(drains ? drainer_.closes : main_); break;
    case act::die: living->at = phase::marked; break;
    case act::context_dies: context_dies(*living); break;
    case act::idle_destroyed: idle_destroyed(*living); break;
    case act::frames_gone: frames_gone(*living); break;
    case act::leftover_destroyed: leftover_destroyed(*living); break;
    case act::tell_next: tell_next(); break;
    case act::fork:
        generation_ += loopsafe::detail::one_copy;
        expected_.fork();
        break;
    case act::thaw_process:
        generation_ += loopsafe::detail::one_thaw;
        expected_.thaw_process();
        break;
    case act::thaw:
        core_.thaw();
        expected_.thaw();
        tell_all();
        break;
    case act::invalidate:
        sync_generation();
        core_.invalidate();
        expected_.invalidate();
        tell_all();
        main_.at = sweeper::place::picking;
        main_.why = close_reason::invalidated;
        break;
    case act::close: close(main_); break;
    case act::destroy_pool:
        close(main_);
        main_.ends_pool = true;
        owned_ = false;
        break;
    case act::drain: drain(s.who); break;
    case act::tick:
        --ticks_left_;
        ++now_.monotonic;
        ++now_.boot;
        ++now_.wall;
        break;
    case act::freeze:
        --ticks_left_;
        now_.boot += s.how == 0 ? 4 : 0;
        now_.wall += s.how == 1 ? 4 : 0;
        break;
    case act::step_back:
        --ticks_left_;
        --now_.wall;
        break;
    }
    if (wrong_wake_ != nullptr)
        fail(wrong_wake_);
    seen.pools_freed += freed_;
    seen.drained += any_of(expected_.woken,
                           [](const wakening& w) { return w.why == wakening::cause::drained; });
    compare();
}

inline std::string to_string(const step& s)
{
    static constexpr const char* names[] = {"acquire",
                                            "time_out",
                                            "cancel",
                                            "connect",
                                            "fail_to_connect",
                                            "release",
                                            "discard",
                                            "die",
                                            "fork",
                                            "thaw",
                                            "thaw_process",
                                            "invalidate",
                                            "close",
                                            "destroy_pool",
                                            "drain",
                                            "tick",
                                            "freeze",
                                            "step_back",
                                            ". start",
                                            ". begin_wait",
                                            ". resume",
                                            ". look",
                                            ". finish_connecting",
                                            ". end_reset",
                                            ". end_old",
                                            ". end_closing",
                                            ". end_ticket",
                                            ". end_frame",
                                            ". sweep",
                                            ". context_dies",
                                            ". idle_destroyed",
                                            ". frames_gone",
                                            ". leftover_destroyed",
                                            ". tell_next"};
    static_assert(std::size(names) == act_count);
    return std::string(names[static_cast<int>(s.what)]) + ' ' + std::to_string(s.who) + ' ' +
           std::to_string(s.how);
}

} // namespace model

#endif
