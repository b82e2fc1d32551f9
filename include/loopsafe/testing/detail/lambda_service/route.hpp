// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_ROUTE_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_ROUTE_HPP

#include <loopsafe/testing/lambda_fault.hpp>

#include <string>
#include <string_view>

namespace loopsafe::testing::detail {

struct route {
    at where = at::other;
    std::string id;            // of the invocation
    bool wrong_method = false; // of a path that there is
};

inline route find_route(std::string_view method, std::string_view target)
{
    struct fixed_path {
        std::string_view path;
        at where;
    };
    constexpr fixed_path fixed[] = {
        {"/2018-06-01/runtime/invocation/next", at::next},
        {"/2018-06-01/runtime/init/error", at::init_error},
        {"/2018-06-01/runtime/restore/next", at::restore_next},
        {"/2018-06-01/runtime/restore/error", at::restore_error},
        {"/2020-01-01/extension/register", at::extension_register},
        {"/2020-01-01/extension/event/next", at::extension_next},
        {"/2020-01-01/extension/init/error", at::extension_error},
        {"/2020-01-01/extension/exit/error", at::extension_error},
    };
    constexpr std::string_view invocation = "/2018-06-01/runtime/invocation/";

    route found;
    target = target.substr(0, target.find('?'));
    for (const auto& [path, where] : fixed) {
        if (target == path)
            found.where = where;
    }
    if (found.where == at::other && target.starts_with(invocation)) {
        target.remove_prefix(invocation.size());
        const auto slash = target.find('/');
        const auto what = slash == target.npos ? "" : target.substr(slash);
        if (what == "/response" || what == "/error") {
            found.where = what == "/error" ? at::error : at::response;
            found.id = target.substr(0, slash);
        }
    }
    const bool gets = found.where == at::next || found.where == at::restore_next ||
                      found.where == at::extension_next;
    if (found.where != at::other && method != (gets ? "GET" : "POST")) {
        found.where = at::other;
        found.wrong_method = true;
    }
    return found;
}

} // namespace loopsafe::testing::detail

#endif
