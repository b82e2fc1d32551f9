// SPDX-License-Identifier: BSL-1.0
#include "odr.hpp"

view view_from_a(boost::asio::io_context& context)
{
    const boost::system::error_code error = loopsafe::errc::wrong_context;
    return {&error.category(), loopsafe::context_of(context).id()};
}

void refuse_in_a()
{
    throw loopsafe::context_error(loopsafe::context_report{});
}
