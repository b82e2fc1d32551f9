// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_EXISTING_HANDLER_HPP
#define LOOPSAFE_ASYNC_DETAIL_EXISTING_HANDLER_HPP

#include <boost/asio/cancellation_signal.hpp>

#include <memory>
#include <utility>

namespace loopsafe::detail {

// A part of a completion handler of co_spawn: says whether its coroutine exists, which may be
// destroyed without completing, and lets it be cancelled. The state has `exists` and
// `cancellation`.
template <class State>
class existing_handler {
public:
    using cancellation_slot_type = boost::asio::cancellation_slot;

    explicit existing_handler(std::shared_ptr<State> state) noexcept : state_(std::move(state))
    {
        state_->exists = true;
    }
    existing_handler(existing_handler&&) noexcept = default;
    existing_handler& operator=(existing_handler&&) = delete;
    ~existing_handler()
    {
        if (state_ != nullptr)
            state_->exists = false;
    }

    cancellation_slot_type get_cancellation_slot() const noexcept
    {
        return state_->cancellation.slot();
    }

protected:
    State& state() const noexcept { return *state_; }

private:
    std::shared_ptr<State> state_;
};

} // namespace loopsafe::detail

#endif
