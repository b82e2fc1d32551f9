// SPDX-License-Identifier: BSL-1.0
// What a view refers to may be gone before the worker has looked at it.
// expect: only refers to something that may be gone
#include <loopsafe/thread_offload.hpp>

#include <string>

boost::asio::awaitable<std::size_t> length(std::string text)
{
    const auto count = [](std::string_view s) { return s.size(); };
#ifdef LOOPSAFE_TEST_CURE
    co_return co_await loopsafe::offload(count, text);
#else
    co_return co_await loopsafe::offload(count, std::string_view(text));
#endif
}
