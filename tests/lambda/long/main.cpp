// SPDX-License-Identifier: BSL-1.0
// lambda_long FUNCTION BACKENDS [at_once|freezes|ends]
#include <lambda/long/long.hpp>
#include <string_view>

int main(int argc, char** argv)
{
    if (argc < 3)
        return 2;
    const lambda_long::programs what{.function = argv[1], .backends = argv[2]};
    const std::string_view wanted = argc > 3 ? argv[3] : "";
    lambda_long::tally all;
    if (wanted.empty() || wanted == "freezes")
        lambda_long::freezes(what, all);
    if (wanted.empty() || wanted == "ends")
        lambda_long::ends(what, all);
    if (wanted.empty() || wanted == "at_once")
        lambda_long::at_once(what, all);
    std::printf("%d passed, %d failed\n", all.passed, all.failed);
    return all.failed != 0;
}
