// SPDX-License-Identifier: BSL-1.0
// What the function gives must not refer to what was destroyed with its arguments.
// expect: only refers to something on the worker
#include <loopsafe/thread_offload.hpp>

#include <string>

#ifdef LOOPSAFE_TEST_CURE
using given = std::string;
#else
using given = std::string_view;
#endif

boost::asio::awaitable<given> first_word(std::string text)
{
    const auto cut = [](const std::string& s) { return given(s).substr(0, s.find(' ')); };
    co_return co_await loopsafe::offload(cut, text);
}
