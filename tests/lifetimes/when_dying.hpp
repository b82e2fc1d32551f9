// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LIFETIMES_WHEN_DYING_HPP
#define LOOPSAFE_TESTS_LIFETIMES_WHEN_DYING_HPP

#include <loopsafe/context/residents.hpp>

#include <boost/asio/io_context.hpp>

#include <utility>

namespace lifetimes {

/// Runs `f` when its context dies, before the context's coroutine frames are destroyed. What was
/// attached to the context before it is told first.
template <class F>
class when_dying : public loopsafe::resident {
public:
    when_dying(boost::asio::io_context& context, F f) : f_(std::move(f))
    {
        loopsafe::residents::of(context.get_executor()).attach(*this);
    }
    void context_dying() noexcept override { f_(); }
    void frames_gone() noexcept override {}

private:
    F f_;
};

} // namespace lifetimes

#endif
