// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_CONTEXT_RESIDENTS_HPP
#define LOOPSAFE_CONTEXT_RESIDENTS_HPP

#include <loopsafe/context/detail/without_strand.hpp>
#include <loopsafe/context/ref.hpp>
#include <loopsafe/detail/intrusive_list.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <mutex>
#include <utility>

namespace loopsafe {

/// An object that lives on a context and must be notified when that context dies.
///
/// The thread that destroys the context makes both calls, with no lock held. They must not throw,
/// and must not wait.
class resident : private detail::list_node {
public:
    /// The context is dying. Its coroutine frames still exist and may still refer to objects that
    /// are in use: destroy only what is idle.
    virtual void context_dying() noexcept = 0;

    /// The last frame is gone; every service of the context still exists. Destroy the rest of the
    /// context's objects. This is the last call: the resident may delete itself.
    virtual void frames_gone() noexcept = 0;

protected:
    resident() = default;
    ~resident() = default;

private:
    friend class residents;
    friend class detail::intrusive_list<resident>;
};

/// The residents of one context.
///
/// It is created after a timer of the same context, so that its hook runs before the reactor's:
/// while a thread holds a `context_pin`, all services of the context are alive.
/// Thread safety: safe, for callers that run on the context or hold a pin.
class BOOST_SYMBOL_VISIBLE residents : public boost::asio::execution_context::service {
public:
    using key_type = residents;
    static inline boost::asio::execution_context::id id;

    /// The residents of the context of `executor`.
    /// Preconditions: `executor` names a context that has not been destroyed.
    /// Exception safety: strong (the first call for a context allocates).
    template <detail::executor_type Executor>
    static residents& of(const Executor& executor);

    explicit residents(boost::asio::execution_context& context);
    inline ~residents() override;

    /// One of the context's executors: its own if that is known from those that `of()` was given,
    /// else the first of them.
    /// Preconditions: the caller runs on the context, or has it pinned.
    inline boost::asio::any_io_executor get_executor() const;

    void attach(resident& r) noexcept;
    bool detach(resident& r) noexcept; ///< false: the context has already made its last call

private:
    class last_service;

    inline void remember(const boost::asio::any_io_executor& seen);
    inline void shutdown() noexcept override;
    bool begin_dying() noexcept;
    void tell() noexcept;
    void sweep() noexcept;

    const std::shared_ptr<detail::context_state> state_;
    mutable std::mutex mutex_;
    boost::asio::any_io_executor executor_; // a strand must not outlive its context
    detail::intrusive_list<resident> attached_;
    detail::intrusive_list<resident> told_;
    bool has_plain_ = false; // an executor of the context itself
    bool dying_ = false;
    std::unique_ptr<last_service> last_; // allocated beforehand: the hook must not allocate
};

// Added to the context by the dying hook. From Boost 1.82 the second pass of shutdown() reaches it;
// on 1.81 it heads the list, so that its destructor runs before any other service is deleted.
class residents::last_service : public boost::asio::execution_context::service {
public:
    using key_type = last_service;
    static inline boost::asio::execution_context::id id;

    last_service(boost::asio::execution_context& context, residents& owner)
        : service(context), owner_(owner)
    {
    }
    ~last_service() override { owner_.sweep(); }

private:
    void shutdown() noexcept override { owner_.sweep(); }

    residents& owner_;
};

inline residents::residents(boost::asio::execution_context& context)
    : service(context),
      state_(detail::state_of(context)),
      last_(std::make_unique<last_service>(context, *this))
{
}

inline residents::~residents()
{
    // Boost 1.81 never shuts down a service that is first used while frames are being destroyed,
    // and by now it accepts no further service. If nothing is attached, this may also be the second
    // instance that Asio makes and drops when two threads meet a living context at once.
    if (!attached_.empty()) {
        begin_dying();
        tell();
    }
    sweep();
}

// A template, so that only who calls it pays for compiling a timer.
template <detail::executor_type Executor>
residents& residents::of(const Executor& executor)
{
    auto& context = boost::asio::query(executor, boost::asio::execution::context);
    if (!boost::asio::has_service<residents>(context))
        const boost::asio::steady_timer older_than_us(executor);
    auto& found = boost::asio::use_service<residents>(context);
    found.remember(executor);
    return found;
}

inline void residents::remember(const boost::asio::any_io_executor& seen)
{
    const auto knows_better = [this](bool plain) {
        return dying_ || has_plain_ || (executor_ && !plain);
    };
    {
        const std::lock_guard lock(mutex_);
        if (knows_better(true))
            return;
    }
    auto executor = boost::asio::prefer(detail::without_strand(seen),
                                        boost::asio::execution::outstanding_work.untracked);
    const bool plain = detail::is_plain(executor);
    const std::lock_guard lock(mutex_);
    if (knows_better(plain))
        return;
    executor_.swap(executor);
    has_plain_ = plain;
}

inline boost::asio::any_io_executor residents::get_executor() const
{
    const std::lock_guard lock(mutex_);
    return executor_;
}

inline void residents::attach(resident& r) noexcept
{
    const std::lock_guard lock(mutex_);
    (dying_ ? told_ : attached_).push_back(r);
}

inline bool residents::detach(resident& r) noexcept
{
    const std::lock_guard lock(mutex_);
    const bool attached = r.linked();
    r.unlink();
    return attached;
}

inline bool residents::begin_dying() noexcept
{
    state_->die();
    const std::lock_guard lock(mutex_);
    return !std::exchange(dying_, true);
}

inline void residents::shutdown() noexcept
{
    if (!begin_dying())
        return;
    auto* last = last_.release();
    try {
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" // make_service() would allocate
#endif
        boost::asio::add_service(context(), last);
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
    } catch (...) {
        last_.reset(last); // only if a context is torn down in a way that Asio does not document
    }
    tell();
}

inline void residents::tell() noexcept
{
    for (;;) {
        std::unique_lock lock(mutex_);
        resident* r = attached_.pop_front();
        if (r == nullptr)
            break;
        told_.push_back(*r);
        lock.unlock();
        r->context_dying();
    }
}

inline void residents::sweep() noexcept
{
    for (;;) {
        std::unique_lock lock(mutex_);
        resident* r = told_.pop_front();
        if (r == nullptr)
            break;
        lock.unlock();
        r->frames_gone();
    }
    executor_ = {};
    state_->unwound();
}

} // namespace loopsafe

#endif
