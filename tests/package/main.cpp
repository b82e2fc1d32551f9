// SPDX-License-Identifier: BSL-1.0
#include <loopsafe.hpp>

#include <boost/asio/io_context.hpp>

#include <cstdio>

int main()
{
    boost::asio::io_context context;
    std::printf("loopsafe %d.%d.%d, context %llu\n", LOOPSAFE_VERSION_MAJOR, LOOPSAFE_VERSION_MINOR,
                LOOPSAFE_VERSION_PATCH,
                static_cast<unsigned long long>(loopsafe::context_of(context).id().number()));
    return loopsafe::context_of(context).alive() ? 0 : 1;
}
