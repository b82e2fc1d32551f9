// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_NOTICES_HPP
#define LOOPSAFE_POSTGRES_DETAIL_NOTICES_HPP

#include <loopsafe/postgres/detail/diagnose.hpp>
#include <loopsafe/postgres/diagnostics.hpp>

#include <exception>
#include <memory>
#include <utility>

namespace loopsafe::postgres::detail {

// Receives libpq's notices, which it would print to stderr. libpq is C: nothing may be thrown
// through it, so an exception of the handler is kept until the exchange is complete.
class notice_sink {
public:
    explicit notice_sink(std::shared_ptr<const notice_handler> handler) noexcept
        : handler_(std::move(handler))
    {
    }

    // Preconditions: this object outlives the connection's handle.
    void attach(PGconn* connection) noexcept { PQsetNoticeReceiver(connection, &receive, this); }

    void rethrow()
    {
        if (auto thrown = std::exchange(thrown_, nullptr))
            std::rethrow_exception(thrown);
    }

    void forget() noexcept { thrown_ = nullptr; }

    // For a new connection.
    void renew() noexcept
    {
        forget();
        alarmed_ = false;
    }

    const std::shared_ptr<const notice_handler>& handler() const noexcept { return handler_; }

    // An error outside of any statement, such as a shutdown, or data that libpq could not parse.
    bool alarmed() const noexcept { return alarmed_; }

private:
    static void receive(void* self, const PGresult* result) noexcept
    {
        static_cast<notice_sink*>(self)->take(result);
    }

    void take(const PGresult* result) noexcept
    {
        const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char* severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
        alarmed_ = alarmed_ || state == nullptr || severity == nullptr ||
                   std::string_view(severity) == "ERROR" || std::string_view(severity) == "FATAL" ||
                   std::string_view(severity) == "PANIC";
        if (handler_ == nullptr || *handler_ == nullptr)
            return;
        try {
            (*handler_)(diagnose(result));
        } catch (...) {
            if (thrown_ == nullptr)
                thrown_ = std::current_exception();
        }
    }

    std::shared_ptr<const notice_handler> handler_;
    std::exception_ptr thrown_;
    bool alarmed_ = false;
};

} // namespace loopsafe::postgres::detail

#endif
