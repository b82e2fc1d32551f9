// SPDX-License-Identifier: BSL-1.0
// A warm acquire and release, for coroutines, where one thread needs no lock: time and
// instructions.
#include "warm_pool.hpp"

namespace {

using namespace bench;
using policy = loopsafe::basic_keep_alive_pool<loopsafe::no_mutex>;

void time_rows(const std::string& threads)
{
    warm_pool<policy> warm(timeless());
    const auto best = least(20'000, 300, time_empty, std::ref(warm));
    row("acquire + release, no_mutex, " + threads, best[1], "ns", best[0], 2.1);
}

} // namespace

int main()
{
    row("acquire + release, no_mutex", instructions_of<policy>(timeless()), "instructions",
        instructions_of_empty());
    alone_and_beside_another(time_rows);
}
