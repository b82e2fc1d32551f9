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

    // The last step ends here, although what it resumes may run on for long.
    void leave() noexcept
    {
        if (is_mine()) {
            owner_.store(thread_mark(), std::memory_order_relaxed);
            mutex_.unlock();
        }
    }

private:
    struct leaving {
        serial_gate& gate;
        ~leaving() { gate.leave(); }
    };

    bool is_mine() const noexcept
    {
        return owner_.load(std::memory_order_relaxed) == this_thread();
    }

    const asio::any_io_executor inner_;
    std::mutex mutex_;
    std::atomic<thread_mark> owner_{};
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

    template <class Step>
    void execute(Step&& step) const
    {
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

// Without the gate, for what outlives the coroutine that passes through it.
inline asio::any_io_executor ungated(const asio::any_io_executor& executor)
{
    const auto* gated = executor.target<serial_executor>();
    return gated != nullptr ? gated->gate()->inner() : executor;
}

} // namespace loopsafe::detail

#endif
