// SPDX-License-Identifier: BSL-1.0
#include <loopsafe/thread_offload.hpp>

#include <array>
#include <thread>
#include <threads/support.hpp>

namespace offload_tests {

namespace {

using namespace threads;
using loopsafe::offload_options;
using loopsafe::on_cancel;
using loopsafe::worker_threads;

constexpr unsigned callers = 4; // threads, each with a context at a time
constexpr unsigned calls_of_each = 2500;
constexpr unsigned calls_on_a_context = 25;

struct unlucky : std::runtime_error {
    explicit unlucky(unsigned w) : std::runtime_error("unlucky"), which(w) {}
    unsigned which;
};

// What became of one call.
struct account {
    std::atomic<unsigned> ran{0};
    std::atomic<unsigned> results{0};
    std::atomic<unsigned> errors{0};
    std::atomic<unsigned> aborted{0};
    std::atomic<unsigned> destroyed{0}; // its caller, without any of these
};

struct books {
    std::array<account, callers * calls_of_each> of;
    std::atomic<unsigned> made{0}; // functions
    std::atomic<unsigned> gone{0};
    std::atomic<unsigned> wrong{0};
};

// The function of one call.
class errand {
public:
    errand(books& b, unsigned which, bool throws) : books_(&b), which_(which), throws_(throws)
    {
        ++b.made;
    }
    errand(errand&& other) noexcept
        : books_(other.books_), which_(other.which_), throws_(other.throws_)
    {
        ++books_->made;
    }
    errand(const errand& other) : books_(other.books_), which_(other.which_), throws_(other.throws_)
    {
        ++books_->made;
    }
    errand& operator=(errand) = delete;
    ~errand() { ++books_->gone; }

    unsigned operator()(const std::stop_token& stop) const
    {
        ++books_->of[which_].ran;
        for (unsigned i = 0; i != which_ % 64 * 64 && !stop.stop_requested(); ++i) {}
        if (throws_)
            throw unlucky(which_);
        return which_;
    }

private:
    books* books_;
    unsigned which_;
    bool throws_;
};

// Says so where its call ends in no other way. It goes along from the beginning: a frame may be
// destroyed before it begins.
class witness {
public:
    explicit witness(account& a) : of_(&a) {}
    witness(witness&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    witness& operator=(witness) = delete;
    ~witness()
    {
        if (of_ != nullptr)
            ++of_->destroyed;
    }

    account& saw_the_end() { return *std::exchange(of_, nullptr); }

private:
    account* of_;
};

asio::awaitable<void> call(books& b, unsigned which, offload_options how, errand e, witness w)
{
    try {
        const auto result = co_await loopsafe::offload(how, e);
        ++w.saw_the_end().results;
        if (result != which)
            ++b.wrong;
    } catch (const unlucky& error) {
        ++w.saw_the_end().errors;
        if (error.which != which)
            ++b.wrong;
    } catch (const boost::system::system_error& error) {
        ++w.saw_the_end().aborted;
        if (error.code() != asio::error::operation_aborted)
            ++b.wrong;
    }
}

// Makes calls on contexts that may die at any moment of them.
void make_calls(books& b, worker_threads& workers, unsigned caller)
{
    dice choice(caller);
    unsigned which = caller * calls_of_each;
    for (unsigned made = 0; made != calls_of_each; made += calls_on_a_context) {
        asio::io_context context(1);
        std::vector<std::shared_ptr<asio::cancellation_signal>> signals;
        for (unsigned i = 0; i != calls_on_a_context; ++i, ++which) {
            const auto mode = choice.below(2) == 0 ? on_cancel::wait : on_cancel::abandon;
            signals.push_back(std::make_shared<asio::cancellation_signal>());
            asio::co_spawn(context,
                           call(b, which, {.workers = &workers, .cancelled = mode},
                                errand(b, which, choice.below(4) == 0), witness(b.of[which])),
                           asio::bind_cancellation_slot(signals.back()->slot(), asio::detached));
        }
        for (auto& signal : signals) {
            if (choice.below(3) == 0)
                asio::post(context, [signal] { signal->emit(asio::cancellation_type::terminal); });
        }
        if (choice.below(2) == 0)
            context.run();
        else
            for (auto handlers = choice.below(3 * calls_on_a_context);
                 handlers != 0 && context.run_one() != 0; --handlers) {}
    }
}

TEST_SUITE_BEGIN("threads");

TEST_CASE("10,000 calls through four threads, with throws, cancellations and contexts that die: "
          "each is accounted for")
{
    const auto b = std::make_unique<books>();
    worker_threads workers({.max_threads = 4, .max_queued = callers * calls_of_each});
    {
        std::vector<std::jthread> threads;
        for (unsigned caller = 0; caller != callers; ++caller)
            threads.emplace_back([&, caller] { make_calls(*b, workers, caller); });
    }
    REQUIRE(workers.join(loopsafe::never));

    unsigned ran = 0;
    unsigned results = 0;
    unsigned errors = 0;
    unsigned aborted = 0;
    unsigned destroyed = 0;
    unsigned unbalanced = 0;
    for (const auto& each : b->of) {
        const unsigned ends = each.results + each.errors + each.aborted + each.destroyed;
        const bool needs_a_run = each.results + each.errors != 0;
        if (ends != 1 || each.ran > 1 || (needs_a_run && each.ran == 0))
            ++unbalanced;
        ran += each.ran;
        results += each.results;
        errors += each.errors;
        aborted += each.aborted;
        destroyed += each.destroyed;
    }
    CHECK(unbalanced == 0);
    CHECK(b->wrong == 0);
    CHECK(b->made == b->gone);
    CHECK(results + errors + aborted + destroyed == callers * calls_of_each);
    CHECK(results > 0);
    CHECK(errors > 0);
    CHECK(aborted > 0);
    CHECK(destroyed > 0);
    const auto stats = workers.stats();
    CHECK(stats.completed == ran);
    CHECK(stats.abandoned <= aborted + destroyed);
    CHECK(stats.running == 0);
    CHECK(stats.queued == 0);
    CHECK(stats.refused == 0);
    MESSAGE("seed ", seed(), ": ", results, " results, ", errors, " errors, ", aborted,
            " cancelled, ", destroyed, " callers destroyed; ", ran, " functions ran, ",
            stats.abandoned, " for nobody");
}

} // namespace

} // namespace offload_tests
