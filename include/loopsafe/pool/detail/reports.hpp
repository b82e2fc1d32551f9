// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_REPORTS_HPP
#define LOOPSAFE_POOL_DETAIL_REPORTS_HPP

#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/detail/share_new.hpp>
#include <loopsafe/pool/detail/state.hpp>
#include <loopsafe/pool/detail/ticket.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

// What a pool reports: errors, events, figures.
namespace loopsafe::detail {

// Only the text: the exception itself belongs to the code that catches it, perhaps on another
// thread.
inline std::shared_ptr<const std::string> text_of(const std::exception_ptr& error)
{
    if (error == nullptr)
        return nullptr;
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        std::string_view text = e.what();
        const auto place = text.rfind("\n  used:"); // of the one caller who was told
        return share_new<const std::string>(text.substr(0, place));
    } catch (...) {
        return share_new<const std::string>("not a std::exception");
    }
}

inline const char* advice_for(errc code) noexcept
{
    switch (code) {
    case errc::acquire_timeout:
        return "end leases sooner, or raise max_size or acquire_timeout; a coroutine that acquires "
               "a second lease while it holds one needs room for both";
    case errc::connect_timeout:
        return "see whether the server can be reached, or raise connect_timeout";
    case errc::queue_full: return "raise max_waiting or max_size, or begin less at the same time";
    case errc::close_timeout: return "end the leases above first, or allow more time";
    default: return "";
    }
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::fail(errc code, const char* operation,
                                         const std::source_location& where)
{
    pool_report report;
    report.code = code;
    report.pool = name_;
    report.max_size = options_.max_size;
    report.max_waiting = options_.max_waiting;
    report.operation = operation;
    report.used = where;
    report.holders = holders(8);
    report.stats = stats();
    std::shared_ptr<const std::string> last;
    {
        const lock_guard lock(mutex_);
        last = last_connect_error_;
    }
    if (last != nullptr)
        report.last_connect_error = *last;
    report.advice = advice_for(code);
    throw pool_error(std::move(report));
}

// For an operation that begins when its pool is gone.
inline std::exception_ptr pool_is_gone(const char* operation, const std::source_location& where,
                                       std::string name = {})
{
    pool_report report;
    report.code = errc::pool_closed;
    report.pool = std::move(name);
    report.operation = operation;
    report.used = where;
    report.advice = "it was destroyed or moved from before this began: keep it until its callers "
                    "have ended, and use the object that it was moved to";
    return std::make_exception_ptr(pool_error(std::move(report)));
}

template <class Connector, class Policy>
std::string pool_state<Connector, Policy>::resource() const
{
    return pool_title(name_);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::refuse(const asio::any_io_executor& executor,
                                           const char* operation, const std::source_location& where)
{
    auto report = refusal(home_, executor, resource(), operation, where, Policy::advice);
    {
        const lock_guard lock(mutex_);
        core_.count_refusal();
    }
    emit({.what = pool_event::kind::refused, .pool = name_});
    throw context_error(std::move(report));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::tell_closed(close_reason why) noexcept
{
    emit({.what = pool_event::kind::closed, .reason = why, .pool = name_});
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::tell_returned(const slot& s) noexcept
{
    if (!on_event_)
        return;
    {
        const lock_guard lock(mutex_);
        if (s.state != slot_state::leased || shelf_of(s).dead)
            return;
    }
    emit({.what = pool_event::kind::returned,
          .pool = name_,
          .took = std::max(clock::cheap() - s.taken_at, std::chrono::nanoseconds::zero())});
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::throw_expired(const slot* s)
{
    context_report report;
    report.code = errc::lease_expired;
    report.operation = "dereference";
    report.advice = "acquire a lease in each context, and let it end there";
    if (s == nullptr) {
        report.resource = "empty lease";
    } else {
        report.resource = "lease of " + shelf_of(*s).pool.resource();
        report.home = shelf_of(*s).home.info();
        report.used = s->holder;
        report.operation = "dereference of the lease acquired";
    }
    throw context_error(std::move(report));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::emit(pool_event event) noexcept
{
    if (!on_event_)
        return;
    const visit until_it_returns(*this);
    try {
        on_event_(event);
    } catch (...) { // a hook cannot make a release fail
    }
}

template <class Connector, class Policy>
pool_stats pool_state<Connector, Policy>::stats()
{
    const lock_guard lock(mutex_);
    auto now = core_.stats();
    for (auto& each : core_.shelves()) {
        const lock_guard shelf_lock(static_cast<shelf&>(each).mutex);
        pool_core::add_to(now, each);
    }
    if constexpr (carries)
        parking_.add_to(now);
    return now;
}

template <class Connector, class Policy>
std::vector<lease_holder> pool_state<Connector, Policy>::holders(std::size_t most)
{
    std::vector<lease_holder> found;
    const auto room = stats().leased;
    found.reserve(room); // so that nothing allocates under the lock
    const auto now = core_.needs_clock() ? clock::cheap() : std::chrono::nanoseconds::zero();
    {
        const lock_guard lock(mutex_);
        for (auto& s : core_.shelves()) {
            const auto number = static_cast<const shelf&>(s).home.id().number();
            const lock_guard shelf_lock(static_cast<shelf&>(s).mutex);
            for (const auto& each : s.slots) {
                if (each.state == slot_state::leased && !each.lease_gone && found.size() != room)
                    found.push_back({each.holder,
                                     std::chrono::duration_cast<std::chrono::milliseconds>(
                                         std::max(now - each.taken_at, {})),
                                     number});
            }
        }
    }
    const auto longer = [](const lease_holder& a, const lease_holder& b) {
        return a.held_for > b.held_for;
    };
    std::make_heap(found.begin(), found.end(), longer); // std::sort takes longer to compile
    std::sort_heap(found.begin(), found.end(), longer);
    if (found.size() > most)
        found.erase(found.begin() + static_cast<std::ptrdiff_t>(most), found.end());
    return found;
}

} // namespace loopsafe::detail

#endif
