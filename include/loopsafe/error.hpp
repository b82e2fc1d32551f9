// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ERROR_HPP
#define LOOPSAFE_ERROR_HPP

#include <loopsafe/fwd.hpp>

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/error_condition.hpp>
#include <boost/system/system_error.hpp>

#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <type_traits>

namespace loopsafe {

using boost::system::error_code;

/// Errors of this library, besides those of the operating system and the peer.
enum class errc {
    wrong_context = 1, ///< used from a living context that is not the resource's home
    context_closed,    ///< the resource's home context is gone
    no_context,    ///< the caller names no context: empty executor, system_executor, plain callback
    lease_expired, ///< the lease is empty, or its context is gone
    pool_closed,   ///< the pool was closed
    acquire_timeout, ///< no connection became free within `acquire_timeout`
    connect_timeout, ///< a new connection was not ready within `connect_timeout`
    queue_full,      ///< the queue of the pool, or of the worker threads, is full
    close_timeout,   ///< leases were still out when the limit of `async_close()` passed
    nested_run,      ///< run() was called inside run()
    main_stuck,      ///< main was given up, since it could not complete any more
    bad_option,      ///< an invalid option, named in the message
    workers_closed,  ///< the worker threads were closed
    would_deadlock,  ///< a worker thread would wait for its own set of threads
    no_thread,       ///< no worker thread could be started
    busy,            ///< an abandoned call still uses the connection
    task_lost,       ///< a task was destroyed before it had ended
    all_failed,      ///< none of the operations of `first_success()` succeeded
    timed_out,       ///< a deadline passed
    task_stuck       ///< a task went on after its cancellation for longer than `grace`
};

/// Groups of errors that callers usually handle alike.
enum class condition {
    context_misuse = 1, ///< wrong_context, context_closed, no_context, lease_expired
    timeout,            ///< acquire_timeout, connect_timeout, close_timeout, timed_out
    overloaded          ///< acquire_timeout, queue_full, no_thread
};

/// The category of `errc`. Thread safety: safe.
const boost::system::error_category& errc_category() noexcept;
/// The category of `condition`. Thread safety: safe.
const boost::system::error_category& condition_category() noexcept;

error_code make_error_code(errc e) noexcept;
boost::system::error_condition make_error_condition(condition c) noexcept;

/// How a context first became known.
enum class context_origin : std::uint8_t { none, seen, named, run, runner };

/// What is known about one context, copied at the time of the error.
struct context_info {
    std::uint64_t number = 0; ///< 0: no context
    std::string name;
    bool alive = false;
    context_origin origin = context_origin::none;
    std::source_location where = {}; ///< of run, runner, name_context, or the first use

    explicit operator bool() const noexcept { return number != 0; }
};

/// Everything that is known about a refusal.
struct context_report {
    errc code = errc::wrong_context;
    std::string resource;           ///< what was used, with its name
    context_info home;              ///< the resource's context
    context_info asked;             ///< the caller's context
    std::string operation;          ///< what was attempted
    std::source_location used = {}; ///< where it was attempted
    std::string advice;             ///< what to do instead

    /// The whole text, on several lines. Complexity: linear in its length.
    std::string to_string() const;
};

/// Thrown when a resource is used on a context that is not its home.
///
/// `what()` is the whole report; `code()` is the `errc`.
/// Thread safety: as an exception object; copies share one immutable report.
class context_error : public boost::system::system_error {
public:
    explicit context_error(context_report report);

    const context_report& report() const noexcept { return shared_->report; }
    const char* what() const noexcept override { return shared_->text.c_str(); }

private:
    struct shared {
        context_report report;
        std::string text;
    };
    std::shared_ptr<const shared> shared_;
};

/// What the errors of connections have in common: `what()` ends with the place in the program that
/// asked for what failed.
/// Thread safety: as an exception object; copies share one immutable text.
class located_error : public boost::system::system_error {
public:
    located_error(error_code code, const std::string& what, const std::source_location& where = {});

    /// Where the failed operation was called; line 0 if that is not known.
    const std::source_location& where() const noexcept { return where_; }

    const char* what() const noexcept override;

    /// If none is known yet: the first one is nearest to the failure.
    void add_place(const std::source_location& where);

protected:
    void add_line(const std::string& line);

private:
    std::shared_ptr<const std::string> text_; // with the lines
    std::source_location where_;
};

} // namespace loopsafe

template <>
struct boost::system::is_error_code_enum<loopsafe::errc> : std::true_type {};
template <>
struct boost::system::is_error_condition_enum<loopsafe::condition> : std::true_type {};

#include <loopsafe/impl/error.hpp>

#endif
