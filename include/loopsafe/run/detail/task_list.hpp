// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_TASK_LIST_HPP
#define LOOPSAFE_RUN_DETAIL_TASK_LIST_HPP

#include <loopsafe/async/detail/cancellable.hpp>

#include <cstddef>
#include <source_location>
#include <utility>

namespace loopsafe::detail {

// Tasks that run, each for as long as its completion handler exists. Any of them may leave while
// they are being cancelled, since a cancellation may end its task, and others.
class task_list {
public:
    class task : public cancellable {
    public:
        explicit task(const std::source_location& where) noexcept : started(where) {}
        task(const task&) = delete;

        const std::source_location started;

    private:
        friend class task_list;
        task* previous_ = nullptr;
        task* next_ = nullptr;
    };

    task_list() noexcept = default;
    task_list(const task_list&) = delete;

    void add(task& last) noexcept
    {
        last.previous_ = std::exchange(last_, &last);
        (last.previous_ != nullptr ? last.previous_->next_ : first_) = &last;
        ++size_;
    }

    void take_out(task& gone) noexcept
    {
        if (&gone == next_)
            next_ = gone.next_;
        (gone.previous_ != nullptr ? gone.previous_->next_ : first_) = gone.next_;
        (gone.next_ != nullptr ? gone.next_->previous_ : last_) = gone.previous_;
        --size_;
    }

    // Gives each of those that are still there: first() the first, next() another; null after the
    // last. One that joins meanwhile may come, too.
    task* first() noexcept
    {
        next_ = first_;
        return next();
    }
    task* next() noexcept
    {
        return next_ != nullptr ? std::exchange(next_, next_->next_) : nullptr;
    }

    template <class F>
    void for_each(F f) const
    {
        for (const auto* each = first_; each != nullptr; each = each->next_)
            f(*each);
    }

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }

private:
    task* first_ = nullptr;
    task* last_ = nullptr;
    task* next_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace loopsafe::detail

#endif
