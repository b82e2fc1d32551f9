// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_ODR_HPP
#define LOOPSAFE_TESTS_ODR_HPP

#include <loopsafe.hpp>
#include <loopsafe/tcp.hpp>

/// What one translation unit sees of the library; every other must see the same.
struct view {
    const void* category;
    loopsafe::context_id id;

    friend bool operator==(const view&, const view&) = default;
};

view view_from_a(boost::asio::io_context& context);
view view_from_b(boost::asio::io_context& context);

void refuse_in_a();
bool refusal_caught_in_b();

#endif
