// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_RUNNING_COROUTINE_HPP
#define LOOPSAFE_TESTS_SUPPORT_RUNNING_COROUTINE_HPP

#include <loopsafe/error.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <string>
#include <utility>

namespace support {

/// A coroutine that is being run, and what it comes to: "" while it has not ended, then its number,
/// or its error in a word or by its text.
struct running_coroutine {
    running_coroutine(boost::asio::io_context& context, boost::asio::awaitable<int> operation)
    {
        boost::asio::co_spawn(
            context, std::move(operation),
            boost::asio::bind_cancellation_slot(
                cancel.slot(), [this](const std::exception_ptr& error, int value) {
                    text = error == nullptr ? std::to_string(value) : in_words(error);
                }));
    }

    boost::asio::cancellation_signal cancel;
    std::string text;

private:
    static std::string in_words(const std::exception_ptr& error)
    {
        try {
            std::rethrow_exception(error);
        } catch (const boost::system::system_error& e) {
            if (e.code() == loopsafe::errc::context_closed)
                return "closed";
            if (e.code() == loopsafe::errc::timed_out)
                return "timed out";
            return e.code() == boost::asio::error::operation_aborted ? "aborted"
                                                                     : e.code().message();
        } catch (const std::exception& e) {
            return e.what();
        }
    }
};

} // namespace support

#endif
