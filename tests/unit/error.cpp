// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/error.hpp>

#include <boost/asio/error.hpp>

#include <doctest/doctest.h>

#include <support/run_until.hpp>
#include <support/texts.hpp>

namespace error_tests {

namespace {

using namespace support;
using loopsafe::condition;
using loopsafe::context_info;
using loopsafe::context_origin;
using loopsafe::errc;
using loopsafe::error_code;

constexpr errc all_errors[] = {errc::wrong_context,   errc::context_closed, errc::no_context,
                               errc::lease_expired,   errc::pool_closed,    errc::acquire_timeout,
                               errc::connect_timeout, errc::queue_full,     errc::close_timeout,
                               errc::nested_run,      errc::main_stuck,     errc::bad_option,
                               errc::timed_out,       errc::task_stuck};

std::string words(errc e)
{
    return error_code(e).message();
}

std::vector<errc> members(condition c)
{
    std::vector<errc> found;
    for (const auto e : all_errors) {
        if (error_code(e) == c)
            found.push_back(e);
    }
    return found;
}

context_info some_context(std::uint64_t number, std::string name, bool alive, context_origin origin,
                          const std::source_location& where)
{
    return {number, std::move(name), alive, origin, where};
}

TEST_CASE("every errc has its own words")
{
    CHECK(words(errc::wrong_context) ==
          "used from a context that is not its home; use a connection only in the context that "
          "acquired it, and acquire another one elsewhere");
    CHECK(words(errc::context_closed) ==
          "its home context is gone; acquire another one in a context that is alive");
    CHECK(words(errc::no_context) == "the caller names no context");
    CHECK(words(errc::lease_expired) == "the lease is empty or its context is gone");
    CHECK(words(errc::pool_closed) == "the pool is closed");
    CHECK(words(errc::acquire_timeout) == "no connection became free in time");
    CHECK(words(errc::connect_timeout) == "no connection could be made in time");
    CHECK(words(errc::queue_full) == "too many callers are already waiting");
    CHECK(words(errc::close_timeout) == "leases were still out at the deadline for closing");
    CHECK(words(errc::nested_run) == "run() inside run() would block the outer context");
    CHECK(words(errc::main_stuck) == "main was given up before it completed");
    CHECK(words(errc::bad_option) == "invalid option");
    CHECK(words(errc::timed_out) == "the deadline has passed");
    CHECK(words(errc::task_stuck) == "a task goes on although it was cancelled");
    CHECK(words(static_cast<errc>(0)) == "unknown");
    CHECK(words(static_cast<errc>(99)) == "unknown");
}

TEST_CASE("every errc is a failure of the category loopsafe")
{
    for (const auto e : all_errors) {
        CHECK(error_code(e).failed());
        CHECK(error_code(e).category().name() == std::string("loopsafe"));
    }
}

TEST_CASE("conditions group the errors on which callers act alike")
{
    CHECK(members(condition::context_misuse) == std::vector{errc::wrong_context,
                                                            errc::context_closed, errc::no_context,
                                                            errc::lease_expired});
    CHECK(members(condition::timeout) == std::vector{errc::acquire_timeout, errc::connect_timeout,
                                                     errc::close_timeout, errc::timed_out});
    CHECK(members(condition::overloaded) == std::vector{errc::acquire_timeout, errc::queue_full});
    CHECK(members(static_cast<condition>(99)).empty());
}

TEST_CASE("conditions have words of their own")
{
    const auto said = [](condition c) { return make_error_condition(c).message(); };
    CHECK(said(condition::context_misuse) == "a resource was used outside its home context");
    CHECK(said(condition::timeout) == "a deadline passed");
    CHECK(said(condition::overloaded) ==
          "a pool, or a set of worker threads, has reached its limit");
    CHECK(said(static_cast<condition>(99)) == "unknown");
    CHECK(loopsafe::condition_category().name() == std::string("loopsafe.condition"));
}

TEST_CASE("an error of another category meets no condition, whatever its number")
{
    for (int value = 1; value != 13; ++value) {
        const error_code other(value, boost::system::system_category());
        CHECK_FALSE(other == condition::context_misuse);
        CHECK_FALSE(other == condition::timeout);
        CHECK_FALSE(other == condition::overloaded);
    }
}

TEST_CASE("a second copy of the category, in another shared library, compares equal")
{
    const loopsafe::detail::category_of<loopsafe::detail::errc_table> copy;
    const error_code from_there(static_cast<int>(errc::queue_full), copy);
    CHECK(from_there == error_code(errc::queue_full));
    CHECK(from_there == condition::overloaded);
}

TEST_CASE("a context_error says which contexts met, where, and what to do")
{
    const auto line = std::to_string(std::source_location::current().line() + 1);
    const auto here = std::source_location::current();
    const loopsafe::context_error error(
        {.code = errc::wrong_context,
         .resource = "connection pool \"db\"",
         .home = some_context(1, "worker", true, context_origin::run, here),
         .asked = some_context(2, "", true, context_origin::seen, here),
         .operation = "acquire",
         .used = here,
         .advice = "make the pool inside the context that uses it"});
    CHECK(text_of(error) == "connection pool \"db\": used from a context that is not its home"
                            "\n  home:  context #1 \"worker\", made by run at error.cpp:" +
                                line +
                                ", alive"
                                "\n  asked: context #2, first seen at error.cpp:" +
                                line +
                                ", alive"
                                "\n  used:  acquire at error.cpp:" +
                                line + "\n  cure:  make the pool inside the context that uses it");
    CHECK(error.code() == errc::wrong_context);
}

TEST_CASE("a report names each way to meet a context, and says whether it is gone")
{
    const auto line = std::to_string(std::source_location::current().line() + 1);
    const auto here = std::source_location::current();
    const auto said = [&](context_origin origin, bool alive) {
        loopsafe::context_report report;
        report.home = some_context(7, "", alive, origin, here);
        const auto text = report.to_string();
        const auto from = text.find("home:  ") + 7;
        return text.substr(from, text.find('\n', from) - from);
    };
    CHECK(said(context_origin::run, false) ==
          "context #7, made by run at error.cpp:" + line + ", gone");
    CHECK(said(context_origin::runner, true) ==
          "context #7, made by runner at error.cpp:" + line + ", alive");
    CHECK(said(context_origin::named, true) ==
          "context #7, named at error.cpp:" + line + ", alive");
    CHECK(said(context_origin::seen, true) ==
          "context #7, first seen at error.cpp:" + line + ", alive");
}

TEST_CASE("a report without a context, an asker or advice says so or leaves the line out")
{
    loopsafe::context_report report;
    report.resource = "timer";
    report.operation = "get";
    report.code = errc::no_context;
    CHECK(report.to_string() == "timer: the caller names no context"
                                "\n  home:  no context"
                                "\n  asked: no context"
                                "\n  used:  get");
    report.code = errc::lease_expired;
    CHECK(report.to_string() == "timer: the lease is empty or its context is gone"
                                "\n  home:  no context"
                                "\n  used:  get");
}

TEST_CASE("copies of a context_error share one report")
{
    const loopsafe::context_error error({.code = errc::no_context,
                                         .resource = "x",
                                         .home = {},
                                         .asked = {},
                                         .operation = "y",
                                         .used = {},
                                         .advice = {}});
    const loopsafe::context_error copy = error; // NOLINT: the copy is what is tested
    CHECK(&copy.report() == &error.report());
    CHECK(text_of(copy) == error.what());
}

} // namespace

} // namespace error_tests
