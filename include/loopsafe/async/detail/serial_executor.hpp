// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_SERIAL_EXECUTOR_HPP
#define LOOPSAFE_ASYNC_DETAIL_SERIAL_EXECUTOR_HPP

#include <loopsafe/detail/thread_mark.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

namespace loopsafe::detail {

namespace asio = boost::asio;

// What another thread wants to be done between two steps of a gate.
class gate_errand {
public:
    virtual void run() noexcept = 0; // in the gate

protected:
    gate_errand() = default;
    ~gate_errand() = default;

private:
    friend class serial_gate;

    std::atomic<bool> queued_{false};
    std::shared_ptr<gate_errand> kept_; // while it is queued
    gate_errand* next_ = nullptr;
};

// Runs one step at a time: those of one coroutine, and those of anything that cancels it from
// elsewhere. Unlike a strand it has no queue, so no step is lost when memory runs out.
class serial_gate {
public:
    explicit serial_gate(asio::any_io_executor inner) noexcept : inner_(std::move(inner)) {}

    const asio::any_io_executor& inner() const noexcept { return inner_; }

    template <class Step>
    void pass(Step&& step)
    {
        if (is_mine()) {
            std::forward<Step>(step)();
            return;
        }
        mutex_.lock();
        owner_.store(this_thread(), std::memory_order_relaxed);
        const leaving at_the_end{*this};
        std::forward<Step>(step)();
    }

    // Never waits for a step: that may be the user's code, which may take long, or wait for this
    // very thread. Whoever is in the gate then does it on leaving.
    void run_between_steps(std::shared_ptr<gate_errand> what) noexcept
    {
        auto& errand = *what;
        if (is_mine()) {
            errand.run();
            return;
        }
        if (!errand.queued_.exchange(true)) {
            errand.kept_ = std::move(what);
            errand.next_ = errands_.load();
            while (!errands_.compare_exchange_weak(errand.next_, &errand)) {}
        }
        run_errands();
    }

    // The last step ends here, although what it resumes may run on for long.
    void leave() noexcept
    {
        if (is_mine()) {
            owner_.store(thread_mark(), std::memory_order_relaxed);
            mutex_.unlock();
            run_errands();
        }
    }

    bool is_mine() const noexcept
    {
        return owner_.load(std::memory_order_relaxed) == this_thread();
    }

private:
    struct leaving {
        serial_gate& gate;
        ~leaving() { gate.leave(); }
    };

    void run_errands() noexcept
    {
        while (has_errands() && mutex_.try_lock()) {
            owner_.store(this_thread(), std::memory_order_relaxed);
            for (auto* next = errands_.exchange(nullptr); next != nullptr;) {
                const auto errand = std::move(next->kept_);
                next = next->next_;
                errand->queued_ = false;
                errand->run();
            }
            owner_.store(thread_mark(), std::memory_order_relaxed);
            mutex_.unlock();
        }
    }

    // Writes, so that of one who leaves and one who finds the gate taken one sees the other.
    bool has_errands() noexcept
    {
        gate_errand* none = nullptr;
        return !errands_.compare_exchange_strong(none, nullptr);
    }

    const asio::any_io_executor inner_;
    std::mutex mutex_;
    std::atomic<thread_mark> owner_{};
    std::atomic<gate_errand*> errands_{nullptr};
};

// Small enough for an any_io_executor to store without allocating: Asio copies executors where an
// exception would terminate.
class serial_executor {
public:
    explicit serial_executor(std::shared_ptr<serial_gate> gate) noexcept : gate_(std::move(gate)) {}

    asio::execution_context& query(asio::execution::context_t) const noexcept
    {
        return asio::query(gate_->inner(), asio::execution::context);
    }

    serial_executor require(asio::execution::blocking_t::never_t) const noexcept
    {
        return serial_executor(gate_, true);
    }
    serial_executor require(asio::execution::blocking_t::possibly_t) const noexcept
    {
        return serial_executor(gate_, false);
    }

    // At once by whoever is in the gate, although he may be outside of the context: what Asio
    // dispatches for a cancellation refers to something that the next step may destroy.
    template <class Step>
    void execute(Step&& step) const
    {
        if (!never_blocks_ && gate_->is_mine()) {
            auto now = std::forward<Step>(step);
            std::move(now)();
            return;
        }
        auto guarded = [gate = gate_, s = std::forward<Step>(step)]() mutable {
            gate->pass(std::move(s));
        };
        if (never_blocks_)
            asio::require(gate_->inner(), asio::execution::blocking.never)
                .execute(std::move(guarded));
        else
            gate_->inner().execute(std::move(guarded));
    }

    friend bool operator==(const serial_executor&, const serial_executor&) noexcept = default;

    const std::shared_ptr<serial_gate>& gate() const noexcept { return gate_; }

private:
    serial_executor(std::shared_ptr<serial_gate> gate, bool never_blocks) noexcept
        : gate_(std::move(gate)), never_blocks_(never_blocks)
    {
    }

    std::shared_ptr<serial_gate> gate_;
    bool never_blocks_ = false;
};

static_assert(sizeof(serial_executor) <= sizeof(std::shared_ptr<void>) + sizeof(void*));

} // namespace loopsafe::detail

#endif
