// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_IMPL_CONNECTOR_HPP
#define LOOPSAFE_POSTGRES_IMPL_CONNECTOR_HPP

#include <utility>

namespace loopsafe::postgres {
namespace detail {

inline bool between_messages(const session& s) noexcept
{
    return !s.closed() && !s.busy && !s.broken && !s.notices.alarmed() &&
           PQstatus(s.handle()) == CONNECTION_OK && !s.in_transaction();
}

inline settings complete(settings wanted)
{
    wanted.set_unless_given("gssencmode", "disable");
    wanted.set_unless_given("client_encoding", "UTF8");
    wanted.set_unless_given("fallback_application_name", "loopsafe");
    return wanted;
}

} // namespace detail

inline connector::connector(const std::string& conninfo, connector_options options,
                            notice_handler on_notice)
    : shared_(std::make_shared<const shared>(
          shared{detail::complete(detail::parse(conninfo)), options,
                 std::make_shared<const notice_handler>(std::move(on_notice))}))
{
}

inline boost::asio::awaitable<connection> connector::connect(boost::asio::any_io_executor executor,
                                                             std::source_location where) const
{
    return open(shared_, std::move(executor), where);
}

inline boost::asio::awaitable<connection> connector::open(std::shared_ptr<const shared> known,
                                                          boost::asio::any_io_executor executor,
                                                          std::source_location where)
{
    const auto shared = std::shared_ptr<const detail::settings>(known, &known->settings);
    auto s = co_await detail::open_session(shared, known->on_notice, std::move(executor), where);
    s->origin = shared;
    s->cancel_timeout = known->options.cancel_timeout;
    s->statements.limit(known->options.prepared ? known->options.max_prepared : 0);
    co_return connection(std::move(s));
}

inline bool connector::is_clean(const connection& conn) const noexcept
{
    const auto* s = conn.session_.get();
    return s != nullptr && detail::between_messages(*s) &&
           (shared_->options.reuse_after_error || !s->refused);
}

inline void connector::returned(connection& conn) const noexcept
{
    if (auto* const s = conn.session_.get(); s != nullptr)
        ++s->turn;
}

inline bool connector::probe(connection& conn) const noexcept
{
    auto* const s = conn.session_.get();
    return s != nullptr && detail::between_messages(*s) && detail::seems_alive(*s);
}

inline bool connector::needs_probe(const connection& conn) const noexcept
{
    const auto* const s = conn.session_.get();
    return s == nullptr ||
           loopsafe::detail::peek(PQsocket(s->handle())) != loopsafe::detail::arrival::nothing;
}

inline bool connector::needs_reset(const connection& conn) const noexcept
{
    return shared_->options.reset == reset_session::always ||
           (shared_->options.reset == reset_session::if_used && conn.session_ &&
            conn.session_->used);
}

inline boost::asio::awaitable<void> connector::reset(connection& conn) const
{
    return discard_all(conn.session_);
}

inline boost::asio::awaitable<void> connector::discard_all(std::shared_ptr<detail::session> s)
{
    co_await detail::exchange(s, statement(detail::discard_all), {}, stage::reset);
    s->as_new();
    s->used = false;
}

inline bool connector::postpone_reset(connection& conn,
                                      std::chrono::milliseconds limit) const noexcept
{
    auto* const s = conn.session_.get();
    if (s == nullptr || !shared_->options.reset_with_statement ||
        !detail::commits_a_reset_at_once(PQserverVersion(s->handle())))
        return false;
    s->reset_due = limit;
    return true;
}

inline std::optional<connector::handle_type> connector::detach(connection& conn) const noexcept
{
    return handle_type(std::move(conn.session_));
}

inline connection connector::attach(handle_type&& handle,
                                    const boost::asio::any_io_executor& executor,
                                    std::source_location where) const
{
    return connection(handle.attach(executor, context_of(executor, where)));
}

inline void connector::abandon(connection& conn) const noexcept
{
    if (conn.session_ != nullptr)
        conn.session_->abandon();
}

} // namespace loopsafe::postgres

#endif
