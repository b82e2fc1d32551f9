// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_CHECK_STATUS_HPP
#define LOOPSAFE_HTTP_LAYERS_CHECK_STATUS_HPP

#include <loopsafe/http/layers/any_sender.hpp>
#include <loopsafe/http/layers/layer.hpp>

#include <memory>
#include <string>
#include <utility>

namespace loopsafe::http {

/// Thrown by `check_status`: the server answered with a status of 400 or more.
///
/// Its text names the status; the body is not in it.
class status_error : public error {
public:
    status_error(std::shared_ptr<const response> got, const std::string& about)
        : error(errc::error_status, got->seen, about), got_(std::move(got))
    {
    }

    int status() const noexcept { return got_->status; }

    /// The response, with at most the first 4 KiB of its body.
    const response& answer() const noexcept { return *got_; }

private:
    std::shared_ptr<const response> got_;
};

/// Turns every response with a status of 400 or more into a `status_error`. The outermost layer:
/// `retries` and `redirects` see the responses first. With `with_response()`, that holds even where
/// the body breaks off; with `send()`, a body that cannot be received or decoded whole is the error
/// that says so.
std::shared_ptr<const layer> check_status();

} // namespace loopsafe::http

#include <loopsafe/http/impl/check_status.hpp>

#endif
