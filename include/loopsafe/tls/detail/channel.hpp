// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TLS_DETAIL_CHANNEL_HPP
#define LOOPSAFE_TLS_DETAIL_CHANNEL_HPP

#include <loopsafe/tcp/detail/stream_op.hpp>
#include <loopsafe/tls/detail/engine.hpp>
#include <loopsafe/tls/detail/settings.hpp>

#include <boost/asio/associator.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace loopsafe::detail {

// The state of a stream. An operation in progress shares it, so that the stream may be destroyed at
// any moment; the operation then finds it closed.
struct tls_channel {
    tls_channel(asio::ip::tcp::socket connected, std::shared_ptr<const tls_settings> known)
        : settings(std::move(known)),
          socket(std::move(connected)),
          engine(settings->context(), socket.native_handle())
    {
        settings->prepare(engine.handle());
    }

    // A connection whose handshake is done.
    tls_channel(asio::ip::tcp::socket connected, std::shared_ptr<const tls_settings> known,
                tls_engine&& speaking) noexcept
        : settings(std::move(known)), socket(std::move(connected)), engine(std::move(speaking))
    {
    }

    ~tls_channel() { close(); }

    // The descriptor may belong to something else from now on, so the engine must not be used any
    // more.
    void close() noexcept
    {
        if (!socket.is_open())
            return;
        engine.say_goodbye();
        error_code ignored;
        socket.close(ignored);
    }

    std::shared_ptr<const tls_settings> settings; // the engine's context calls into it
    asio::ip::tcp::socket socket;
    tls_engine engine;
    op_count ops;
    std::vector<char> gathered; // of a write in many small pieces
};

// One buffer for one record: the first that is not empty or, if that is small, as much of all of
// them as fits into a record.
template <class ConstBuffers>
asio::const_buffer to_write(tls_channel& channel, const ConstBuffers& buffers)
{
    constexpr std::size_t record = 16 * 1024;
    constexpr std::size_t large = 8 * 1024;
    asio::const_buffer first;
    std::size_t total = 0;
    for (auto i = asio::buffer_sequence_begin(buffers); i != asio::buffer_sequence_end(buffers);
         ++i) {
        const asio::const_buffer next(*i);
        if (first.size() == 0)
            first = next;
        total += next.size();
    }
    if (first.size() == total || first.size() >= large)
        return first;
    channel.gathered.resize(std::min(total, record));
    return asio::buffer(channel.gathered.data(),
                        asio::buffer_copy(asio::buffer(channel.gathered), buffers));
}

template <class MutableBuffers>
asio::mutable_buffer to_read(const MutableBuffers& buffers)
{
    for (auto i = asio::buffer_sequence_begin(buffers); i != asio::buffer_sequence_end(buffers);
         ++i) {
        if (const asio::mutable_buffer next(*i); next.size() != 0)
            return next;
    }
    return {};
}

// The data to be read or written: one type for both, so that the code for it is compiled once.
class tls_buffer {
public:
    tls_buffer(const asio::mutable_buffer& to) noexcept : to_(to), reads_(true) {}
    tls_buffer(const asio::const_buffer& from) noexcept : from_(from) {}

    bool reads() const noexcept { return reads_; }
    bool empty() const noexcept { return to_.size() + from_.size() == 0; }
    tls_step transfer(tls_engine& engine) const noexcept
    {
        return reads_ ? engine.read(to_.data(), to_.size())
                      : engine.write(from_.data(), from_.size());
    }

private:
    asio::mutable_buffer to_;
    asio::const_buffer from_;
    bool reads_ = false;
};

// Reads or writes at most one record. It waits before it tries to read: data is seldom there at
// once, and a failed attempt is a system call.
template <class Handler>
class tls_transfer {
public:
    tls_transfer(std::shared_ptr<tls_channel> shared, const tls_buffer& what, Handler&& to_call)
        : handler(std::move(to_call)), channel_(std::move(shared)), buffer_(what)
    {
    }

    void operator()(error_code ec = {})
    {
        if (at_ == place::end) {
            std::move(handler)(step_.ec, step_.bytes);
            return;
        }
        const bool first = std::exchange(at_, place::waited) == place::start;
        if (!ec && !channel_->socket.is_open())
            ec = asio::error::operation_aborted;
        if (ec) {
            step_ = {.ec = ec};
        } else if (buffer_.empty()) {
            step_ = {};
        } else if (first && buffer_.reads() && !channel_->engine.has_pending()) {
            step_ = {.needs = tls_step::wait::to_read};
        } else {
            step_ = buffer_.transfer(channel_->engine);
        }
        auto& socket = channel_->socket;
        if (step_.needs == tls_step::wait::to_read) {
            socket.async_wait(asio::socket_base::wait_read, std::move(*this));
        } else if (step_.needs == tls_step::wait::to_write) {
            socket.async_wait(asio::socket_base::wait_write, std::move(*this));
        } else if (first) { // a handler is not called from within the function that takes it
            at_ = place::end;
            asio::post(socket.get_executor(), std::move(*this));
        } else {
            std::move(handler)(step_.ec, step_.bytes);
        }
    }

    Handler handler;

private:
    enum class place { start, waited, end };

    std::shared_ptr<tls_channel> channel_;
    tls_buffer buffer_;
    tls_step step_;
    place at_ = place::start;
};

} // namespace loopsafe::detail

template <template <class, class> class Associator, class Handler, class Default>
struct boost::asio::associator<Associator, loopsafe::detail::tls_transfer<Handler>, Default>
    : Associator<Handler, Default> {
    static auto get(const loopsafe::detail::tls_transfer<Handler>& t) noexcept
    {
        return Associator<Handler, Default>::get(t.handler);
    }
    static auto get(const loopsafe::detail::tls_transfer<Handler>& t, const Default& d) noexcept
    {
        return Associator<Handler, Default>::get(t.handler, d);
    }
};

#endif
