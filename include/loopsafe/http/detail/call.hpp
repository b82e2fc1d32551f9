// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CALL_HPP
#define LOOPSAFE_HTTP_DETAIL_CALL_HPP

#include <loopsafe/http/detail/request_head.hpp>
#include <loopsafe/http/detail/tell_hook.hpp>
#include <loopsafe/http/response.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

// One request on its way, and what has come of it.
struct call {
    explicit call(request& r) : asked(r) {}
    call(const call&) = delete;
    call& operator=(const call&) = delete;
    ~call()
    {
        if (begun)
            tell_hook(*settings->options, {.what = event::kind::returned, .origin = *origin});
    }

    request& asked;
    std::string_view target;     // a part of asked.url
    std::string_view prefix;     // a part of `settings`
    std::string_view host_field; // a part of `server`
    const http::origin* origin = nullptr;
    std::string authorization; // what the provider gave
    std::shared_ptr<const client_settings> settings;
    std::shared_ptr<const void> server;          // kept alive
    const limits* most = nullptr;                // a part of `settings`
    const timeouts* times = nullptr;             // a part of `settings` or of `asked`
    std::optional<std::chrono::nanoseconds> due; // of it all, on the steady clock
    bool streamed = false;                       // the caller reads the body

    response answer;
    error_code failure; // also of a write, after which the response is still read
    bool begun = false; // and has not let go of its connection
    bool failed = false;
    bool done = false;
    std::optional<std::uint64_t> length; // of the body, where it was announced
    bool refused_more = false; // the server answered or went before it had read the whole request
};

} // namespace loopsafe::http::detail

#endif
