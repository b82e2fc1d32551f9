// SPDX-License-Identifier: BSL-1.0
// Two shared libraries that hide their symbols, and the program itself, each with a copy of the
// library: on contexts of their own, and on one that all of them use. On one thread, in turns.
#include "module.hpp"

#include <cstdio>
#include <dlfcn.h>

int main(int count, char** paths)
{
    boost::asio::io_context shared(1);
    bool well = count == 3;
    const auto say = [&well](const char* who, const std::string& wrong) {
        std::printf("%s: %s\n", who, wrong.empty() ? "well" : wrong.c_str());
        std::fflush(stdout); // what comes next may hang
        well = well && wrong.empty();
    };
    using run_module = void(boost::asio::io_context&, const loopsafe::context_id&, std::string&);
    const auto id = loopsafe::context_of(shared).id();
    for (int turn = 0; turn != 2; ++turn) {
        for (int i = 1; i < count; ++i) {
            void* const module = ::dlopen(paths[i], RTLD_NOW | RTLD_LOCAL);
            if (module == nullptr) {
                std::printf("%s\n", ::dlerror());
                return 1;
            }
            std::string wrong;
            reinterpret_cast<run_module*>(::dlsym(module, "run_module"))(shared, id, wrong);
            say(paths[i], wrong);
        }
        say("the program", module::run_all(shared, id));
    }
    return well ? 0 : 1;
}
