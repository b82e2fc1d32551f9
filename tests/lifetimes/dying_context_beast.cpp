// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
#include "dying_context_beast.hpp"

namespace dying_context_beast_tests {

using namespace dying_context;

TEST_CASE_TEMPLATE("a dying context leaves a leased Beast stream to its lease (rule 1)", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<beast_tcp_stream, Death>() == promised<Death>());
}

TEST_CASE_TEMPLATE("a dying context leaves a leased HTTP connection to its lease (rule 1)", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(context_dies<http_over_beast, Death>() == promised<Death>());
}

} // namespace dying_context_beast_tests
