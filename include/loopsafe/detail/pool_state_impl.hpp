// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_POOL_STATE_IMPL_HPP
#define LOOPSAFE_DETAIL_POOL_STATE_IMPL_HPP

namespace loopsafe::detail {

// Keeps a shelf, and so its pool, alive.
template <class Connector, class Policy>
class pool_state<Connector, Policy>::hold {
public:
    explicit hold(shelf& s) noexcept : shelf_(&s) {}
    hold(hold&& other) noexcept : shelf_(std::exchange(other.shelf_, nullptr)) {}
    hold& operator=(hold&&) = delete;
    ~hold()
    {
        if (shelf_ != nullptr)
            shelf_->pool.drop(*shelf_);
    }

    shelf& at() const noexcept { return *shelf_; }

private:
    shelf* shelf_;
};

// One acquire under way: what it holds goes back when it ends without a lease.
template <class Connector, class Policy>
class pool_state<Connector, Policy>::ticket {
public:
    explicit ticket(shelf& s) noexcept : shelf_(&s) {}
    ticket(ticket&& other) noexcept
        : shelf_(std::exchange(other.shelf_, nullptr)), slot_(std::exchange(other.slot_, nullptr)),
          permit_(std::exchange(other.permit_, false)), clean_(other.clean_)
    {
    }
    ticket& operator=(ticket&&) = delete;

    ~ticket()
    {
        if (shelf_ == nullptr)
            return;
        auto& pool = shelf_->pool;
        if (slot_ != nullptr && slot_->connection) {
            pool.finish(*slot_, clean_, close_reason::dirty);
            return;
        }
        if (permit_) {
            const lock_guard lock(pool.mutex_);
            if (slot_ != nullptr)
                pool.core_.not_connected(*slot_);
            pool.core_.return_permit(*shelf_);
        }
        delete slot_;
        pool.leave(*shelf_);
    }

    shelf& at() const noexcept { return *shelf_; }
    bool granted() const noexcept { return permit_; }
    slot* connection_slot() const noexcept { return slot_; }
    void dirty() noexcept { clean_ = false; }

    void accept(const pool_grant& grant) noexcept
    {
        if (grant) {
            slot_ = static_cast<slot*>(grant.slot);
            permit_ = true;
        }
    }

    void accept(slot* fresh) noexcept { slot_ = fresh; }

    slot* turn_into_lease() noexcept
    {
        shelf_ = nullptr;
        return std::exchange(slot_, nullptr);
    }

private:
    shelf* shelf_;
    slot* slot_ = nullptr;
    bool permit_ = false;
    bool clean_ = true;
};

template <class Connector, class Policy>
struct pool_state<Connector, Policy>::waiter : pool_waiter {
    waiter(ticket& t, const asio::any_io_executor& executor)
        : waiter(t.at(), executor)
    {
        ticket_ = &t;
    }

    waiter(shelf& s, const asio::any_io_executor& executor) : timer(executor)
    {
        at = &s;
        wake = [](pool_waiter& w) noexcept {
            try {
                static_cast<waiter&>(w).timer.cancel();
            } catch (...) { // declared, though never thrown by Asio's reactors
            }
        };
    }

    waiter(const waiter&) = delete;

    ~waiter()
    {
        auto& pool = static_cast<shelf*>(at)->pool;
        const lock_guard lock(pool.mutex_);
        if (st == status::queued || st == status::granted) {
            if (ticket_ != nullptr)
                ticket_->accept(pool.core_.consume(*this));
            else
                pool.core_.consume_drained(*this);
        }
    }

    void expires_after(std::chrono::milliseconds limit)
    {
        if (limit == never)
            timer.expires_at(clock::timer::time_point::max());
        else
            timer.expires_after(limit);
    }

    void expire_now() { timer.expires_at(clock::timer::time_point::min()); }

