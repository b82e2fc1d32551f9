// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_PLANNED_FAULTS_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_PLANNED_FAULTS_HPP

#include <loopsafe/testing/lambda_fault.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

namespace loopsafe::testing::detail {

// Counts the requests, and knows which of them meets with a fault.
class planned_faults {
public:
    void plan(at where, std::size_t nth, const fault& what)
    {
        const auto now = count(where);
        plans_.push_back({where, nth == 0 ? 0 : now + nth, what});
    }
    void clear() { plans_.clear(); }

    std::optional<fault> next(at where)
    {
        const auto now = ++counts_[static_cast<std::size_t>(where)];
        for (const auto& each : plans_) {
            if (each.where == where && (each.number == 0 || each.number == now))
                return each.what;
        }
        return std::nullopt;
    }

    std::size_t count(at where) const { return counts_[static_cast<std::size_t>(where)]; }

private:
    struct plan_entry {
        at where;
        std::size_t number; // 0: each
        fault what;
    };

    std::array<std::size_t, static_cast<std::size_t>(at::other) + 1> counts_{};
    std::vector<plan_entry> plans_;
};

} // namespace loopsafe::testing::detail

#endif
