// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_RECEIVER_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_RECEIVER_HPP

#include <loopsafe/http/detail/call.hpp>
#include <loopsafe/http/detail/connection/buffer.hpp>
#include <loopsafe/http/detail/wire/response_decoder.hpp>

#include <boost/asio/buffer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace loopsafe::http::detail {

// The bytes that have arrived on a connection, interpreted for the request in progress. It tells
// its caller where the next bytes should go, and gets their number; it reads nothing itself.
class receiver {
public:
    void begin(call& c)
    {
        c.answer.trailers.clear();
        c.answer.body.clear();
        filled_ = 0;
        decoder_.emplace(*c.most, std::string_view(c.asked.method) == "HEAD", c.answer,
                         c.answer.trailers);
    }

    bool head_done() const noexcept { return decoder_->head_done(); }
    bool done() const noexcept { return decoder_->done(); }
    bool keeps_alive() const noexcept { return decoder_->keeps_alive(); }
    bool has_keep_alive_field() const noexcept { return decoder_->has_keep_alive_field(); }

    // There is no more to read for now.
    bool is_enough(const call& c) const noexcept { return done() || (c.streamed && head_done()); }

    // Whether the response ends a request that is still being sent. A success does not: the server
    // may answer as it reads. Nor does an interim response.
    bool wants_no_more(const call& c) const noexcept
    {
        return head_done() &&
               (c.answer.status < 200 || c.answer.status >= 300 || (done() && !keeps_alive()));
    }

    // Everything that has arrived is used up.
    bool empty() const noexcept { return in_.empty(); }

    // Processes as much as it can of what has arrived. True: that is enough.
    bool advance(call& c, error_code& ec)
    {
        while (!in_.empty() && !is_enough(c)) {
            const bool in_head = !head_done();
            const auto part = decoder_->put(in_.data(), ec);
            if (!ec && !part.body.empty())
                ec = collect(c, part.body);
            in_.consume(part.used);
            if (in_head && head_done()) {
                c.answer.seen.stage = stage::body;
                c.length = decoder_->length();
            }
            if (ec)
                return true;
            if (in_head && !head_done())
                return false; // it needs the rest of a head
        }
        return is_enough(c);
    }

    // Where the next read goes: straight into the body if that is large, else into the buffer.
    boost::asio::mutable_buffer room(call& c, error_code& ec)
    {
        const auto left = decoder_->plain_left();
        direct_ = !c.streamed && left > buffer::least && in_.empty();
        if (!direct_)
            return in_.prepare();
        if (left > c.most->body_bytes - filled_) {
            ec = errc::body_too_large;
            return {};
        }
        auto& body = c.answer.body;
        if (body.size() == filled_) {
            const auto size = filled_ + static_cast<std::size_t>(std::min(left, most_at_once));
            if (body.capacity() < size)
                body.reserve(filled_ + static_cast<std::size_t>(std::min(left, most_on_trust)));
            body.resize(size);
        }
        return boost::asio::buffer(body.data() + filled_, body.size() - filled_);
    }

    // The same for a reader of the body, which has its own buffer.
    boost::asio::mutable_buffer room(boost::asio::mutable_buffer to)
    {
        const auto left = decoder_->plain_left();
        direct_ = left != 0;
        if (!direct_)
            return in_.prepare();
        return boost::asio::buffer(
            to, static_cast<std::size_t>(std::min<std::uint64_t>(left, to.size())));
    }

    // The buffer, for callers that only listen.
    boost::asio::mutable_buffer room()
    {
        direct_ = false;
        return in_.prepare();
    }

    // This many bytes have arrived there. Returns how many of them the reader now has.
    std::size_t came(call& c, std::size_t n)
    {
        c.answer.seen.bytes_received += n;
        if (!direct_) {
            in_.commit(n);
            return 0;
        }
        decoder_->skip(n);
        if (!c.streamed)
            filled_ += n;
        return n;
    }

    void end_of_stream(error_code& ec) noexcept { decoder_->end_of_stream(ec); }

    // Some bytes of the body, from the buffer.
    std::size_t copy_out(boost::asio::mutable_buffer to, error_code& ec)
    {
        const auto part = decoder_->put(in_.data().substr(0, to.size()), ec);
        if (!part.body.empty())
            std::memcpy(to.data(), part.body.data(), part.body.size());
        in_.consume(part.used);
        return part.body.size();
    }

    // Drops the rest of a body that has already arrived.
    void drain()
    {
        error_code ec;
        while (head_done() && !done() && !in_.empty() && !ec)
            in_.consume(decoder_->put(in_.data(), ec).used);
    }

    // The body may have been made larger than what arrived.
    void end(call& c)
    {
        if (c.streamed)
            c.answer.body.clear();
        else if (c.answer.body.size() != filled_)
            c.answer.body.resize(filled_);
    }

private:
    // For a body with an announced length. The target of a read has just been filled with zeros, so
    // it should fit into a cache.
    static constexpr std::uint64_t most_at_once = 256 * 1024;
    static constexpr std::uint64_t most_on_trust = 8 * 1024 * 1024;

    error_code collect(call& c, std::string_view part)
    {
        auto& body = c.answer.body;
        if (part.size() > c.most->body_bytes - filled_)
            return errc::body_too_large;
        if (body.size() != filled_)
            body.resize(filled_);
        body.append(part);
        filled_ += part.size();
        return {};
    }

    buffer in_;
    std::optional<response_decoder> decoder_;
    std::size_t filled_ = 0; // of the body
    bool direct_ = false;    // the read in progress bypasses the buffer
};

} // namespace loopsafe::http::detail

#endif
