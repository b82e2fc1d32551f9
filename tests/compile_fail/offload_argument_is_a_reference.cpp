// SPDX-License-Identifier: BSL-1.0
// A function that takes a reference would get one to a copy.
// expect: offloadable
#include <loopsafe/thread_offload.hpp>

#include <functional>

boost::asio::awaitable<void> count(int& total)
{
    const auto add = [](int& n) { ++n; };
#ifdef LOOPSAFE_TEST_CURE
    co_await loopsafe::offload(add, std::ref(total));
#else
    co_await loopsafe::offload(add, total);
#endif
}
