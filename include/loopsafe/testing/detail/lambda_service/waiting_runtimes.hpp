// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_WAITING_RUNTIMES_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_WAITING_RUNTIMES_HPP

#include <loopsafe/testing/detail/lambda_service/session.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

namespace loopsafe::testing::detail {

// A request of the runtime that has no answer yet.
struct pending {
    std::shared_ptr<session> from;
    std::optional<fault> wrong;
};

// The requests for an invocation that have none yet, the oldest first.
class waiting_runtimes {
public:
    bool empty() const noexcept { return all_.empty(); }
    std::size_t size() const noexcept { return all_.size(); }
    bool some_gave_up() const noexcept { return some_gave_up_; }

    void enter(session& from, const std::optional<fault>& wrong)
    {
        all_.push_back({from.shared_from_this(), wrong});
    }

    // Precondition: it is not empty.
    pending take()
    {
        auto oldest = std::move(all_.front());
        all_.pop_front();
        return oldest;
    }

    void lost(const session& from)
    {
        const auto place = std::find_if(all_.begin(), all_.end(),
                                        [&](const pending& p) { return p.from.get() == &from; });
        if (place == all_.end())
            return;
        all_.erase(place);
        some_gave_up_ = true;
    }

    // The process is gone.
    void forget()
    {
        for (auto& each : std::exchange(all_, {}))
            each.from->reset();
        some_gave_up_ = false;
    }

private:
    std::deque<pending> all_;
    bool some_gave_up_ = false;
};

} // namespace loopsafe::testing::detail

#endif
