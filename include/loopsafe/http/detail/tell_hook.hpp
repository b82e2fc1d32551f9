// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_TELL_HOOK_HPP
#define LOOPSAFE_HTTP_DETAIL_TELL_HOOK_HPP

#include <loopsafe/http/options.hpp>
#include <loopsafe/pool/event.hpp>

namespace loopsafe::http::detail {

inline void tell_hook(const single_use_client_options& options, const event& what) noexcept
{
    if (!options.on_event)
        return;
    try {
        options.on_event(what);
    } catch (...) { // as documented for the option
    }
}

// The events of a pool that carries connections over.
inline void tell_parking(const single_use_client_options& known, const origin& of,
                         const pool_event& e) noexcept
{
    switch (e.what) {
    case pool_event::kind::parked:
        tell_hook(known, {.what = event::kind::parked, .origin = of});
        break;
    case pool_event::kind::adopted:
        tell_hook(known, {.what = event::kind::adopted, .origin = of});
        break;
    case pool_event::kind::dropped:
        tell_hook(known, {.what = event::kind::dropped, .origin = of, .reason = e.reason});
        break;
    default: break;
    }
}

} // namespace loopsafe::http::detail

#endif
