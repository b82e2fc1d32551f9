// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_RUN_IMPL_RUNNER_HPP
#define LOOPSAFE_RUN_IMPL_RUNNER_HPP

namespace loopsafe {
namespace detail {

inline BOOST_SYMBOL_VISIBLE thread_local bool thread_is_running = false;

struct main_state {
    asio::cancellation_signal cancellation;
    std::exception_ptr error;
    bool done = false;
    bool exists = false; // its coroutine, whether begun, suspended or done
};

template <class T>
struct main_outcome : main_state {
    std::optional<T> value;
};

template <>
struct main_outcome<void> : main_state {};

// The completion handler of main: nothing that refers to the caller of run() outlives that call.
class main_handler : public existing_handler<main_state> {
public:
    using existing_handler::existing_handler;

    void operator()(const std::exception_ptr& error) const
    {
        if (error != nullptr)
            std::rethrow_exception(error);
    }
};

// The function object must live as long as its coroutine, which refers to its captures.
template <class Main, class Outcome>
asio::awaitable<void> run_main(std::decay_t<Main> main, std::shared_ptr<Outcome> outcome)
{
    try {
        if constexpr (std::is_void_v<result_of_main<Main>>)
            co_await std::invoke(main);
        else
            outcome->value.emplace(co_await std::invoke(main));
    } catch (...) {
        outcome->error = std::current_exception();
    }
    outcome->done = true;
}

} // namespace detail

struct detail::single_run {
    static runner on_fresh_context(const run_options& options, const std::source_location& where)
    {
        return runner(context_origin::run, options, where);
    }
};

struct runner::running_mark {
    explicit running_mark(state& s) : state_(s)
    {
        if (std::exchange(detail::thread_is_running, true))
            throw boost::system::system_error(make_error_code(errc::nested_run),
                                              "co_await the inner function instead of running it");
        state_.running = true;
    }
    running_mark(const running_mark&) = delete;
    ~running_mark()
    {
        state_.running = false;
        detail::thread_is_running = false;
    }

private:
    state& state_;
};

inline runner::runner(std::source_location where) : runner(context_origin::runner, {}, where) {}

inline runner::runner(const run_options& options, std::source_location where)
    : runner(context_origin::runner, options, where)
{
}

inline runner::runner(context_origin origin, const run_options& options,
                      const std::source_location& where)
    : state_(std::make_shared<state>())
{
    if (options.quiet_limit <= std::chrono::milliseconds::zero())
        throw boost::system::system_error(make_error_code(errc::bad_option),
                                          "run_options::quiet_limit must be more than 0");
    state_->quiet_limit = options.quiet_limit;
    detail::state_of(state_->context)->name({}, origin, where);
}

inline runner::~runner()
{
    if (state_->running)
        return;
    try {
        close();
    } catch (...) { // a destructor cannot report errors; close() can
    }
}

// False if nothing happens any more, or has not for too long.
inline bool runner::run_one(state& s)
{
    constexpr auto no_limit = std::chrono::hours(24 * 365); // Asio adds it to the time of day
    return s.quiet_limit < no_limit ? s.context.run_one_for(s.quiet_limit) != 0
                                    : s.context.run_one() != 0;
}

inline void runner::fail_stuck(const state& s, const detail::main_state& main)
{
    throw boost::system::system_error(make_error_code(errc::main_stuck),
                                      s.context.stopped() || !main.exists
                                          ? "main awaits something that nothing will complete"
                                          : "main awaits something, and nothing has happened for " +
                                                std::to_string(s.quiet_limit.count()) +
                                                " ms (run_options::quiet_limit)");
}

// False if there is nothing left to do. A context that a handler has stopped goes on.
inline bool runner::run_one_more(state& s)
{
    if (s.context.run_one() != 0)
        return true;
    s.context.restart();
    return s.context.run_one() != 0;
}

inline void runner::end_tasks(state& s)
{
    auto& tasks = context_local<detail::background_tasks>::in(s.context.get_executor());
    detail::first_error of_others;
    {
        const detail::background_tasks::ending until_all_have_ended(tasks);
        s.context.restart();
        bool more = true;
        while (more && !tasks.empty())
            of_others.try_to([&] { more = run_one_more(s); });
    }
    const auto error = tasks.take_error();
    of_others.rethrow();
    if (error != nullptr)
        std::rethrow_exception(error);
}

inline void runner::close()
{
    const auto kept = state_;
    const running_mark mark(*kept);
    end_tasks(*kept);
}

inline void runner::end_main(state& s, detail::main_state& main) noexcept
{
    detail::first_error ignored; // run() throws one that came before
    ignored.try_to([&] { main.cancellation.emit(boost::asio::cancellation_type::terminal); });
    while (main.exists) {
        s.context.restart();
        ignored.try_to([&] { s.context.run_one(); });
    }
}

template <main_function Main>
detail::result_of_main<Main> runner::run(Main&& main)
{
    using result = detail::result_of_main<Main>;
    const auto kept = state_; // main may destroy the runner
    const running_mark mark(*kept);
    const auto outcome = std::make_shared<detail::main_outcome<result>>();
    try {
        boost::asio::co_spawn(kept->context,
                              detail::run_main<Main>(std::forward<Main>(main), outcome),
                              detail::main_handler(outcome));
        kept->context.restart();
        while (!outcome->done && outcome->exists && run_one(*kept)) {}
        if (!outcome->done)
            fail_stuck(*kept, *outcome);
    } catch (...) {
        end_main(*kept, *outcome); // it may refer to objects of the caller
        throw;
    }
    if (outcome->error != nullptr)
        std::rethrow_exception(outcome->error);
    if constexpr (!std::is_void_v<result>)
        return std::move(*outcome->value);
}

template <main_function Main>
detail::result_of_main<Main> run(Main&& main, std::source_location where)
{
    return run(std::forward<Main>(main), run_options(), where);
}

template <main_function Main>
detail::result_of_main<Main> run(Main&& main, const run_options& options,
                                 std::source_location where)
{
    runner once = detail::single_run::on_fresh_context(options, where);
    if constexpr (std::is_void_v<detail::result_of_main<Main>>) {
        once.run(std::forward<Main>(main));
        once.close();
    } else {
        auto result = once.run(std::forward<Main>(main));
        once.close();
        return result;
    }
}

} // namespace loopsafe

#endif
