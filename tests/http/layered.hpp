// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_HTTP_LAYERED_HPP
#define LOOPSAFE_TESTS_HTTP_LAYERED_HPP

#include <loopsafe/http/layers/any_sender.hpp>

#include <http/support.hpp>
#include <memory>
#include <utility>

namespace http_test {

/// A client with a layer around it, whose requests are seen whole or read in parts.
class layered_client {
public:
    explicit layered_client(std::shared_ptr<const http::layer> around,
                            http::client_options options = {})
        : api(http::client(*context, std::move(options)) | std::move(around))
    {
    }

    seen send(request what) { return run_on(*context, watch(api.send(std::move(what)))); }
    seen read(request what)
    {
        const auto whole = [](http::incoming_response& r) -> asio::awaitable<response> {
            response got;
            static_cast<http::response_head&>(got) = r.head();
            got.body = co_await r.read_all(100'000);
            got.seen = r.seen();
            co_return got;
        };
        return run_on(*context, watch(api.with_response(std::move(what), whole)));
    }

    mortal_context context;
    http::any_sender api;
};

} // namespace http_test

#endif
