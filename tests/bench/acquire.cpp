// SPDX-License-Identifier: BSL-1.0
// A warm acquire and release, for coroutines, with the default lock: time and instructions.
#include "warm_pool.hpp"

namespace {

using namespace bench;
using policy = loopsafe::keep_alive_pool;

// What acquire does to find out that the caller is at home.
double check_home(warm_pool<policy>& warm, int calls)
{
    asio::any_io_executor executor = warm.context.get_executor();
    const auto home = warm.pool.home();
    bool at_home = true;
    return nanoseconds([&] {
        for (int i = 0; i != calls; ++i) {
            keep(executor);
            const auto* context = loopsafe::detail::asking_context(executor);
            at_home = context != nullptr && home.is(*context);
            keep(at_home);
        }
    });
}

void instruction_rows()
{
    const double base = instructions_of_empty();
    const double acquire = instructions_of<policy>(timeless());
    row("acquire + release", acquire, "instructions", base);
    row("acquire + release, default options", instructions_of<policy>({}), "instructions", base);
    warm_pool<policy> warm(timeless());
    const auto checks = [&](int calls) {
        return static_cast<double>(count(event::instructions, [&] {
            mark();
            check_home(warm, calls);
            mark();
        }));
    };
    row("tag check in an acquire", (checks(110) - checks(10)) / 100, "instructions", acquire, 0.15);
}

void time_rows(const std::string& threads)
{
    warm_pool<policy> warm(timeless());
    warm_pool<policy> defaults({});
    const auto best = least(20'000, 300, time_empty, std::ref(warm), std::ref(defaults),
                            [&](int calls) { return check_home(warm, calls); });
    row("acquire + release, " + threads, best[1], "ns", best[0], 2.6);
    row("acquire + release, default options, " + threads, best[2], "ns", best[0]);
    row("tag check in an acquire, " + threads, best[3], "ns", best[1], 0.15);
}

} // namespace

int main()
{
    instruction_rows();
    alone_and_beside_another(time_rows);
}
