// SPDX-License-Identifier: BSL-1.0
// What writes a body awaits each write.
// expect: (use of|call to) deleted function
// expect: Cure = .*pass_a_coroutine_that_takes_a_body_writer_by_reference
#include <loopsafe/http.hpp>

loopsafe::http::request_body body()
{
#ifdef LOOPSAFE_TEST_CURE
    const auto make = [](loopsafe::http::body_writer& to) -> boost::asio::awaitable<void> {
        co_await to.write("text");
    };
#else
    const auto make = [](loopsafe::http::body_writer& to) { to.write("text"); };
#endif
    return loopsafe::http::request_body::streamed(make);
}
