// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_SESSION_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_SESSION_HPP

#include <loopsafe/testing/detail/lambda_service/http_answer.hpp>
#include <loopsafe/testing/detail/lambda_service/http_request.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace loopsafe::testing::detail {

namespace asio = boost::asio;

class session;

// Who answers. All of it is called on the service's thread.
class session_owner {
public:
    virtual void on_head(session& from) = 0;                     // before its body has come
    virtual void on_chunk(session& from, std::string chunk) = 0; // as it comes
    virtual void on_request(session& from) = 0;
    virtual void on_lost(session& from) = 0; // in mid-request, or while it waits for an answer
    virtual void on_garbage(session& from) = 0;

protected:
    ~session_owner() = default;
};

// One connection. It goes on reading while a request waits for its answer, so that it notices when
// the other side leaves; an answer may be sent before the whole request has come.
class session : public std::enable_shared_from_this<session> {
public:
    session(asio::ip::tcp::socket socket, session_owner& owner)
        : socket_(std::move(socket)), owner_(owner)
    {
        boost::system::error_code ignored;
        socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    }

    const http_request& request() const { return *request_; }
    bool answered() const noexcept { return answered_; }

    std::shared_ptr<void> about; // what the owner remembers of the request

    void answer(http_answer what, const std::optional<fault>& wrong = std::nullopt)
    {
        send(write_answer(std::move(what), wrong, request_->keep_alive()));
    }

    void send(outgoing what)
    {
        answered_ = true;
        out_ = std::move(what.bytes);
        asio::async_write(socket_, asio::buffer(out_),
                          [self = shared_from_this(),
                           after = what.after](const boost::system::error_code& ec, std::size_t) {
                              if (!ec)
                                  self->sent(after);
                          });
    }

    void reset()
    {
        answered_ = true;
        sent(outgoing::then::reset);
    }

    static asio::awaitable<void> serve(std::shared_ptr<session> self)
    {
        for (bool open = true; open;) {
            open = co_await self->read_request();
            if (open)
                self->owner_.on_request(*self);
            while (open && !self->sent_)
                open = co_await self->read_some();
        }
        self->leave();
    }

private:
    void sent(outgoing::then after)
    {
        boost::system::error_code ignored;
        switch (after) {
        case outgoing::then::keep:
            sent_ = true;
            if (!input_.empty())
                socket_.cancel(ignored); // there is another request already
            return;
        case outgoing::then::close:
            socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
            return;
        case outgoing::then::reset:
            socket_.set_option(asio::socket_base::linger(true, 0), ignored);
            socket_.close(ignored);
            return;
        case outgoing::then::stall: return;
        }
    }

    void leave()
    {
        if (request_ && request_->got_some() && !answered_)
            owner_.on_lost(*this);
        boost::system::error_code ignored;
        socket_.close(ignored);
    }

    asio::awaitable<bool> read_request()
    {
        request_.emplace();
        about.reset();
        sent_ = answered_ = false;
        std::size_t told = 0;
        bool told_head = false;
        while (!request_->is_done()) {
            boost::beast::error_code ec;
            const auto used = request_->put(asio::buffer(input_), ec);
            input_.erase(0, used);
            if (request_->is_header_done() && !std::exchange(told_head, true)) {
                if (boost::beast::iequals(request_->field_text("Expect"), "100-continue"))
                    go_on();
                owner_.on_head(*this);
            }
            for (; told < request_->chunks.size(); ++told)
                owner_.on_chunk(*this, request_->chunks[told]);
            if (ec == boost::beast::http::error::need_more)
                ec = {};
            if (ec) {
                owner_.on_garbage(*this);
                co_return false;
            }
            if (used == 0 && !request_->is_done()) {
                const bool more = co_await read_some();
                if (!more)
                    co_return false;
            }
        }
        co_return true;
    }

    void go_on() // a line that fits into every buffer
    {
        boost::system::error_code ignored;
        socket_.send(asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25), 0, ignored);
    }

    asio::awaitable<bool> read_some()
    {
        std::array<char, 65536>& into = *room_;
        const auto [ec, n] = co_await socket_.async_read_some(asio::buffer(into),
                                                              asio::as_tuple(asio::use_awaitable));
        input_.append(into.data(), n);
        co_return !ec || (ec == asio::error::operation_aborted && socket_.is_open());
    }

    asio::ip::tcp::socket socket_;
    session_owner& owner_;
    std::optional<http_request> request_;
    std::unique_ptr<std::array<char, 65536>> room_ = std::make_unique<std::array<char, 65536>>();
    std::string input_;
    std::string out_;
    bool answered_ = false;
    bool sent_ = false;
};

} // namespace loopsafe::testing::detail

#endif
