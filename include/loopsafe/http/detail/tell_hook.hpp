// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_TELL_HOOK_HPP
#define LOOPSAFE_HTTP_DETAIL_TELL_HOOK_HPP

#include <loopsafe/http/options.hpp>

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

} // namespace loopsafe::http::detail

#endif
