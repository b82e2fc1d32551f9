// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_LOCATED_ERROR_HPP
#define LOOPSAFE_DETAIL_LOCATED_ERROR_HPP

#include <loopsafe/detail/error_category.hpp>
#include <loopsafe/detail/share_new.hpp>
#include <loopsafe/error.hpp>

#include <memory>
#include <source_location>
#include <string>

namespace loopsafe::detail {

// Its text ends with the place in the user's program, once that is known.
class located_error : public boost::system::system_error {
public:
    located_error(error_code code, const std::string& what, const std::source_location& where)
        : system_error(without_place(code), what)
    {
        add_place(where);
    }

    const std::source_location& where() const noexcept { return where_; }

    const char* what() const noexcept override
    {
        return text_ != nullptr ? text_->c_str() : without_where();
    }
    const char* without_where() const noexcept { return system_error::what(); }

    // The first one counts: it is nearest to the failure.
    void add_place(const std::source_location& where)
    {
        if (where.line() == 0 || where_.line() != 0)
            return;
        text_ = share_new<const std::string>(without_where() + ("\n  used:  " + to_string(where)));
        where_ = where;
    }

private:
    std::shared_ptr<const std::string> text_;
    std::source_location where_;
};

} // namespace loopsafe::detail

#endif
