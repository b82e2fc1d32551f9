// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_API_CHANNEL_HPP
#define LOOPSAFE_LAMBDA_DETAIL_API_CHANNEL_HPP

#include <loopsafe/http/detail/connection/buffer.hpp>
#include <loopsafe/http/detail/connection/lazy_deadline.hpp>
#include <loopsafe/http/detail/connection/plain_transport.hpp>
#include <loopsafe/http/detail/wire/response_decoder.hpp>
#include <loopsafe/lambda/detail/endpoint.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::lambda::detail {

namespace asio = boost::asio;

// What the Runtime API answers.
struct api_answer : http::response_head {
    std::string body;
    http::fields trailers;
};

// A connection to the Runtime API, for one exchange after the other.
class api_channel {
public:
    using transport = http::detail::plain_transport;

    // `patience`: how long the service may take to go on.
    api_channel(transport carrier, const asio::any_io_executor& executor,
                std::chrono::milliseconds patience)
        : transport_(std::move(carrier)),
          deadline_(executor, transport_.native_handle()),
          patience_(patience)
    {
    }

    std::chrono::milliseconds patience() const noexcept { return patience_; }

    // It owns what it uses: who asked for it may be gone before it ends.
    // Errors: of the operating system, and of the resolver, as `system_error`.
    static asio::awaitable<std::shared_ptr<api_channel>> connect(endpoint to,
                                                                 std::chrono::milliseconds patience)
    {
        const asio::any_io_executor executor =
            loopsafe::detail::bare(co_await asio::this_coro::executor);
        error_code ec;
        std::vector<asio::ip::address> addresses{asio::ip::make_address(to.host, ec)};
        const auto port = static_cast<std::uint16_t>(std::min(std::atoi(to.port.c_str()), 65535));
        if (ec) {
            asio::ip::tcp::resolver resolver(executor);
            const auto [failed, found] =
                co_await resolver.async_resolve(to.host, to.port, asio::as_tuple(asio::deferred));
            if (failed)
                throw boost::system::system_error(failed, "resolve " + to.host);
            addresses.clear();
            for (const auto& each : found)
                addresses.push_back(each.endpoint().address());
        }
        std::shared_ptr<api_channel> channel;
        for (std::size_t i = 0; i != addresses.size(); ++i) {
            const asio::ip::tcp::endpoint reached(addresses[i], port);
            transport::socket socket(executor);
            socket.open(reached.protocol());
            channel =
                std::make_shared<api_channel>(transport(std::move(socket)), executor, patience);
            channel->deadline_.set({}, patience, std::nullopt);
            const auto [failed] = co_await channel->transport_.next_layer().async_connect(
                reached, asio::as_tuple(asio::deferred));
            if (!failed)
                break;
            if (failed == asio::error::operation_aborted || i + 1 == addresses.size())
                channel->fail(failed, "connect to " + to.authority());
        }
        channel->deadline_.clear();
        error_code ignored;
        channel->transport_.next_layer().set_option(asio::ip::tcp::no_delay(true), ignored);
        co_return channel;
    }

    // Between two exchanges: it takes another.
    bool is_usable() noexcept { return clean_ && in_.empty() && transport_.is_silent(); }

    // Of the exchange that begins with this.
    void begin() noexcept
    {
        clean_ = accepted_early_ = false;
        sent_ = received_ = 0;
    }
    bool has_sent() const noexcept { return sent_ != 0; }

    // Writes all of it. False: the service has refused, or closed, before it had everything.
    // Errors: as `system_error`.
    asio::awaitable<bool> write(std::string_view head, std::string_view body)
    {
        while (write_now(head, body) == written::partly) {
            deadline_.set({}, patience_, std::nullopt);
            const bool goes_on = co_await may_go_on(); // GCC 12 miscompiles it in a condition
            if (!goes_on)
                co_return false;
        }
        deadline_.clear();
        co_return head.empty() && body.empty();
    }

    enum class written { all, partly, refused };

    // As much of it as there is room for; what is left is left in the arguments.
    // Errors: as `system_error`, if nothing of the request was written.
    written write_now(std::string_view& head, std::string_view& body)
    {
        while (!(head.empty() && body.empty())) {
            error_code ec;
            std::size_t n = 0;
            if (!transport_.try_write_some({asio::buffer(head), asio::buffer(body)}, ec, n))
                return written::partly;
            if (ec) {
                if (sent_ == 0 || deadline_.expired())
                    fail(ec, "write to the Runtime API");
                return written::refused;
            }
            sent_ += n;
            const auto of_head = std::min(n, head.size());
            head.remove_prefix(of_head);
            body.remove_prefix(n - of_head);
        }
        return written::all;
    }

