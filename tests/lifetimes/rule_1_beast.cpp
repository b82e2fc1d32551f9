// SPDX-License-Identifier: BSL-1.0
#include "rule_1_beast.hpp"

TEST_SUITE_BEGIN("rule 1");

TEST_CASE_TEMPLATE("a dying context leaves a leased Beast stream to its lease", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(rule_1::context_dies<rule_1::beast_tcp_stream, Death>() == rule_1::promised<Death>());
}

TEST_CASE_TEMPLATE("a dying context leaves a leased HTTP connection to its lease", Death,
                   LOOPSAFE_EVERY_DEATH)
{
    CHECK(rule_1::context_dies<rule_1::http_over_beast, Death>() == rule_1::promised<Death>());
}
