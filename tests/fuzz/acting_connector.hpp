// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_ACTING_CONNECTOR_HPP
#define LOOPSAFE_TESTS_FUZZ_ACTING_CONNECTOR_HPP

#include <loopsafe/testing/scripted_connector.hpp>

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

/// What a connection does last, when its objects are gone.
struct connection_end {
    using function = std::shared_ptr<const std::function<void()>>;

    explicit connection_end(function f) : act(std::move(f)) {}
    connection_end(connection_end&&) noexcept = default;
    connection_end& operator=(connection_end&&) = delete;
    ~connection_end()
    {
        if (act != nullptr)
            (*act)();
    }

    std::shared_ptr<boost::asio::io_context> context; // may be the last owner
    function act;
};

/// A scripted connection whose end calls back, and which may own the context that it is on.
class acting_connection : private connection_end, public loopsafe::testing::scripted_connection {
    using scripted = loopsafe::testing::scripted_connection;

public:
    acting_connection(scripted&& of, function act)
        : connection_end(std::move(act)), scripted(std::move(of))
    {
    }

    void own(std::shared_ptr<boost::asio::io_context> home) { context = std::move(home); }
};

/// What it connects acts when it ends.
class acting_connector {
    using scripted = loopsafe::testing::scripted_connector;

public:
    using connection_type = acting_connection;
    using handle_type = scripted::handle_type;

    static constexpr bool frames_messages = true;

    acting_connector(std::shared_ptr<loopsafe::testing::connect_script> script,
                     connection_end::function act)
        : inner_(std::move(script)), act_(std::move(act))
    {
    }

    boost::asio::awaitable<acting_connection> connect(boost::asio::any_io_executor executor) const
    {
        auto made = co_await inner_.connect(std::move(executor));
        co_return acting_connection(std::move(made), act_);
    }
    bool is_clean(const acting_connection& c) const noexcept { return inner_.is_clean(c); }
    bool probe(acting_connection& c) const noexcept { return inner_.probe(c); }
    bool needs_reset(const acting_connection& c) const noexcept { return inner_.needs_reset(c); }
    boost::asio::awaitable<void> reset(acting_connection& c) const { return inner_.reset(c); }
    std::optional<handle_type> detach(acting_connection& c) const noexcept
    {
        return inner_.detach(c);
    }
    acting_connection attach(handle_type&& handle,
                             const boost::asio::any_io_executor& executor) const
    {
        return {inner_.attach(std::move(handle), executor), act_};
    }
    void abandon(acting_connection& c) const noexcept { inner_.abandon(c); }
    void abandon(handle_type& handle) const noexcept { inner_.abandon(handle); }

private:
    scripted inner_;
    connection_end::function act_;
};

static_assert(loopsafe::connector<acting_connector>);
static_assert(loopsafe::can_reset<acting_connector> && loopsafe::can_abandon<acting_connector> &&
              loopsafe::can_carry<acting_connector>);

#endif
