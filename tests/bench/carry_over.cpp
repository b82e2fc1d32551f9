// SPDX-License-Identifier: BSL-1.0
// What carrying connections over costs while no context dies, beside the pool with a home.
#include "warm_pool.hpp"

namespace {

using namespace bench;
using loopsafe::carry_over_pool;
using loopsafe::keep_alive_pool;

// It is carried after release() only, which each return must note.
struct bare_connector : idle_connector {
    using handle_type = idle_connection;

    std::optional<idle_connection> detach(idle_connection& c) const noexcept { return c; }
    idle_connection attach(idle_connection&& c, const asio::any_io_executor&) const { return c; }
};

} // namespace

int main()
{
    row("carry_over_pool, acquire + release, default options",
        instructions_of<carry_over_pool, bare_connector>({}), "instructions",
        instructions_of<keep_alive_pool, bare_connector>({}), 1.05);
}
