// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_LAMBDA_SERVICE_HPP
#define LOOPSAFE_TESTING_LAMBDA_SERVICE_HPP

#include <loopsafe/testing/detail/lambda_service/bell.hpp>
#include <loopsafe/testing/function_process.hpp>
#include <loopsafe/testing/lambda_fault.hpp>
#include <loopsafe/testing/lambda_reply.hpp>
#include <loopsafe/testing/lambda_service_options.hpp>
#include <loopsafe/testing/lambda_violation.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace loopsafe::testing {

namespace detail {
class invocation_call;
class service_core;
struct invocation_news;
} // namespace detail

/// One invocation under way, as `lambda_service::begin()` gives it. If it is destroyed before the
/// function got the event, the function does not get it any more; later it makes no difference.
///
/// Thread safety: distinct objects safe. The operations are for coroutines on any context, one at a
/// time; they may outlive this object and the service.
/// Per-operation cancellation: all types. What was not handed out yet comes with the next one.
class lambda_invocation {
public:
    lambda_invocation(lambda_invocation&&) noexcept;
    lambda_invocation& operator=(lambda_invocation&&) = delete;
    ~lambda_invocation();

    /// The next chunk of the response, as soon as it has come; nothing after the last one. A
    /// response that is not in chunks is one.
    boost::asio::awaitable<std::optional<std::string>> chunk();

    /// Waits for the end.
    boost::asio::awaitable<lambda_reply> reply();

private:
    friend class lambda_service;
    explicit lambda_invocation(std::shared_ptr<detail::invocation_news> from) noexcept;

    std::shared_ptr<detail::invocation_news> news_;
};

/// AWS Lambda's Runtime API and Extensions API for one function, on 127.0.0.1 and a port of the
/// system's choice, to test runtimes and functions with.
///
/// @code
/// testing::lambda_service service;
/// const auto function = service.start({.program = "./bootstrap"});
/// const auto reply = testing::block_on(service.invoke("{}"));
/// CHECK(reply.body == "{}");
/// CHECK(service.violations().empty());
/// @endcode
///
/// It runs on a thread of its own, so a runtime under test may block the test's thread, freeze, or
/// destroy its context. Its operations are for coroutines on any context; a test that is none calls
/// `block_on(operation)`.
///
/// What a runtime does against the protocol is answered as AWS answers it and listed in
/// `violations()`. Where AWS would end the function's process (a time-out, an error of its start),
/// the service only says so: the test decides. It sets no limit for the start.
///
/// Thread safety: safe. No function may be called on the service while it is destroyed, but what
/// waits may go on: an invocation ends as `lambda_reply::kind::gone`, other operations throw
/// `operation_aborted`.
/// Source: AWS Lambda's documentation ("Using the Lambda runtime API for custom runtimes", "Using
/// the Lambda Extensions API"), and AWS's emulator where that says nothing.
/// Platform: Linux 5.3 or newer.
class lambda_service {
public:
    explicit lambda_service(lambda_service_options options = {});
    lambda_service(const lambda_service&) = delete;
    lambda_service& operator=(const lambda_service&) = delete;
    ~lambda_service();

    /// What AWS_LAMBDA_RUNTIME_API is: "127.0.0.1:PORT", and the prefix where there is one.
    std::string endpoint() const;

    /// The environment that AWS gives a function, as "NAME=value".
    std::vector<std::string> environment(const std::string& handler = "bootstrap") const;

    // Invocations.

    /// Invokes the function with this event: now, or when it asks for one; the result waits for its
    /// reply. Events go out in the order of these calls.
    /// Per-operation cancellation: all types. An event that the function has not got is withdrawn.
    boost::asio::awaitable<lambda_reply> invoke(std::string_view event,
                                                const invoke_options& how = {});

    /// The same, for whoever wants to see the response while it comes.
    lambda_invocation begin(std::string_view event, const invoke_options& how = {});

    /// Waits until the function asks for an event, and has none to work on.
    boost::asio::awaitable<void> ready();

    /// Ends the invocations whose time is over. Only with a clock of one's own.
    void look_at_clock();

    // What the runtime did.

    std::vector<lambda_violation> violations() const;
    std::size_t requests(at where) const; ///< how many came, also those that were refused
    std::size_t connections() const;      ///< how many were accepted
    std::vector<std::string> extension_errors() const; ///< "name: type"

    // What goes wrong.

    /// The answer to the `nth` request of this kind from now on goes wrong; 0: each does.
    void fault(at where, std::size_t nth, testing::fault what);
    void clear_faults();

    /// Connections are refused until `listen_again()`. Those that there are stay.
    void stop_listening();
    void listen_again();

    // The function's process.

    /// Starts a program as the function. Its end is noticed: what it works on is
    /// `lambda_reply::kind::crashed`, and another process may be started. One that is started while
    /// another runs takes its place.
    /// Errors: `system_error` where the system makes no process. A program that cannot be run ends
    /// with 127.
    function_process start(const function_options& function);

    /// Freezes a process once the function is idle, as AWS does, until just before its next event.
    /// Completes when it stands still, with false if there is no such process any more.
    boost::asio::awaitable<bool> freeze(pid_t pid);

    /// Ends a process as AWS does: SIGTERM, SIGKILL if it is still there after `within`, and
    /// then SHUTDOWN for the extensions that asked for it. Where no extension is registered there
    /// is no SIGTERM. Completes when the process has ended. It need not be the service's.
    boost::asio::awaitable<termination>
    terminate(pid_t pid, std::chrono::milliseconds within = std::chrono::milliseconds(500));

    /// From now on it is another environment, as after a crash: a new runtime may begin. Without
    /// this, one that follows another which left while it waited for an event is refused.
    void restart();

    // Snapshots. Precondition: `lambda_service_options::snap_start`.

    /// Waits until the runtime asks for /restore/next, when AWS takes the snapshot.
    boost::asio::awaitable<void> prepared();

    /// Restores it: waits until it asks for that, answers, and waits until it asks for an event.
    /// The result is a response without a body, or what it reported to /restore/error.
    boost::asio::awaitable<lambda_reply> restore();

private:
    std::unique_ptr<detail::service_core> core_;
};

/// Runs an operation to its end on a context that is made for it, and returns its result: for tests
/// that are no coroutines.
template <class T>
T block_on(boost::asio::awaitable<T> operation)
{
    boost::asio::io_context context(1);
    return run_on(context, std::move(operation));
}

} // namespace loopsafe::testing

#include <loopsafe/testing/impl/lambda_service.hpp>

#endif
