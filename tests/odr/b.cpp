// SPDX-License-Identifier: BSL-1.0
#include "odr.hpp"

view view_from_b(boost::asio::io_context& context)
{
    const boost::system::error_code error = loopsafe::errc::wrong_context;
    return {&error.category(), loopsafe::context_of(context).id()};
}

bool refusal_caught_in_b()
{
    try {
        refuse_in_a();
    } catch (const loopsafe::context_error& error) {
        return error.code() == loopsafe::errc::wrong_context;
    }
    return false;
}
