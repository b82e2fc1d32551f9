// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_ERROR_CATEGORY_HPP
#define LOOPSAFE_DETAIL_ERROR_CATEGORY_HPP

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>

#include <string>

namespace loopsafe::detail {

// Without the place in Boost's source, which would stand in the text of an exception.
inline boost::system::error_code without_place(const boost::system::error_code& code) noexcept
{
    return {code.value(), code.category()};
}

// The category of an enumeration, from its table: id, name, message(value) and, for conditions,
// covers(code, value). The id makes two copies in two shared libraries compare equal.
template <class Table>
struct category_of final : boost::system::error_category {
    using value_type = typename Table::value_type;

    constexpr category_of() noexcept : error_category(Table::id) {}
    const char* name() const noexcept override { return Table::name; }
    std::string message(int value) const override
    {
        return Table::message(static_cast<value_type>(value));
    }

    using error_category::equivalent;
    bool equivalent(const boost::system::error_code& code, int value) const noexcept override
    {
        if constexpr (requires { Table::covers(code, value_type()); })
            return Table::covers(code, static_cast<value_type>(value));
        else
            return error_category::equivalent(code, value);
    }
};

} // namespace loopsafe::detail

#endif
