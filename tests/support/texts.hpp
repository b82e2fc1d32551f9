// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_TEXTS_HPP
#define LOOPSAFE_TESTS_SUPPORT_TEXTS_HPP

#include <loopsafe/context.hpp>

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

/// What reports and exceptions say.
namespace support {

/// The line after the one that asks, as reports print it.
inline std::string next_line(const std::source_location& where = std::source_location::current())
{
    const std::string path = where.file_name();
    return path.substr(path.find_last_of('/') + 1) + ':' + std::to_string(where.line() + 1);
}

template <class T>
std::string number_of(T&& x)
{
    return std::to_string(loopsafe::context_of(std::forward<T>(x)).id().number());
}

/// What `f` throws as an `Error`; fails the test where it throws nothing of that kind.
template <class Error, class F>
Error thrown_by(F f)
{
    try {
        f();
    } catch (const Error& error) {
        return error;
    }
    FAIL("nothing was thrown");
    throw std::logic_error("not reached");
}

/// What an `exception_ptr` says; fails the test where it is none of that kind.
template <class Error = std::exception>
std::string text_of(const std::exception_ptr& error)
{
    try {
        if (error != nullptr)
            std::rethrow_exception(error);
    } catch (const Error& e) {
        return e.what();
    }
    FAIL("there is no exception");
    return {};
}

inline std::string text_of(const std::exception& error)
{
    return error.what();
}

/// The code of an `exception_ptr`; none where there is none, or it has no code.
inline boost::system::error_code code_of(const std::exception_ptr& error)
{
    try {
        if (error != nullptr)
            std::rethrow_exception(error);
    } catch (const boost::system::system_error& e) {
        return e.code();
    }
    return {};
}

} // namespace support

#endif
