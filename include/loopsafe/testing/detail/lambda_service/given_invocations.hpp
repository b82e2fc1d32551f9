// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_GIVEN_INVOCATIONS_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_GIVEN_INVOCATIONS_HPP

#include <loopsafe/testing/detail/lambda_service/call.hpp>
#include <loopsafe/testing/detail/lambda_service/checks.hpp>
#include <loopsafe/testing/detail/lambda_service/session.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace loopsafe::testing::detail {

// The invocations that the runtime was given, by their ids, and what has become of each: which of
// them may still be answered.
class given_invocations {
    using kind = lambda_violation::kind;

public:
    using call_ptr = std::shared_ptr<invocation_call>;
    using by_id = std::map<std::string, call_ptr>;

    given_invocations(request_checks checks, bool one_at_a_time)
        : checks_(checks), one_at_a_time_(one_at_a_time)
    {
    }

    const by_id& running() const noexcept { return running_; }

    call_ptr find(const std::string& id) const
    {
        const auto found = running_.find(id);
        return found == running_.end() ? nullptr : found->second;
    }

    bool is_running(const call_ptr& call) const { return find(call->id) == call; }

    // An id may come again, as that of an event that is retried does.
    void enter(const std::string& id)
    {
        timed_out_.erase(id);
        answered_.erase(id);
    }

    // Gives the id of the one before.
    std::string give(const call_ptr& call)
    {
        running_[call->id] = call;
        return std::exchange(last_, call->id);
    }

    enum class standing { open, gone, wrong_state, bad_id };
    struct admission {
        standing is;
        call_ptr call; // that may be answered now
    };

    // What is against the protocol is noted.
    admission admit(const session& from, const std::string& id)
    {
        const auto call = find(id);
        if (call == nullptr)
            return {standing_of(id), nullptr};
        const auto* const echoed = find_field(from.request().fields, nonce_field);
        if (call->nonce.empty() && echoed != nullptr)
            checks_.add(kind::invented_nonce,
                        std::string(nonce_field) + " for " + id + ", whose event had none");
        if (!call->nonce.empty() && echoed == nullptr)
            checks_.add(kind::missing_nonce, std::string(nonce_field) + " is missing for " + id);
        if (!call->nonce.empty() && echoed != nullptr && *echoed != call->nonce) {
            checks_.add(kind::wrong_nonce,
                        std::string(nonce_field) + " of another event for " + id);
            return {standing::gone, nullptr};
        }
        if (call->answering) {
            checks_.add(kind::answered_id, "a second answer to " + id);
            return {one_at_a_time_ ? standing::wrong_state : standing::bad_id, nullptr};
        }
        return {standing::open, call};
    }

    void finish(const call_ptr& call)
    {
        running_.erase(call->id);
        answered_.try_emplace(call->id, false);
    }

    std::optional<std::chrono::nanoseconds> earliest_due() const
    {
        std::optional<std::chrono::nanoseconds> earliest;
        for (const auto& [id, call] : running_)
            earliest = std::min(earliest.value_or(call->due.monotonic), call->due.monotonic);
        return earliest;
    }

    std::vector<call_ptr> take_overdue(const clock_reading& now)
    {
        std::vector<call_ptr> overdue;
        for (const auto& [id, call] : running_) {
            if (now.monotonic >= call->due.monotonic)
                overdue.push_back(call);
        }
        for (const auto& call : overdue) {
            timed_out_.insert(call->id);
            finish(call);
        }
        return overdue;
    }

    // A runtime that cannot know that its answer has arrived may repeat it.
    void answered(const call_ptr& call, bool may_repeat) { answered_[call->id] = may_repeat; }

    // The process is gone. Gives what it had not answered.
    by_id forget()
    {
        last_.clear();
        return std::exchange(running_, {});
    }

private:
    standing standing_of(const std::string& id)
    {
        if (timed_out_.count(id) != 0)
            return standing::gone;
        const auto found = answered_.find(id);
        const bool is_known = found != answered_.end();
        if (!is_known)
            checks_.add(kind::unknown_id, "an answer to " + id + ", which was never given");
        else if (!found->second)
            checks_.add(kind::answered_id, "a second answer to " + id);
        return one_at_a_time_ && id == last_ && is_known ? standing::wrong_state : standing::bad_id;
    }

    request_checks checks_;
    const bool one_at_a_time_;
    by_id running_;
    std::map<std::string, bool> answered_; // and whether it may be answered again
    std::set<std::string> timed_out_;
    std::string last_; // that was given
};

} // namespace loopsafe::testing::detail

#endif
