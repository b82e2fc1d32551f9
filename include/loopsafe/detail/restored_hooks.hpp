// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_RESTORED_HOOKS_HPP
#define LOOPSAFE_DETAIL_RESTORED_HOOKS_HPP

#include <boost/config.hpp>

#include <atomic>

namespace loopsafe::detail {

// What a library of the process wants to do in each process that is made from a snapshot of it.
struct restored_hook {
    void (*call)();
    restored_hook* next = nullptr;
};

// Visible: see process_generation.
inline BOOST_SYMBOL_VISIBLE std::atomic<restored_hook*> restored_hooks{nullptr};

// Preconditions: the hook is in no list, and lives as long as the process.
inline void add_restored_hook(restored_hook& hook) noexcept
{
    hook.next = restored_hooks.load();
    while (!restored_hooks.compare_exchange_weak(hook.next, &hook)) {}
}

inline void call_restored_hooks()
{
    for (const auto* each = restored_hooks.load(); each != nullptr; each = each->next)
        each->call();
}

} // namespace loopsafe::detail

#endif
