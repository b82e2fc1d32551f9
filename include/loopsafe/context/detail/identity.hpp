// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_DETAIL_IDENTITY_HPP
#define LOOPSAFE_CONTEXT_DETAIL_IDENTITY_HPP

#include <loopsafe/context/detail/state.hpp>
#include <loopsafe/detail/share_new.hpp>

#include <boost/config.hpp>

#include <memory>

namespace loopsafe::detail {

// One per context. The state that it shares identifies the context for ever, and says if it is
// alive.
class BOOST_SYMBOL_VISIBLE identity : public asio::execution_context::service {
public:
    using key_type = identity;
    static inline asio::execution_context::id id;

    explicit identity(asio::execution_context& context)
        : service(context), state_(share_new<context_state>(context))
    {
    }

    // Boost 1.81 never shuts down a service that is first used while frames are being destroyed.
    ~identity() override
    {
        state_->die();
        state_->unwound();
    }

    const std::shared_ptr<context_state>& state() const noexcept { return state_; }

private:
    void shutdown() noexcept override { state_->die(); }

    std::shared_ptr<context_state> state_;
};

inline const std::shared_ptr<context_state>& state_of(asio::execution_context& context)
{
    return asio::use_service<identity>(context).state();
}

} // namespace loopsafe::detail

#endif
