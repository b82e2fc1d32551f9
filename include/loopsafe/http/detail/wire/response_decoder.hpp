// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_WIRE_RESPONSE_DECODER_HPP
#define LOOPSAFE_HTTP_DETAIL_WIRE_RESPONSE_DECODER_HPP

#include <loopsafe/http/detail/wire/chunked_decoder.hpp>
#include <loopsafe/http/detail/wire/head_parser.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace loopsafe::http::detail {

// Decodes the response to one request, from the first byte of its first interim response to the
// last of its trailers. It reads nothing and waits for nothing: the caller passes bytes in, cut
// anywhere.
class response_decoder {
public:
    response_decoder(const limits& most, bool to_head, response_head& head, fields& trailers)
        : most_(most), to_head_(to_head), head_(head), trailers_(trailers)
    {
        parser_.emplace(most_, head_);
    }
    response_decoder(const response_decoder&) = delete;
    response_decoder& operator=(const response_decoder&) = delete;

    bool head_done() const noexcept { return !parser_.has_value(); }
    bool done() const noexcept { return done_; }

    // The rest of a body with an announced length: it may be read without the decoder, which must
    // then be notified by skip().
    std::uint64_t plain_left() const noexcept { return framing_ == framing::length ? left_ : 0; }
    void skip(std::uint64_t bytes) noexcept
    {
        left_ -= bytes;
        done_ = left_ == 0;
    }
    // The announced length, if any, for a reader that shows its progress.
    std::optional<std::uint64_t> length() const noexcept { return length_; }

    // Consumes what it can from the front of `in`.
    decoded put(std::string_view in, error_code& ec)
    {
        ec = {};
        if (!head_done())
            return {put_head(in, ec)};
        decoded step;
        switch (framing_) {
        case framing::length:
            step.used = static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size()));
            step.body = in.substr(0, step.used);
            skip(step.used);
            return step;
        case framing::chunked:
            step = chunks_->put(in, ec);
            done_ = chunks_->done();
            return step;
        case framing::until_eof: return {in.size(), in};
        case framing::none: break;
        }
        return step;
    }

    // The peer has sent its last byte.
    void end_of_stream(error_code& ec) noexcept
    {
        if (head_done() && framing_ == framing::until_eof)
            done_ = true;
        if (!done_)
            ec = errc::incomplete;
    }

    // Whether the connection can be reused. If the head announces a body that must not exist, that
    // body may still be on its way.
    bool keeps_alive() const noexcept { return done_ && keep_alive_; }

    // Whether the head has a field Keep-Alive.
    bool has_keep_alive_field() const noexcept { return has_keep_alive_field_; }

private:
    enum class framing { none, length, chunked, until_eof };

    std::size_t put_head(std::string_view in, error_code& ec)
    {
        std::size_t used = 0;
        while (!head_done()) {
            const auto step = parser_->put_head(in.substr(used), ec);
            used += step;
            if (ec || !parser_->is_done())
                return used;
            if (head_.status == 101) {
                ec = errc::unasked_upgrade;
            } else if (head_.status < 100 || head_.status >= 200) {
                decide();
            } else if (++interim_ > most_.interim) {
                ec = errc::too_many_interim;
            } else {
                parser_.emplace(most_, head_);
            }
            if (ec || used == in.size())
                return used;
        }
        return used;
    }

    // RFC 9112, 6.3
    void decide()
    {
        const bool bodiless = head_.status == 204 || head_.status == 304;
        const bool chunked = parser_->is_chunked();
        const bool sized = parser_->has_length();
        has_keep_alive_field_ = parser_->has_keep_alive_field();
        keep_alive_ = parser_->keep_alive();
        if (sized)
            length_ = left_ = parser_->length();
        if (to_head_ || bodiless) {
            // A 304 may say how long the body would be that it does not have (RFC 9110, 15.4.5).
            if (bodiless && (chunked || (left_ != 0 && head_.status == 204)))
                keep_alive_ = false;
            done_ = true;
        } else if (chunked) {
            framing_ = framing::chunked;
            chunks_.emplace(most_, trailers_);
        } else if (sized) {
            framing_ = framing::length;
            done_ = left_ == 0;
        } else {
            framing_ = framing::until_eof;
            keep_alive_ = false;
        }
        parser_.reset();
    }

    const limits& most_;
    const bool to_head_;
    response_head& head_;
    fields& trailers_;
    std::optional<head_parser> parser_;
    std::optional<chunked_decoder> chunks_;
    std::optional<std::uint64_t> length_;
    framing framing_ = framing::none;
    std::uint64_t left_ = 0;
    std::size_t interim_ = 0;
    bool keep_alive_ = false;
    bool has_keep_alive_field_ = false;
    bool done_ = false;
};

} // namespace loopsafe::http::detail

#endif
