// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_RUNNER_HPP
#define LOOPSAFE_RUN_RUNNER_HPP

#include <loopsafe/async/detail/existing_handler.hpp>
#include <loopsafe/async/detail/first_error.hpp>
#include <loopsafe/async/detail/is_awaitable.hpp>
#include <loopsafe/never.hpp>
#include <loopsafe/run/spawn.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/config.hpp>

#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace loopsafe {
namespace detail {

template <class T>
struct awaited {};
template <class T>
struct awaited<asio::awaitable<T>> {
    using type = T;
};
struct main_state;
struct single_run;
template <class Main>
using result_of_main = typename awaited<std::invoke_result_t<Main>>::type;

// Their names stand in the compiler's error.
struct pass_a_function_that_returns_this_awaitable {};
struct pass_a_function_that_returns_an_awaitable {};
template <class Other>
using cure_of_main = std::conditional_t<is_awaitable<std::remove_cvref_t<Other>>,
                                        pass_a_function_that_returns_this_awaitable,
                                        pass_a_function_that_returns_an_awaitable>;

} // namespace detail

/// A function without arguments that returns an `awaitable`.
template <class Main>
concept main_function = requires { typename detail::result_of_main<Main>; };

/// Options of `run()` and of a `runner`.
struct run_options {
    /// How long nothing may happen in the context before `main` has ended; then `main` is cancelled
    /// and `main_stuck` is thrown. It must be longer than anything that `main` may wait for. For
    /// tests, where a main that waits for ever should fail rather than hang. A main that cannot be
    /// cancelled, as one that awaits a timer of a context that nobody runs, is waited for all the
    /// same.
    std::chrono::milliseconds quiet_limit = never;
};

namespace detail {

// What is likely to be meant as one. No more, since run() is also found for other functions of that
// name, by their arguments.
template <class Other>
concept mistaken_for_main =
    !main_function<Other> && (is_awaitable<std::remove_cvref_t<Other>> || std::invocable<Other>);

} // namespace detail

/// One context for many calls, in sequence: what outlives a call, such as the connections of a
/// pool, serves the next.
///
/// Thread safety: distinct objects safe, shared objects unsafe.
class runner {
public:
    explicit runner(std::source_location where = std::source_location::current());

    /// Errors: `bad_option` (as `system_error`) if `quiet_limit` is not positive.
    explicit runner(const run_options& options,
                    std::source_location where = std::source_location::current());

    runner(const runner&) = delete;
    runner& operator=(const runner&) = delete;

    /// Same as `close()`, but ignores its exceptions. If code that this runner runs calls it, that
    /// `run()` keeps the context and destroys it on its way out.
    ~runner();

    /// Runs `main()` to its end and returns its result. Background tasks continue in the next
    /// `run()`.
    ///
    /// It never leaves `main` suspended. If another handler of the context throws, or stops the
    /// context, `main` is cancelled (terminal) and awaited first, however long it takes to end.
    ///
    /// Errors: what `main` throws, or another handler before it. `nested_run` (as `system_error`)
    /// inside another `run()` of this thread, which this one would block; `main_stuck` if what
    /// `main` awaits is destroyed, or if the context is stopped, or runs out of work, before `main`
    /// has ended. Whatever is pending counts as work, also what nobody will complete: for a channel
    /// to which nobody sends, or a timer of a context that nobody runs, this waits as long as
    /// `main` does, or for `run_options::quiet_limit`.
    template <main_function Main>
    detail::result_of_main<Main> run(Main&& main);

    /// A coroutine is made on the context that runs it: `run([&] { return main(arguments); })`.
    template <detail::mistaken_for_main Other, class Cure = detail::cure_of_main<Other>>
    void run(Other&&) = delete;

    /// Cancels what `spawn()` started, waits for it, and rethrows the first error: of another
    /// handler that threw meanwhile, else of a task. Idempotent.
    void close();

    /// The executor of the context, for pools whose home it is to be.
    boost::asio::any_io_executor get_executor() const { return state_->context.get_executor(); }

private:
    friend struct detail::single_run;

    struct state {
        boost::asio::io_context context{1};
        std::chrono::milliseconds quiet_limit = never;
        bool running = false;
    };
    struct running_mark;

    runner(context_origin origin, const run_options& options, const std::source_location& where);
    static bool run_one(state& s);
    static bool run_one_more(state& s);
    [[noreturn]] static void fail_stuck(const state& s, const detail::main_state& main);
    static void end_tasks(state& s);
    static void end_main(state& s, detail::main_state& main) noexcept;

    std::shared_ptr<state> state_;
};

/// Runs `main()` on a fresh context, to its end, and returns its result.
///
/// When `main` has ended, tasks started with `spawn()` are cancelled and awaited; then the context
/// is destroyed, and with it everything that still lives on it, connections of pools included.
///
/// Errors: as `runner::run()`. An exception of `main` takes precedence over the first error of a
/// task.
/// Thread safety: safe; each thread may have one `run()` in progress.
template <main_function Main>
detail::result_of_main<Main> run(Main&& main,
                                 std::source_location where = std::source_location::current());

/// The same, with options.
template <main_function Main>
detail::result_of_main<Main> run(Main&& main, const run_options& options,
                                 std::source_location where = std::source_location::current());

/// A coroutine is made on the context that runs it: `run([&] { return main(arguments); })`.
template <detail::mistaken_for_main Other, class Cure = detail::cure_of_main<Other>>
void run(Other&&) = delete;

} // namespace loopsafe

#include <loopsafe/run/impl/runner.hpp>

#endif
