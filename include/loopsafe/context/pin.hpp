// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_PIN_HPP
#define LOOPSAFE_CONTEXT_PIN_HPP

#include <loopsafe/context/ref.hpp>

#include <memory>

namespace loopsafe {

/// Keeps a context alive while a thread that does not run it touches its objects.
///
/// Take a pin before you close or destroy an object of a context anywhere but on that context. The
/// context's destructor waits for the pins of other threads, so hold one only during calls that do
/// not block. It does not wait for those of its own thread: what is destroyed under a pin may be
/// the last owner of the context.
class context_pin {
public:
    explicit context_pin(const context_ref& home) noexcept
        : state_(detail::context_access::state(home)),
          pinned_(state_ != nullptr && state_->pin(pin_))
    {
    }
    context_pin(const context_pin&) = delete;
    context_pin& operator=(const context_pin&) = delete;
    ~context_pin()
    {
        if (pinned_)
            state_->unpin(pin_);
    }

    /// Whether the context's objects may be touched now: the context is pinned alive, or this
    /// thread is destroying it and its frames are being unwound.
    bool may_touch() const noexcept
    {
        return pinned_ || (state_ != nullptr && state_->unwinding_here());
    }

private:
    const std::shared_ptr<detail::context_state> state_; // outlives a context that ends at unpin()
    detail::context_state::thread_pin pin_;
    const bool pinned_;
};

} // namespace loopsafe

#endif
