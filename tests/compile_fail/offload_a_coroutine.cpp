// SPDX-License-Identifier: BSL-1.0
// A coroutine does not block, and would not run on the worker.
// expect: offload runs a function that blocks, and this one is a coroutine
#include <loopsafe/thread_offload.hpp>

boost::asio::awaitable<int> answer()
{
    co_return 42;
}

boost::asio::awaitable<int> ask()
{
#ifdef LOOPSAFE_TEST_CURE
    co_return co_await answer();
#else
    auto call = loopsafe::offload(answer);
    co_return co_await co_await std::move(call);
#endif
}
