// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_OFFLOAD_DETAIL_CONNECTOR_HPP
#define LOOPSAFE_OFFLOAD_DETAIL_CONNECTOR_HPP

#include <loopsafe/offload/blocking_connection.hpp>
#include <loopsafe/offload/detail/perform.hpp>
#include <loopsafe/pool/connector.hpp>

#include <chrono>
#include <memory>

namespace loopsafe::detail {

// Makes the connections of another connector on worker threads, each on a context of its own.
template <class Connector>
class offloaded_connector {
public:
    using blocking_type = blocking_connection<typename Connector::connection_type>;
    using connection_type = std::shared_ptr<blocking_type>;

    offloaded_connector(Connector how, worker_ref workers)
        : how_(std::make_shared<const Connector>(std::move(how))), workers_(std::move(workers))
    {
    }

    asio::awaitable<connection_type> connect(const asio::any_io_executor&) const
    {
        return offload_to(workers_, at_once, open, how_);
    }

    bool is_clean(const connection_type& c) const noexcept { return how_->is_clean(reading(c)); }
    bool probe(connection_type& c) const noexcept { return how_->probe(**c); }
    bool needs_probe(const connection_type& c) const noexcept
        requires can_ask_for_probe<Connector>
    {
        return how_->needs_probe(reading(c));
    }

    bool needs_reset(const connection_type& c) const noexcept
        requires can_reset<Connector>
    {
        return how_->needs_reset(reading(c));
    }

    asio::awaitable<void> reset(connection_type& c) const
        requires can_reset<Connector>
    {
        return offload_to(workers_, at_once, reset_one, how_, c);
    }

    bool postpone_reset(connection_type& c, std::chrono::milliseconds limit) const noexcept
        requires can_postpone_reset<Connector>
    {
        return how_->postpone_reset(**c, limit);
    }

    void abandon(connection_type& c) const noexcept
        requires can_abandon<Connector>
    {
        how_->abandon(**c);
    }

private:
    using connector_ref = std::shared_ptr<const Connector>;

    // A caller whose deadline has passed does not wait for the operating system to finish.
    static constexpr auto at_once = on_cancel::abandon;

    static const typename Connector::connection_type& reading(const connection_type& c) noexcept
    {
        return std::as_const(**c);
    }

    static connection_type open(std::stop_token stop, const connector_ref& how)
    {
        auto fresh = std::make_shared<blocking_type>();
        blocking_access::stop_with(*fresh, std::move(stop));
        blocking_access::connected(*fresh, fresh->wait(how->connect(fresh->get_executor())));
        return fresh;
    }

    static void reset_one(std::stop_token stop, const connector_ref& how, const connection_type& c)
        requires can_reset<Connector>
    {
        blocking_access::stop_with(*c, std::move(stop));
        c->wait(how->reset(**c));
    }

    connector_ref how_;
    worker_ref workers_;
};

} // namespace loopsafe::detail

#endif
