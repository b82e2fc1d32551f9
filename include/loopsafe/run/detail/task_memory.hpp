// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_DETAIL_TASK_MEMORY_HPP
#define LOOPSAFE_RUN_DETAIL_TASK_MEMORY_HPP

#include <loopsafe/run/detail/task_list.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <source_location>
#include <utility>

namespace loopsafe::detail {

// The places of a scope's tasks, for one after the other. The first of them are in the scope, the
// others in chunks that are kept until the scope ends.
class task_memory {
    using task = task_list::task;

public:
    task_memory() noexcept = default;
    task_memory(const task_memory&) = delete;
    ~task_memory()
    {
        while (chunks_ != nullptr)
            delete std::exchange(chunks_, chunks_->before);
    }

    task& make(const std::source_location& where)
    {
        auto* at = free_;
        if (at != nullptr) {
            free_ = at->next;
        } else {
            if (unused_ == end_)
                grow();
            at = unused_++;
        }
        return *::new (static_cast<void*>(at)) task(where);
    }

    void destroy(task& gone) noexcept
    {
        std::destroy_at(&gone);
        free_ = ::new (static_cast<void*>(&gone)) place{free_};
    }

private:
    union place {
        place* next;
        alignas(task) std::byte room[sizeof(task)];
    };
    static constexpr std::size_t own = 4, in_a_chunk = 16;
    struct chunk {
        chunk* before;
        place places[in_a_chunk];
    };

    void grow()
    {
        auto* const more = new chunk;
        more->before = std::exchange(chunks_, more);
        unused_ = std::begin(more->places);
        end_ = std::end(more->places);
    }

    place own_[own];
    place* free_ = nullptr;
    place* unused_ = std::begin(own_);
    place* end_ = std::end(own_);
    chunk* chunks_ = nullptr;
};

} // namespace loopsafe::detail

#endif
