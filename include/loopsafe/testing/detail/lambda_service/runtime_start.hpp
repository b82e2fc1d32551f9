// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_RUNTIME_START_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_RUNTIME_START_HPP

#include <loopsafe/testing/detail/lambda_service/checks.hpp>
#include <loopsafe/testing/detail/lambda_service/refusals.hpp>
#include <loopsafe/testing/detail/lambda_service/replies.hpp>
#include <loopsafe/testing/detail/lambda_service/runtime_state.hpp>
#include <loopsafe/testing/detail/lambda_service/session.hpp>
#include <loopsafe/testing/detail/lambda_service/waiting_runtimes.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::testing::detail {

// What comes before the first invocation: the start of the runtime, the snapshot and what is
// restored from it, and how each of them fails.
class runtime_start {
    using kind = lambda_violation::kind;

public:
    runtime_start(runtime_state& state, request_checks checks) : state_(state), checks_(checks) {}
    runtime_start(const runtime_start&) = delete;
    runtime_start& operator=(const runtime_start&) = delete;

    bool is_over() const noexcept { return state_ != runtime_state::started; }
    bool has_failed() const noexcept
    {
        return state_ == runtime_state::init_error || state_ == runtime_state::restore_error;
    }

    // Precondition: it has failed.
    const lambda_reply& failure() const noexcept { return failure_; }

    // False once it was refused. Otherwise the request still wants its answer.
    bool init_error(session& from)
    {
        if (state_ == runtime_state::restoring)
            return restore_error(from);
        if (is_over())
            return refuse(from, "/init/error", "InitError");
        return fail(runtime_state::init_error, from);
    }

    // False once it was refused. Otherwise the request still wants its answer.
    bool restore_error(session& from)
    {
        if (state_ != runtime_state::restoring)
            return refuse(from, "/restore/error", "RuntimeRestoreErrorState");
        return fail(runtime_state::restore_error, from);
    }

    void restore_next(session& from, const std::optional<fault>& wrong)
    {
        if (is_over()) {
            refuse(from, "/restore/next", "Ready");
            return;
        }
        state_ = runtime_state::restore_ready;
        restoring_ = {from.shared_from_this(), wrong};
    }

    // Precondition: the state is restore_ready.
    void restore()
    {
        state_ = runtime_state::restoring;
        const auto waiting = std::exchange(restoring_, {});
        if (waiting.from != nullptr)
            waiting.from->answer({}, waiting.wrong);
    }

    void lost(const session& from)
    {
        if (restoring_.from.get() == &from)
            restoring_ = {};
    }

    // The process is gone.
    void forget()
    {
        if (restoring_.from != nullptr)
            std::exchange(restoring_, {}).from->reset();
        state_ = runtime_state::started;
    }

private:
    bool refuse(session& from, const std::string& route, std::string_view to)
    {
        checks_.add(kind::wrong_state, route + " in the state " + std::string(to_string(state_)));
        from.answer(refuse_transition(state_, to));
        return false;
    }

    bool fail(runtime_state into, const session& from)
    {
        state_ = into;
        failure_ = reported(from.request(), lambda_reply::kind::failed_init);
        return true;
    }

    runtime_state& state_; // of the environment
    request_checks checks_;
    pending restoring_;
    lambda_reply failure_;
};

} // namespace loopsafe::testing::detail

#endif
