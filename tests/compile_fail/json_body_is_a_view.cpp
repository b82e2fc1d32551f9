// SPDX-License-Identifier: BSL-1.0
// The body is gone when the caller looks at it.
// expect: as_json would give a view of what is gone
#include <loopsafe/http/json.hpp>

#include <string>
#include <string_view>

#ifdef LOOPSAFE_TEST_CURE
using text = std::string;
#else
using text = std::string_view;
#endif

auto body(const loopsafe::http::response& answer)
{
    return loopsafe::http::as_json<text>(answer);
}
