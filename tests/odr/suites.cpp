// SPDX-License-Identifier: BSL-1.0
// Two shared libraries that hide their symbols, each with the tests and a copy of loopsafe. The one
// that is loaded last uses what is Asio's in the first.
#include "suite.hpp"

#include <cstdio>
#include <dlfcn.h>

int main(int count, char** paths)
{
    run_suite* suites[2] = {};
    for (int i = 0; i != 2 && count == 3; ++i) {
        void* const library = ::dlopen(paths[i + 1], RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) {
            std::printf("%s\n", ::dlerror());
            return 1;
        }
        suites[i] = reinterpret_cast<run_suite*>(::dlsym(library, "run_suite_of_library"));
    }
    return suites[1] != nullptr && run_suites(*suites[1], *suites[0]) ? 0 : 1;
}