    typename clock::timer timer;
    ticket* ticket_ = nullptr;
};

template <class Connector, class Policy>
std::string pool_state<Connector, Policy>::resource() const
{
    return options_.name.empty() ? "connection pool" : "connection pool \"" + options_.name + '"';
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::settle(const located_executor& home)
{
    home_ = context_of(home.executor, home.where);
    if (!home_)
        throw context_error(refusal({}, home.executor, resource(), "construction", home.where,
                                    "give the pool an io_context or its executor"));
    auto fresh = std::make_unique<shelf>(*this, home_, residents::of(home.executor));
    fresh->executor = home.executor;
    home_state_ = context_access::state(home_).get();
    const lock_guard lock(mutex_);
    home_shelf_ = &add_shelf(std::move(fresh));
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::find_shelf(const asio::execution_context* context) noexcept
    -> shelf*
{
    if constexpr (Policy::has_home) {
        return context != nullptr && home_state_->is(context) ? home_shelf_ : nullptr;
    } else {
        const auto found = by_context_.find(context);
        return found == by_context_.end() ? nullptr : found->second;
    }
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::add_shelf(std::unique_ptr<shelf> fresh) -> shelf&
{
    if constexpr (!Policy::has_home)
        by_context_.emplace(context_access::state(fresh->home)->address, fresh.get());
    core_.add(*fresh);
    fresh->registry.attach(*fresh);
    return *fresh.release();
}

template <class Connector, class Policy>
template <class Use>
auto pool_state<Connector, Policy>::use_shelf(const asio::any_io_executor& executor,
                                              const char* operation,
                                              const std::source_location& where, Use use) -> shelf&
{
    const auto* context = named_context(executor);
    if (context != nullptr) {
        const lock_guard lock(mutex_);
        sync_forks();
        if (auto* s = find_shelf(context)) {
            use(*s);
            return *s;
        }
    }
    if (context == nullptr || Policy::has_home)
        refuse(executor, operation, where);
    const auto asking = context_of(executor, where);
    if (!asking.alive()) {
        throw context_error({.code = errc::context_closed,
                             .resource = resource(),
                             .home = asking.info(),
                             .asked = asking.info(),
                             .operation = operation,
                             .used = where,
                             .advice = "do not acquire while the context is being destroyed"});
    }
    auto fresh = std::make_unique<shelf>(*this, asking, residents::of(executor));
    const lock_guard lock(mutex_);
    auto* s = find_shelf(context);
    if (s == nullptr)
        s = &add_shelf(std::move(fresh));
    use(*s);
    return *s;
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::enter(const asio::any_io_executor& executor,
                                          const char* operation, const std::source_location& where)
    -> ticket
{
    return ticket(use_shelf(executor, operation, where,
                            [this](shelf& s) noexcept { core_.enter(s); }));
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::retain(const asio::any_io_executor& executor,
                                           const char* operation, const std::source_location& where)
    -> hold
{
    return hold(use_shelf(executor, operation, where,
                          [this](shelf& s) noexcept { core_.retain(s); }));
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
    emit({.what = pool_event::kind::refused, .pool = options_.name});
    throw context_error(std::move(report));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::fail(errc code, const char* operation,
                                         const std::source_location& where)
{
    pool_report report;
    report.code = code;
    report.pool = options_.name;
    report.max_size = options_.max_size;
    report.operation = operation;
    report.used = where;
    report.holders = holders(8);
    std::exception_ptr last;
    {
        const lock_guard lock(mutex_);
        report.stats = core_.stats();
        last = last_connect_error_;
    }
    if (last != nullptr) {
        try {
            std::rethrow_exception(last);
        } catch (const std::exception& e) {
            report.last_connect_error = e.what();
        } catch (...) {
            report.last_connect_error = "not a std::exception";
        }
    }
    throw pool_error(std::move(report));
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::take_fresh(const asio::any_io_executor& executor,
                                               const std::source_location& where) noexcept -> slot*
{
    if constexpr (!Policy::keeps_idle) {
        return nullptr;
    } else {
        const auto* context = queried_context(executor);
        const auto now = core_.needs_clock() ? clock::cheap() : std::chrono::nanoseconds::zero();
        const lock_guard lock(mutex_);
        sync_forks();
        auto* s = find_shelf(context);
        if (s == nullptr)
            return nullptr;
        if constexpr (can_reset<Connector>) {
            if (s->idle.empty() ||
                connector_.needs_reset(*static_cast<slot&>(s->idle.back()).connection))
                return nullptr;
        }
        return static_cast<slot*>(core_.take_fresh(*s, now, where));
    }
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::acquire(ticket t, asio::any_io_executor executor,
                                            std::optional<std::chrono::milliseconds> timeout,
                                            std::source_location where)
    -> asio::awaitable<lease_type>
{
    bool closed = false;
    {
        const lock_guard lock(mutex_);
        closed = core_.closed();
        t.accept(core_.try_acquire(t.at()));
    }
    if (closed)
        fail(errc::pool_closed, "acquire", where);
    if (!t.granted())
        co_await wait_for_turn(t, executor, timeout, where);
    co_await make_ready(t, executor, where);
    const lock_guard lock(mutex_);
    core_.leased(*t.connection_slot(), where);
    co_return lease_type(t.turn_into_lease());
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::wait_for_turn(ticket& t, asio::any_io_executor executor,
                                                  std::optional<std::chrono::milliseconds> timeout,
                                                  std::source_location where)
    -> asio::awaitable<void>
{
    waiter w(t, executor);
    w.expires_after(timeout.value_or(options_.acquire_timeout));
    bool full = false;
    const auto begin = [&](auto handler) {
        const lock_guard lock(mutex_);
        t.accept(core_.try_acquire(t.at()));
        full = !t.granted() && !core_.closed() && core_.queue_is_full(t.at());
        const bool queue = !t.granted() && !core_.closed() && !full;
        if (!queue)
            w.expire_now();
        w.timer.async_wait(std::move(handler));
        if (queue)
            core_.wait(w);
    };
    const auto [ec] =
        co_await asio::async_initiate<const asio::as_tuple_t<asio::use_awaitable_t<>>,
                                      void(error_code)>(begin, asio::as_tuple(asio::use_awaitable));
    bool closed = false;
    {
        const lock_guard lock(mutex_);
        if (!t.granted()) {
            t.accept(core_.consume(w));
            closed = core_.closed();
        }
        if (full)
            core_.count_queue_full();
        else if (!t.granted() && !closed && !ec)
            core_.count_acquire_timeout();
    }
    if (t.granted())
        co_return;
    if (closed)
        fail(errc::pool_closed, "acquire", where);
    if (full)
        fail(errc::queue_full, "acquire", where);
    if (ec)
        throw boost::system::system_error(ec, "acquire");
    emit({.what = pool_event::kind::acquire_timed_out, .pool = options_.name});
    fail(errc::acquire_timeout, "acquire", where);
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::connect_into(slot& s, asio::any_io_executor executor)
    -> asio::awaitable<void>
{
    s.connection.emplace(co_await connector_.connect(std::move(executor)));
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::make_ready(ticket& t, asio::any_io_executor executor,
                                               std::source_location where) -> asio::awaitable<void>
{
    using timer = typename clock::timer;
    const auto now = read_clock();
    close_expired(t.at(), now);
    if (t.connection_slot() == nullptr) {
        auto fresh = std::make_unique<slot>(t.at());
        const lock_guard lock(mutex_);
        core_.connecting(*fresh);
        t.accept(fresh.release());
    }
    slot& s = *t.connection_slot();
    if (s.connection) {
        pool_core::judgement found;
        {
            const lock_guard lock(mutex_);
            found = core_.judge(s, now);
        }
        if (found.what == pool_core::verdict::probe && !connector_.probe(*s.connection))
            found = {pool_core::verdict::close, close_reason::probe_failed};
        if constexpr (can_reset<Connector>) {
            if (found.what != pool_core::verdict::close && connector_.needs_reset(*s.connection)) {
                t.dirty();
                bool good = false;
                try {
                    good = co_await finishes_within<timer>(executor, options_.connect_timeout,
                                                           connector_.reset(*s.connection));
                } catch (...) { // whatever it was, a new connection is the cure
                }
                const asio::cancellation_state state =
                    co_await asio::this_coro::cancellation_state;
                if (state.cancelled() != asio::cancellation_type::none)
                    throw boost::system::system_error(asio::error::operation_aborted, "acquire");
                if (!good)
                    found = {pool_core::verdict::close, close_reason::reset_failed};
            }
        }
        if (found.what != pool_core::verdict::close)
            co_return;
        {
            const lock_guard lock(mutex_);
            core_.lost(found.why);
        }
        destroy_connection(s, found.why);
    }
    std::exception_ptr error;
    bool in_time = false;
    try {
        in_time = co_await finishes_within<timer>(executor, options_.connect_timeout,
                                                  connect_into(s, executor));
    } catch (...) {
        error = std::current_exception();
    }
    if (error == nullptr && in_time) {
        const auto born = read_clock();
        {
            const lock_guard lock(mutex_);
            core_.connected(s, born, options_jitter());
        }
        emit({.what = pool_event::kind::connected, .pool = options_.name});
        co_return;
    }
    auto previous = error;
    {
        const lock_guard lock(mutex_);
        core_.connect_failed();
        if (error != nullptr)
            std::swap(last_connect_error_, previous);
    }
    emit({.what = pool_event::kind::connect_failed, .pool = options_.name, .error = error});
    if (error != nullptr)
        std::rethrow_exception(error);
    fail(errc::connect_timeout, "acquire", where);
}

template <class Connector, class Policy>
double pool_state<Connector, Policy>::options_jitter() noexcept
{
    if constexpr (requires { options_.lifetime_jitter; }) {
        const auto span = static_cast<double>(jitter_.max() - jitter_.min());
        return options_.lifetime_jitter * static_cast<double>(jitter_() - jitter_.min()) / span;
    } else {
        return 0.0;
    }
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::give_back(slot& s, bool keep) noexcept
{
    // A lease that ends in unwinding may have stopped in mid-message.
    const bool unwinding = std::uncaught_exceptions() > 0;
    shelf_of(s).pool.finish(s, keep && !unwinding,
                            keep ? close_reason::dirty : close_reason::discarded);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::finish(slot& s, bool clean, close_reason otherwise) noexcept
{
    auto& home = shelf_of(s);
    const auto context_has_it = [&](unique_lock& lock) noexcept {
        if (s.state == slot_state::expiring) {
            s.lease_gone = true;
            return true;
        }
        if (s.state == slot_state::expired) {
            end_with(lock, home, core_.leave(home));
            delete &s;
            return true;
        }
        return false;
    };
    {
        unique_lock lock(mutex_);
        sync_forks();
        if (context_has_it(lock))
            return;
        if (clean && connector_.is_clean(std::as_const(*s.connection))) {
            if (core_.keep(s)) {
                end_with(lock, home, core_.leave(home));
                return;
            }
            otherwise = close_reason::not_kept;
        }
    }
    const context_pin pin(home.home);
    {
        unique_lock lock(mutex_);
        if (context_has_it(lock))
            return;
        if (!pin.may_touch()) { // the context dies on another thread, which will find it
            s.lease_gone = true;
            return;
        }
        otherwise = core_.begin_close(s, otherwise);
    }
    destroy_connection(s, otherwise);
    delete &s;
    unique_lock lock(mutex_);
    core_.return_permit(home);
    end_with(lock, home, core_.leave(home));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::destroy_connection(slot& s, close_reason why) noexcept
{
    if constexpr (can_abandon<Connector>) {
        if (why == close_reason::forked)
            connector_.abandon(*s.connection);
    }
    s.connection.reset();
    if (why != close_reason::context_died)
        emit({.what = pool_event::kind::closed, .reason = why, .pool = options_.name});
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::destroy_all(intrusive_list<pool_slot>& evicted, shelf& s,
                                                close_reason why) noexcept
{
    std::size_t count = 0;
    while (auto* slot_base = evicted.pop_front()) {
        auto* evicted_slot = static_cast<slot*>(slot_base);
        destroy_connection(*evicted_slot,
                           inherited(*evicted_slot) ? close_reason::forked : why);
        delete evicted_slot;
        ++count;
    }
    const lock_guard lock(mutex_);
    core_.evicted_destroyed(s, count);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::close_expired(shelf& s, const clock_reading& now) noexcept
{
    for (;;) {
        slot* old = nullptr;
        close_reason why{};
        {
            const lock_guard lock(mutex_);
            old = static_cast<slot*>(core_.expired_idle(s, now, why));
        }
        if (old == nullptr)
            return;
        destroy_connection(*old, why);
        delete old;
        const lock_guard lock(mutex_);
        core_.return_permit(s);
    }
}

template <class Connector, class Policy>
bool pool_state<Connector, Policy>::usable(const slot& s) noexcept
{
    const auto& state = *context_access::state(shelf_of(s).home);
    return state.alive() || (state.unwinding_here() && s.connection.has_value());
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
        report.operation = "dereference of what was acquired";
    }
    throw context_error(std::move(report));
}

// Contexts die.

template <class Connector, class Policy>
void pool_state<Connector, Policy>::on_context_dying(shelf& s) noexcept
{
    intrusive_list<pool_slot> evicted;
    asio::any_io_executor executor;
    {
        const lock_guard lock(mutex_);
        sync_forks();
        if constexpr (!Policy::has_home)
            by_context_.erase(context_access::state(s.home)->address);
        core_.context_died(s, evicted);
        executor.swap(s.executor);
    }
    destroy_all(evicted, s, close_reason::context_died);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::on_frames_gone(shelf& s) noexcept
{
    for (;;) {
        slot* left = nullptr;
        {
            const lock_guard lock(mutex_);
            left = static_cast<slot*>(core_.next_leftover(s));
        }
        if (left == nullptr)
            break;
        destroy_connection(*left, inherited(*left) ? close_reason::forked
                                                         : close_reason::context_died);
        unique_lock lock(mutex_);
        const bool lease_gone = core_.leftover_destroyed(*left);
        core_.return_permit(s);
        if (lease_gone) {
            core_.leave(s); // not the last reference: the context still has one
            lock.unlock();
            delete left;
        }
    }
    drop(s);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::leave(shelf& s) noexcept
{
    unique_lock lock(mutex_);
    end_with(lock, s, core_.leave(s));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::drop(shelf& s) noexcept
{
    unique_lock lock(mutex_);
    end_with(lock, s, core_.drop(s));
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::end_with(unique_lock& lock, shelf& s,
                                             bool shelf_is_free) noexcept
{
    if (!shelf_is_free) [[likely]]
        return;
    const bool pool_is_free = core_.unreferenced();
    lock.unlock();
    delete &s;
    if (pool_is_free)
        delete this;
}

// The whole pool.

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::next_to_close(bool leave_for_good) noexcept -> shelf*
{
    for (auto* base = core_.shelves().first(); base != nullptr; base = core_.shelves().next(*base)) {
        auto* s = static_cast<shelf*>(base);
        if ((leave_for_good ? s->attached : !s->idle.empty()) &&
            context_access::state(s->home)->pin())
            return s;
    }
    return nullptr;
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::close_idle(close_reason why, bool leave_for_good) noexcept
{
    for (;;) {
        intrusive_list<pool_slot> evicted;
        asio::any_io_executor executor;
        shelf* s = nullptr;
        {
            const lock_guard lock(mutex_);
            s = next_to_close(leave_for_good);
            if (s == nullptr)
                return;
            core_.retain(*s);
            core_.evict(*s, evicted, why);
            if (leave_for_good) {
                s->attached = false;
                executor.swap(s->executor);
                if constexpr (!Policy::has_home)
                    by_context_.erase(context_access::state(s->home)->address);
            }
        }
        destroy_all(evicted, *s, why);
        executor = {};
        if (leave_for_good)
            s->registry.detach(*s);
        const auto home = context_access::state(s->home);
        home->unpin();
        if (leave_for_good)
            drop(*s);
        drop(*s);
    }
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::close() noexcept
{
    {
        const lock_guard lock(mutex_);
        sync_forks();
        core_.close();
    }
    close_idle(close_reason::pool_closed, false);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::abandon_handle() noexcept
{
    close();
    close_idle(close_reason::pool_closed, true);
    unique_lock lock(mutex_);
    core_.handle_gone();
    const bool pool_is_free = core_.unreferenced();
    lock.unlock();
    if (pool_is_free)
        delete this;
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::invalidate() noexcept
{
    {
        const lock_guard lock(mutex_);
        sync_forks();
        core_.invalidate();
    }
    close_idle(close_reason::invalidated, false);
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::thaw() noexcept
{
    const lock_guard lock(mutex_);
    core_.thaw();
}

template <class Connector, class Policy>
auto pool_state<Connector, Policy>::drain(hold h, asio::any_io_executor executor,
                                          std::chrono::milliseconds limit,
                                          std::source_location where) -> asio::awaitable<void>
{
    close();
    waiter w(h.at(), executor);
    w.expires_after(limit);
    const auto begin = [&](auto handler) {
        const lock_guard lock(mutex_);
        const bool wait = !core_.drained();
        if (!wait)
            w.expire_now();
        w.timer.async_wait(std::move(handler));
        if (wait)
            core_.wait_until_drained(w);
    };
    const auto [ec] =
        co_await asio::async_initiate<const asio::as_tuple_t<asio::use_awaitable_t<>>,
                                      void(error_code)>(begin, asio::as_tuple(asio::use_awaitable));
    bool drained = false;
    {
        const lock_guard lock(mutex_);
        drained = core_.consume_drained(w) || core_.drained();
    }
    if (drained)
        co_return;
    if (ec)
        throw boost::system::system_error(ec, "async_close");
    fail(errc::close_timeout, "async_close", where);
}

template <class Connector, class Policy>
asio::any_io_executor
pool_state<Connector, Policy>::asking(asio::any_io_executor associated)
{
    if (named_context(associated) != nullptr)
        return associated;
    if constexpr (Policy::has_home) {
        const context_pin pin(home_state_);
        if (pin.may_touch()) {
            const lock_guard lock(mutex_);
            if (!home_shelf_->dead)
                return home_shelf_->executor;
        }
    }
    return {};
}

template <class Connector, class Policy>
pool_stats pool_state<Connector, Policy>::stats()
{
    const lock_guard lock(mutex_);
    return core_.stats();
}

template <class Connector, class Policy>
std::vector<lease_holder> pool_state<Connector, Policy>::holders(std::size_t most)
{
    std::vector<lease_holder> found;
    found.reserve(most); // so that nothing allocates under the lock
    const auto now = core_.needs_clock() ? clock::cheap() : std::chrono::nanoseconds::zero();
    const lock_guard lock(mutex_);
    for (auto* base = core_.shelves().first(); base != nullptr; base = core_.shelves().next(*base)) {
        auto& s = static_cast<shelf&>(*base);
        for (auto* used = s.used.first(); used != nullptr; used = s.used.next(*used)) {
            if (found.size() == most)
                return found;
            if (used->state == slot_state::leased && !used->lease_gone)
                found.push_back({used->holder,
                                 std::chrono::duration_cast<std::chrono::milliseconds>(
                                     std::max(now - used->taken_at, {})),
                                 s.home.id().number()});
        }
    }
    return found;
}

template <class Connector, class Policy>
clock_reading pool_state<Connector, Policy>::read_clock() noexcept
{
    if (!core_.needs_clock())
        return {};
    const auto now = clock::read();
    const lock_guard lock(mutex_);
    core_.note(now);
    return now;
}

template <class Connector, class Policy>
void pool_state<Connector, Policy>::emit(pool_event event) noexcept
{
    if (!options_.on_event)
        return;
    try {
        options_.on_event(event);
    } catch (...) { // an observer cannot make a release fail
    }
}

} // namespace loopsafe::detail

#endif
