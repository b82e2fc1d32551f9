// SPDX-License-Identifier: BSL-1.0
// What it costs to leave the loop and to come back, and what the loop notices of it.
#include "../support/heap.hpp"
#include "measure.hpp"

#include <loopsafe/context/pin.hpp>
#include <loopsafe/thread_offload.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cerrno>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <sched.h>
#include <system_error>
#include <thread>
#include <vector>

namespace {

using namespace bench;
using namespace std::chrono_literals;

// Where the thread that is woken runs. It costs several times as much to wake one on another
// processor, more than what is measured here, so that no thread may choose.
enum class place { beside_the_caller, elsewhere };

cpu_set_t allowed()
{
    static const cpu_set_t at_the_start = [] {
        cpu_set_t set;
        CPU_ZERO(&set);
        sched_getaffinity(0, sizeof set, &set);
        return set;
    }();
    return at_the_start;
}

void stay_in(const cpu_set_t& set)
{
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
}

// The calling thread's processor from now on; the same two in every run.
void stay(place where)
{
    const cpu_set_t set = allowed();
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i != CPU_SETSIZE; ++i) {
        if (CPU_ISSET(i, &set))
            found.push_back(i);
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(where == place::elsewhere ? found.back() : found.front(), &one);
    stay_in(one);
}

// A thread that is woken for each round, and wakes whoever asked.
template <class Answer>
class partner {
public:
    partner(place where, Answer answer)
        : thread_([this, where, answer] {
              stay(where);
              work(answer);
          })
    {
    }
    ~partner()
    {
        wake(ending);
        thread_.join();
    }

    void ask() { wake(asked); }

private:
    static constexpr int resting = 0;
    static constexpr int asked = 1;
    static constexpr int ending = 2;

    void wake(int what)
    {
        const std::lock_guard lock(mutex_);
        what_ = what;
        changed_.notify_one();
    }

    void work(const Answer& answer)
    {
        for (;;) {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return what_ != resting; });
            if (what_ == ending)
                return;
            what_ = resting;
            lock.unlock();
            answer();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    int what_ = resting;
    std::thread thread_;
};

// The bare cost: a thread is woken through a condition variable, and wakes a context by a post that
// nothing protects. The context has a timer, as one with input and output does: without any, it
// would not wait for them and be cheaper to wake.
template <place Where>
double time_bare(int calls)
{
    asio::io_context context(1);
    const asio::steady_timer timer(context);
    const auto work = asio::make_work_guard(context);
    const auto executor = context.get_executor();
    int left = calls;
    std::function<void()> again;
    partner thread(Where, [&] { asio::post(executor, [&again] { again(); }); });
    again = [&] {
        if (left-- != 0)
            thread.ask();
        else
            context.stop();
    };
    return nanoseconds([&] {
        again();
        context.run();
    });
}

// No context at all: two threads that wake each other.
template <place Where>
double time_two_threads(int calls)
{
    std::mutex mutex;
    std::condition_variable changed;
    bool answered = false;
    partner thread(Where, [&] {
        const std::lock_guard lock(mutex);
        answered = true;
        changed.notify_one();
    });
    return nanoseconds([&] {
        for (int i = 0; i != calls; ++i) {
            thread.ask();
            std::unique_lock lock(mutex);
            changed.wait(lock, [&] { return answered; });
            answered = false;
        }
    });
}

asio::awaitable<void> hop(loopsafe::worker_threads& one, int times)
{
    for (; times != 0; --times)
        co_await loopsafe::offload({.workers = &one}, [] {});
}

template <place Where>
double time_offload(int calls)
{
    loopsafe::worker_threads one({.max_threads = 1, .idle_timeout = loopsafe::never});
    asio::io_context context(1);
    run(context, loopsafe::offload({.workers = &one}, stay, Where));
    const double taken = nanoseconds([&] { run(context, hop(one, calls)); });
    one.join(loopsafe::never);
    return taken;
}

// What keeps a context from dying while its caller is woken.
double time_gate(int calls)
{
    asio::io_context context(1);
    const auto home = loopsafe::context_of(context);
    bool all = true;
    return nanoseconds([&] {
        for (int i = 0; i != calls; ++i) {
            const loopsafe::context_pin pin(home);
            all = all && pin.may_touch();
            keep(all);
        }
    });
}

// Of the caller's thread, and of the worker's.
asio::awaitable<void> count_allocations(loopsafe::worker_threads& one, int calls, long& allocated)
{
    for (int i = 0; i != 10; ++i)
        co_await loopsafe::offload({.workers = &one}, [] {});
    co_await loopsafe::offload({.workers = &one}, [] {
        heap::allocations = 0;
        heap::watched = true;
    });
    {
        const heap::watch counting;
        for (int i = 0; i != calls; ++i)
            co_await loopsafe::offload({.workers = &one}, [] {});
        allocated = heap::allocations;
    }
    allocated += co_await loopsafe::offload({.workers = &one}, [] {
        heap::watched = false;
        return heap::allocations;
    });
}

void heap_row()
{
    loopsafe::worker_threads one({.max_threads = 1, .idle_timeout = loopsafe::never});
    asio::io_context context(1);
    long allocated = -1;
    run(context, count_allocations(one, 10'000, allocated));
    row("heap allocations in 10000 calls, on both threads", static_cast<double>(allocated),
        "allocations", 0, 0);
}

asio::awaitable<void> tick(bool& done, std::chrono::steady_clock::duration& longest)
{
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!done) {
        const auto last = std::chrono::steady_clock::now();
        timer.expires_after(1ms);
        co_await timer.async_wait(asio::use_awaitable);
        longest = std::max(longest, std::chrono::steady_clock::now() - last);
    }
}

asio::awaitable<void> block(int& left, bool& done)
{
    co_await loopsafe::offload([] { std::this_thread::sleep_for(10ms); });
    done = --left == 0;
}

// The longest time between two ticks of a millisecond.
double longest_gap(int calls)
{
    asio::io_context context(1);
    bool done = false;
    int left = calls;
    std::chrono::steady_clock::duration longest{};
    for (int i = 0; i != calls; ++i)
        asio::co_spawn(context, block(left, done), asio::detached);
    asio::steady_timer end(context, 250ms); // as long as the calls take on 40 threads
    if (calls == 0)
        end.async_wait([&](const loopsafe::error_code&) { done = true; });
    run(context, tick(done, longest));
    return std::chrono::duration<double, std::milli>(longest).count();
}

template <place Where>
void hop_rows(const std::string& placed)
{
    stay(place::beside_the_caller);
    const auto best =
        least(2'000, 20, time_bare<Where>, time_offload<Where>, time_two_threads<Where>);
    stay_in(allowed());
    row("offload and back, " + placed, best[1], "ns", best[0], 1.25);
    row("waking a context, beside two bare threads, " + placed, best[0], "ns", best[2]);
}

} // namespace

int main()
{
    hop_rows<place::elsewhere>("to another processor");
    hop_rows<place::beside_the_caller>("on one processor");
    row("the gate: a context is kept from dying, and let go", least(100'000, 20, time_gate)[0],
        "ns", 0.0);
    heap_row();
    const double quiet = longest_gap(0);
    row("longest gap between ticks of 1 ms, beside 1000 blocking calls of 10 ms", longest_gap(1000),
        "ms", quiet);
}
