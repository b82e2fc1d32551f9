// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_WORKER_GATE_HPP
#define LOOPSAFE_TESTS_FUZZ_WORKER_GATE_HPP

#include "program.hpp"

#include <loopsafe/offload/offload.hpp>

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

/// One worker thread that goes from one known point to the next while the program waits: it is
/// inside a function that waits to be let go, or it has nothing to do.
class gated_worker {
public:
    explicit gated_worker(std::size_t threads)
        : workers_(std::in_place, loopsafe::worker_options{.max_threads = threads,
                                                           .max_queued = 3,
                                                           .idle_timeout = loopsafe::never}),
          threads_(threads)
    {
    }
    gated_worker(const gated_worker&) = delete;
    ~gated_worker() { require(workers_->join(loopsafe::never), "a worker that ends"); }

    loopsafe::worker_threads* threads() { return &*workers_; }
    void close()
    {
        closed_ = true;
        workers_->close();
        settle();
    }

    /// Called by a function on the worker: waits until the program lets it go.
    void pass()
    {
        if (threads_ == 0)
            return;
        std::unique_lock lock(mutex_);
        waiting_ = true;
        moved_.notify_all();
        moved_.wait(lock, [&] { return !waiting_; });
    }

    /// Lets the function go that waits, and waits for the worker's next point. False if none does.
    bool let_go()
    {
        {
            const std::lock_guard lock(mutex_);
            if (!waiting_)
                return false;
            waiting_ = false;
            moved_.notify_all();
        }
        settle();
        return true;
    }

    /// Waits until the worker is at a known point. Called when it may have got something to do.
    void settle()
    {
        if (!has_nothing_to_do())
            return; // it is inside a later function, so it has done with those before
        if (closed_) {
            workers_->join(loopsafe::never);
        } else if (workers_->stats().completed != completed_) {
            // It may still be waking the last caller. When it begins a function, it has done so.
            std::atomic<bool> begun = false;
            const auto mark = [&] { begun = true; };
            const auto told = [](const std::exception_ptr&) {};
            loopsafe::async_offload(marks_.get_executor(), mark, told, {.workers = threads()});
            while (!begun) {
                marks_.restart();
                marks_.poll();
                std::this_thread::yield();
            }
            has_nothing_to_do();
            completed_ = workers_->stats().completed;
        }
    }

private:
    // False if it waits inside of a function.
    bool has_nothing_to_do()
    {
        for (;;) {
            {
                const std::lock_guard lock(mutex_);
                if (waiting_)
                    return false;
            }
            const auto now = workers_->stats();
            if (now.running + now.queued == 0)
                return true;
            std::this_thread::yield();
        }
    }

    boost::asio::io_context marks_{1}; // outlives the threads
    std::optional<loopsafe::worker_threads> workers_;
    std::size_t threads_;
    std::mutex mutex_;
    std::condition_variable moved_;
    bool waiting_ = false;
    bool closed_ = false;
    std::uint64_t completed_ = 0;
};

#endif
