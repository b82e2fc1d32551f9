// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_CREDENTIAL_STORE_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_CREDENTIAL_STORE_HPP

#include <loopsafe/detail/process_generation.hpp>
#include <loopsafe/http/detail/layers/no_credentials.hpp>
#include <loopsafe/http/layers/aws_credentials.hpp>
#include <loopsafe/never.hpp>
#include <loopsafe/pool/connection_pool.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/error.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace loopsafe::http::detail {

namespace asio = boost::asio;

// Connections to nothing: a pool of one of these in each context is a turn that is taken there.
struct turn_connector {
    struct connection_type {};
    static constexpr bool frames_messages = true;

    asio::awaitable<connection_type> connect(asio::any_io_executor) const
    {
        co_return connection_type();
    }
    bool is_clean(const connection_type&) const noexcept { return true; }
    bool probe(connection_type&) const noexcept { return true; }
};

// The credentials of a source, kept until they must be replaced. They belong to no context, and no
// context waits for another: where they are missing each fetches its own, one request at a time,
// and the others of that context wait for what comes of it.
//
// For five minutes before they must be replaced one request in a minute tries to, while the others
// use what there is: a source that fails for a moment stops nobody.
class credential_store {
public:
    using pointer = std::shared_ptr<const aws_credentials>;
    using time_point = std::chrono::system_clock::time_point;
    using clock = std::function<time_point()>;

    explicit credential_store(std::shared_ptr<const aws_credential_source> from)
        : from_(std::move(from)), turns_(turn_connector(), one_at_a_time())
    {
    }

    struct found {
        pointer usable;        // null: there are none
        bool must_try = false; // to get others
    };
    found look(time_point now) const
    {
        const std::lock_guard lock(mutex_);
        if (kept_ == nullptr || are_of_another_process())
            return {nullptr, true};
        if (!kept_->expires)
            return {kept_, false};
        const auto left = *kept_->expires - now;
        if (left <= least)
            return {nullptr, true};
        const bool early = left <= wanted && (now >= next_try_ || now + pause < next_try_);
        if (early)
            next_try_ = now + pause;
        return {kept_, early};
    }

    // `first`: what look() has found.
    asio::awaitable<pointer> replace(found first, const clock& now) const
    {
        if (first.usable != nullptr) {
            try {
                co_return co_await fetch(now);
            } catch (const error& e) {
                if (e.code() == asio::error::operation_aborted)
                    throw;
            }
            co_return first.usable;
        }
        const auto before = fetches();
        const auto turn = co_await turns_.acquire();
        if (auto again = look(now()); again.usable != nullptr)
            co_return again.usable;
        if (auto last = latest_since(before))
            co_return last;
        co_return co_await fetch(now);
    }

private:
    static constexpr auto wanted = std::chrono::minutes(15);
    static constexpr auto least = std::chrono::minutes(10);
    static constexpr auto pause = std::chrono::minutes(1);

    using pool = connection_pool<turn_connector, per_context_pool>;

    static pool::options one_at_a_time()
    {
        pool::options with;
        with.name = "http::sigv4, credentials";
        with.max_size = 1;
        with.max_waiting = std::numeric_limits<std::size_t>::max();
        with.acquire_timeout = never;
        return with;
    }

    static std::uint64_t current_generation() noexcept
    {
        return loopsafe::detail::process_generation.load(std::memory_order_relaxed);
    }

    bool are_of_another_process() const noexcept // under the lock
    {
        return loopsafe::detail::copied_between(generation_, current_generation());
    }

    std::uint64_t fetches() const
    {
        const std::lock_guard lock(mutex_);
        return fetches_;
    }

    // What a fetch that has ended since then has brought, or its error; null where there was none.
    pointer latest_since(std::uint64_t before) const
    {
        const std::lock_guard lock(mutex_);
        if (fetches_ == before || are_of_another_process())
            return nullptr;
        if (failed_)
            throw error(*failed_); // a copy, since places are added to it
        return kept_;
    }

    asio::awaitable<pointer> fetch(const clock& now) const
    {
        const auto generation = current_generation();
        try {
            auto given = co_await from_->get();
            const auto got = std::make_shared<const aws_credentials>(std::move(given));
            if (got->access_key_id.empty())
                refuse_credentials(from_->name(), "there are none");
            if (got->expires && *got->expires <= now())
                refuse_credentials(from_->name(), "they have expired");
            keep(generation, got, {});
            co_return got;
        } catch (const error& e) {
            if (e.code() != asio::error::operation_aborted)
                keep(generation, nullptr, e);
            throw;
        }
    }

    // What is kept stays where a fetch has failed.
    void keep(std::uint64_t generation, pointer got, std::optional<error> failed) const
    {
        const std::lock_guard lock(mutex_);
        ++fetches_;
        failed_ = std::move(failed);
        if (got != nullptr || loopsafe::detail::copied_between(generation_, generation))
            kept_ = std::move(got);
        generation_ = generation;
    }

    const std::shared_ptr<const aws_credential_source> from_;
    mutable pool turns_;
    mutable std::mutex mutex_;
    mutable pointer kept_;
    mutable std::optional<error> failed_; // the last fetch
    mutable std::uint64_t fetches_ = 0;   // that have ended
    mutable std::uint64_t generation_ = 0;
    mutable time_point next_try_ = {};
};

} // namespace loopsafe::http::detail

#endif
