// SPDX-License-Identifier: BSL-1.0
// A function that takes a reference would get one to a copy.
// expect: (use of|call to) deleted function
// expect: Cure = .*pass_std_ref_where_the_function_takes_a_reference_or_let_it_take_a_value
// expect: ^(?!(?s:.*error: (?!no return)){2})
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
