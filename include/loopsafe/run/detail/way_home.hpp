// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_WAY_HOME_HPP
#define LOOPSAFE_RUN_DETAIL_WAY_HOME_HPP

#include <loopsafe/async/detail/asking.hpp>
#include <loopsafe/async/detail/completion.hpp>
#include <loopsafe/context/bound.hpp>
#include <loopsafe/context/detail/without_strand.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <utility>

namespace loopsafe::detail {

namespace asio = boost::asio;

// Where to go. An executor may be a strand, which must not outlive its context.
class way_home {
public:
    explicit way_home(context_ref home) noexcept : home_(std::move(home)), is_any_(true) {}

    // Precondition: the executor has a context, which is alive.
    // is_any: somebody who runs on another of its executors is there as well.
    explicit way_home(const asio::any_io_executor& executor, bool is_any = false)
        : home_(context_of(executor)), is_any_(is_any)
    {
        residents::of(executor); // which knows that of the context itself
        if (!is_plain(untracked(executor)))
            own_ = context_bound<asio::any_io_executor>(executor, untracked(executor));
    }

    // For another journey.
    way_home again() const
    {
        way_home another(home_);
        another.is_any_ = is_any_;
        const context_pin pin(home_);
        if (own_ && pin.may_touch() && home_.alive()) {
            const auto executor = executor_at_home();
            another.own_ = context_bound<asio::any_io_executor>(executor, executor);
        }
        return another;
    }

    const context_ref& home() const noexcept { return home_; }

    // Whether somebody who runs on this executor is there already.
    bool is_here(const asio::any_io_executor& executor) const
    {
        const auto* const asking = asking_context(executor);
        if (asking == nullptr || !home_.is(*asking))
            return false;
        return is_any_ || executor_at_home() == untracked(executor);
    }

    // Precondition: the caller is at home, or has it pinned.
    asio::any_io_executor executor_at_home() const
    {
        if (own_)
            return *value_if_alive(own_);
        return asio::use_service<residents>(*context_access::state(home_)->address).get_executor();
    }

    // False, and the handler is dropped, where the home is gone. It is pinned only while this
    // posts.
    template <class Handler>
    bool post(Handler&& handler) const
    {
        const context_pin pin(home_);
        if (!pin.may_touch() || !home_.alive())
            return false;
        const auto executor = executor_at_home();
        if (!executor)
            throw context_error({.code = errc::no_context,
                                 .resource = "on_home",
                                 .home = home_.info(),
                                 .asked = {},
                                 .operation = "going home",
                                 .used = {},
                                 .advice = "nothing of loopsafe has lived on that context, so none "
                                           "of its executors is known: pass one of them instead"});
        post_to(executor, std::forward<Handler>(handler));
        return true;
    }

private:
    context_ref home_;
    context_bound<asio::any_io_executor> own_; // empty: one of the context
    bool is_any_ = false;
};

inline bool is_here(const context_ref& home, const asio::any_io_executor& executor) noexcept
{
    const auto* const asking = asking_context(executor);
    return asking != nullptr && home.is(*asking);
}
inline bool is_here(const way_home& to, const asio::any_io_executor& executor)
{
    return to.is_here(executor);
}

} // namespace loopsafe::detail

#endif
