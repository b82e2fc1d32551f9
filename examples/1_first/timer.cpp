// SPDX-License-Identifier: BSL-1.0
//
// A timer that outlives its io_context: the next io_context may not use it.

#include <loopsafe.hpp>

#include <boost/asio/steady_timer.hpp>

#include <cstdio>

using namespace std::chrono_literals;

int main()
{
    loopsafe::context_bound<boost::asio::steady_timer> timer; // may live anywhere
    {
        boost::asio::io_context first;
        timer = decltype(timer)(first, first, 1ms); // its home, and what a steady_timer takes
        timer.get(first.get_executor()).async_wait([](auto) { std::puts("the timer expired"); });
        first.run();
    } // a bare steady_timer would still refer to `first`: destroying it is undefined behaviour
    boost::asio::io_context second;
    try {
        timer.get(second.get_executor()).expires_after(1ms);
    } catch (const loopsafe::context_error& refused) {
        std::puts(refused.what());
        return 0;
    }
    return 1; // it was not refused
}