    // The request ends in the middle: the service sees that, and may say so.
    asio::awaitable<void> break_off()
    {
        error_code ignored;
        transport_.next_layer().shutdown(asio::socket_base::shutdown_send, ignored);
        try {
            co_await read(patience_, false);
        } catch (const boost::system::system_error&) {
        }
    }

    // The request is whole: its answer, for whose first byte this waits so long.
    // Errors: as `system_error`.
    asio::awaitable<api_answer> read(std::chrono::milliseconds first_byte, bool request_is_whole)
    {
        const http::limits most{.body_bytes = 64 * 1024 * 1024};
        api_answer answer;
        http::detail::response_decoder decoder(most, false, answer, answer.trailers);
        while (!decoder.done()) {
            if (!in_.empty()) {
                error_code ec;
                const auto step = decoder.put(in_.data(), ec);
                if (ec || step.body.size() > most.body_bytes - answer.body.size())
                    fail(ec ? ec : http::make_error_code(http::errc::body_too_large),
                         "what the Runtime API answers");
                answer.body.append(step.body);
                const bool stuck = step.used == 0;
                in_.consume(step.used);
                if (!stuck || decoder.done())
                    continue;
            }
            const auto room = in_.prepare();
            deadline_.set({}, received_ == 0 ? first_byte : patience_, std::nullopt);
            const auto [ec, n] = co_await transport_.next_layer().async_read_some(
                room, asio::as_tuple(asio::deferred));
            received_ += n;
            in_.commit(n);
            if (!ec)
                continue;
            error_code wrong;
            if (ec != asio::error::eof || deadline_.expired())
                fail(ec, "read from the Runtime API");
            decoder.end_of_stream(wrong);
            if (wrong)
                fail(received_ == 0 ? ec : wrong, "read from the Runtime API");
        }
        deadline_.clear();
        clean_ = request_is_whole && decoder.keeps_alive() && in_.empty();
        co_return answer;
    }

    // The same on another context, with what has been read, and whatever the exchange has come to.
    // Null if it cannot be. Preconditions: no operation is pending. Errors: `bad_alloc`; it is
    // closed then.
    static std::shared_ptr<api_channel> moved(std::shared_ptr<api_channel> from,
                                              const asio::any_io_executor& executor)
    {
        auto parked = from != nullptr ? from->transport_.detach() : std::nullopt;
        if (!parked)
            return nullptr;
        auto there = std::make_shared<api_channel>(transport::attach(*parked, executor), executor,
                                                   from->patience_);
        there->in_ = std::move(from->in_);
        there->sent_ = from->sent_;
        there->received_ = from->received_;
        there->clean_ = from->clean_;
        there->accepted_early_ = from->accepted_early_;
        return there;
    }

private:
    // Waits until there may be room to write. False: the service wants no more.
    asio::awaitable<bool> may_go_on()
    {
        error_code failed;
        if (accepted_early_) {
            const auto [ec] = co_await transport_.next_layer().async_wait(
                asio::socket_base::wait_write, asio::as_tuple(asio::deferred));
            failed = ec;
        } else {
            const auto [ec] = co_await transport_.async_wait_either(asio::as_tuple(asio::deferred));
            failed = ec;
        }
        if (failed)
            fail(failed, "write to the Runtime API");
        co_return accepted_early_ || transport_.is_silent() || takes_the_rest();
    }

    // A service that hands the response on while it comes may accept it when it has only begun. It
    // still waits for the rest then; so does one that has not said yet what it does.
    bool takes_the_rest()
    {
        constexpr std::size_t status = std::string_view("HTTP/1.1 ").size();
        error_code ec;
        std::size_t n = 0;
        while (in_.data().size() <= status && transport_.try_read_some(in_.prepare(), ec, n)) {
            if (ec)
                return false;
            received_ += n;
            in_.commit(n);
        }
        if (in_.data().size() <= status)
            return true;
        accepted_early_ = in_.data()[status] < '3';
        return accepted_early_;
    }

    [[noreturn]] void fail(error_code ec, const std::string& what)
    {
        if (deadline_.expired())
            ec = asio::error::timed_out;
        throw boost::system::system_error(loopsafe::detail::without_place(ec), what);
    }

    transport transport_;
    http::detail::lazy_deadline<asio::steady_timer> deadline_; // destroyed before the descriptor
    http::detail::buffer in_;
    const std::chrono::milliseconds patience_;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
    bool clean_ = true;
    bool accepted_early_ = false; // what is being sent
};

} // namespace loopsafe::lambda::detail

#endif
