// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_RETRY_BUDGET_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_RETRY_BUDGET_HPP

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>

namespace loopsafe::http::detail {

// How many attempts at a server may still be added: while it fails, few. It knows no clock, so that
// a process that was frozen does not come back with a full one.
//
// Origins are hashed into a fixed number of accounts, so that a client that visits many servers
// does not grow; two that share one are more careful together.
class retry_budget {
public:
    void succeeded(std::size_t origin) noexcept { add(origin, one / 10); }
    void failed(std::size_t origin) noexcept { add(origin, -one); }
    bool allows(std::size_t origin) const noexcept
    {
        return missing_[origin % missing_.size()].load(std::memory_order_relaxed) < full / 2;
    }

private:
    static constexpr int one = 10;
    static constexpr int full = 100 * one;

    void add(std::size_t origin, int what) noexcept
    {
        auto& missing = missing_[origin % missing_.size()];
        int before = missing.load(std::memory_order_relaxed);
        int after = 0;
        do {
            after = std::clamp(before - what, 0, full);
        } while (after != before &&
                 !missing.compare_exchange_weak(before, after, std::memory_order_relaxed));
    }

    std::array<std::atomic<int>, 64> missing_{}; // from a full one
};

} // namespace loopsafe::http::detail

#endif
