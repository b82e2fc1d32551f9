// SPDX-License-Identifier: BSL-1.0
// A shared library that hides its symbols, but for this one.
#include "module.hpp"

extern "C" BOOST_SYMBOL_EXPORT void run_module(boost::asio::io_context& shared,
                                               const loopsafe::context_id& id, std::string& wrong)
{
    wrong = module::run_all(shared, id);
}
