// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_TASK_LIST_HPP
#define LOOPSAFE_RUN_DETAIL_TASK_LIST_HPP

#include <loopsafe/async/detail/cancellable.hpp>

#include <cstddef>
#include <list>
#include <source_location>

namespace loopsafe::detail {

// Tasks that run, each for as long as its completion handler exists. Any of them may leave while
// they are being cancelled, since a cancellation may end its task, and others.
class task_list {
public:
    struct task : cancellable {
        explicit task(const std::source_location& where) noexcept : started(where) {}

        std::source_location started;
        bool ended = false;
    };
    using tasks = std::list<task>;
    using place = tasks::iterator;

    place add(const std::source_location& where) { return all_.emplace(all_.end(), where); }

    // Destroys nothing: the caller does, where it holds no lock.
    void take_out(place gone, tasks& to) noexcept
    {
        if (gone == next_)
            ++next_;
        to.splice(to.end(), all_, gone);
    }

    // Gives each of those that are still there: first() the first, next() another; null after the
    // last.
    task* first() noexcept
    {
        next_ = all_.begin();
        return next();
    }
    task* next() noexcept { return next_ == all_.end() ? nullptr : &*next_++; }

    template <class F>
    void for_each(F f) const
    {
        for (const auto& each : all_)
            f(each);
    }

    bool empty() const noexcept { return all_.empty(); }
    std::size_t size() const noexcept { return all_.size(); }

private:
    tasks all_;
    place next_ = all_.end();
};

} // namespace loopsafe::detail

#endif
