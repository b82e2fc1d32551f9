// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_UNIT_SUPPORT_HPP
#define LOOPSAFE_TESTS_UNIT_SUPPORT_HPP

#include <loopsafe/context.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <exception>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace unit {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using loopsafe::testing::run_on;
using names = std::vector<std::string>;

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

/// Runs the context until the condition holds. Nothing here takes long; what takes this long hangs.
template <class Condition>
void run_until(asio::io_context& context, Condition condition)
{
    context.restart();
    while (!condition()) {
        if (context.run_one_for(10s) == 0)
            throw std::logic_error("nothing more happens, and the condition does not hold");
    }
}

/// Runs what is ready, and all that becomes ready meanwhile.
inline void run_ready(asio::io_context& context)
{
    context.restart();
    context.poll();
}

/// Calls `f` on the context, and runs what becomes ready by that.
template <class F>
void do_on(asio::io_context& context, F f)
{
    asio::post(context, std::move(f));
    run_ready(context);
}

/// Keeps the handlers of those who wait, until it lets go of them or is destroyed: none is called.
class keeper {
public:
    asio::awaitable<void> wait()
    {
        co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
            [this](auto&& handler) {
                using handler_type = std::decay_t<decltype(handler)>;
                kept_.push_back(
                    std::make_shared<handler_type>(std::forward<decltype(handler)>(handler)));
            },
            asio::use_awaitable);
    }
    void let_go() { kept_.clear(); }

private:
    std::vector<std::shared_ptr<void>> kept_;
};

/// Appends its name to a list when it is destroyed.
class tattler {
public:
    tattler(names& list, std::string name) : list_(&list), name_(std::move(name)) {}
    tattler(tattler&& other) noexcept
        : list_(std::exchange(other.list_, nullptr)), name_(std::move(other.name_))
    {
    }
    tattler& operator=(tattler&&) = delete;
    ~tattler()
    {
        if (list_ != nullptr)
            list_->push_back(name_);
    }

private:
    names* list_;
    std::string name_;
};

} // namespace unit

#endif
