// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_PARKED_SESSION_HPP
#define LOOPSAFE_POSTGRES_DETAIL_PARKED_SESSION_HPP

#include <loopsafe/postgres/detail/session.hpp>

#include <memory>
#include <utility>

namespace loopsafe::postgres::detail {

// A session outside of any context.
class parked_session {
public:
    explicit parked_session(std::shared_ptr<session> s) noexcept : session_(std::move(s))
    {
        session_->leave();
    }
    parked_session(parked_session&&) noexcept = default;
    parked_session& operator=(parked_session&&) = delete;
    ~parked_session()
    {
        if (session_ != nullptr)
            session_->close(); // an operation that was never begun may share it
    }

    // Errors: those of the reactor; `bad_alloc`. The session can then only be closed.
    std::shared_ptr<session> attach(const asio::any_io_executor& executor, const context_ref& home)
    {
        session_->enter(executor, home);
        if (const auto ec = session_->socket->watch(PQsocket(session_->handle())))
            throw boost::system::system_error(ec, "postgres attach");
        return std::move(session_);
    }

    void abandon() noexcept
    {
        if (session_ != nullptr)
            session_->abandon();
    }

private:
    std::shared_ptr<session> session_;
};

} // namespace loopsafe::postgres::detail

#endif
