// SPDX-License-Identifier: BSL-1.0
// The reader of a response awaits its body.
// expect: (use of|call to) deleted (member )?function
// expect: Cure = .*pass_a_coroutine_that_takes_an_incoming_response_by_reference
// expect: ^(?!(?s:.*error: (?!no return)){2})
#include <loopsafe/http.hpp>

boost::asio::awaitable<void> read(loopsafe::http::client& client)
{
    const loopsafe::http::request request("GET", "http://localhost/");
#ifdef LOOPSAFE_TEST_CURE
    const auto reader = [](loopsafe::http::incoming_response&) -> boost::asio::awaitable<void> {
        co_return;
    };
#else
    const auto reader = [](loopsafe::http::incoming_response&) {};
#endif
    co_await client.with_response(request, reader);
}
