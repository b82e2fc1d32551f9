// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_RUN_UNTIL_HPP
#define LOOPSAFE_TESTS_SUPPORT_RUN_UNTIL_HPP

#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace support {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using loopsafe::testing::run_on;
using names = std::vector<std::string>;

/// Runs the context until the condition holds. Nothing here takes long; what takes this long hangs.
template <class Condition>
void run_until(asio::io_context& context, Condition condition)
{
    context.restart();
    while (!condition()) {
        if (context.run_one_for(10s) == 0)
            throw std::logic_error("nothing more happens, and the condition does not hold");
    }
}

/// Runs what is ready, and all that becomes ready meanwhile.
inline void run_ready(asio::io_context& context)
{
    context.restart();
    context.poll();
}

/// Calls `f` on the context, and runs what becomes ready by that.
template <class F>
void do_on(asio::io_context& context, F f)
{
    asio::post(context, std::move(f));
    run_ready(context);
}

} // namespace support

#endif
