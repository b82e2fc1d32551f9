// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_TICKET_HPP
#define LOOPSAFE_POOL_DETAIL_TICKET_HPP

#include <loopsafe/async/detail/timer.hpp>
#include <loopsafe/context/pin.hpp>
#include <loopsafe/pool/detail/state.hpp>

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

// One acquire in progress: what it holds is given back if it ends without a lease.
template <class Connector, class Policy>
class pool_state<Connector, Policy>::ticket {
public:
    explicit ticket(shelf& s) noexcept : shelf_(&s) {}
    ticket(ticket&& other) noexcept
        : shelf_(std::exchange(other.shelf_, nullptr)),
          slot_(std::exchange(other.slot_, nullptr)),
          permit_(std::exchange(other.permit_, false)),
          clean_(other.clean_)
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
            const both_locks lock(*shelf_);
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
class pool_state<Connector, Policy>::visit {
public:
    explicit visit(pool_state& of) noexcept : pool_(of)
    {
        const lock_guard lock(pool_.mutex_);
        ++pool_.visits_;
    }
    visit(const visit&) = delete;
    ~visit()
    {
        unique_lock lock(pool_.mutex_);
        --pool_.visits_;
        const bool free = pool_.is_free();
        lock.unlock();
        if (free)
            delete &pool_;
    }

private:
    pool_state& pool_;
};

// Waiting is a timer, which a grant cancels, under the lock.
template <class Connector, class Policy>
struct pool_state<Connector, Policy>::waiter : pool_waiter {
    waiter(ticket& t, const asio::any_io_executor& executor) : waiter(t.at(), executor)
    {
        ticket_ = &t;
    }

    waiter(shelf& s, const asio::any_io_executor& executor)
        : timer(executor), context(context_of(executor))
    {
        at = &s;
        if (context == s.home) {
            wake = [](pool_waiter& w) noexcept { cancel_quietly(static_cast<waiter&>(w).timer); };
        } else { // the shelf is not notified when this context dies
            residents::of(executor);
            wake = [](pool_waiter& w) noexcept {
                auto& self = static_cast<waiter&>(w);
                const context_pin pin(self.context);
                if (pin.may_touch())
                    cancel_quietly(self.timer);
            };
        }
    }

    waiter(const waiter&) = delete;

    ~waiter()
    {
        auto& home = *static_cast<shelf*>(at);
        auto& pool = home.pool;
        const both_locks lock(home);
        if (st == status::queued || st == status::granted) {
            if (ticket_ != nullptr)
                ticket_->accept(pool.core_.consume(*this));
            else
                pool.core_.consume_drained(*this);
        }
    }

    void expires_after(std::chrono::milliseconds limit) { expire_after(timer, limit); }

    void expire_now() { timer.expires_at(clock::timer::time_point::min()); }

    typename clock::timer timer;
    const context_ref context;
    ticket* ticket_ = nullptr;
};

} // namespace loopsafe::detail

#endif
