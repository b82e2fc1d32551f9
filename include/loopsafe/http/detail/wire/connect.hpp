// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_WIRE_CONNECT_HPP
#define LOOPSAFE_HTTP_DETAIL_WIRE_CONNECT_HPP

#include <loopsafe/http/detail/wire/head_parser.hpp>
#include <loopsafe/http/detail/wire/request_head.hpp>
#include <loopsafe/http/proxies.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

// Asks a proxy for a tunnel to an origin (RFC 9110, 9.3.6).
inline std::string connect_request(const origin& to, const proxy& through)
{
    using namespace std::string_view_literals;
    const auto authority = proxy{to.host, to.port, {}}.to_string(); // the port is never left out
    std::string text;
    append_all(text, "CONNECT "sv, authority, " HTTP/1.1\r\nHost: "sv, authority, "\r\n"sv);
    if (!through.authorization.empty())
        write_field(text, "Proxy-Authorization", through.authorization);
    text.append("\r\n"sv);
    return text;
}

// Reads the answer, from the first byte of its first interim response to the last of its head. What
// its fields say of a body counts for nothing.
class connect_answer {
public:
    explicit connect_answer(const limits& most) : most_(most)
    {
        parser_.emplace(most_, head_, body_fields::ignored);
    }
    connect_answer(const connect_answer&) = delete;
    connect_answer& operator=(const connect_answer&) = delete;

    bool done() const noexcept { return !parser_; }
    bool opens_tunnel() const noexcept { return head_.ok(); }
    int status() const noexcept { return head_.status; }

    // Consumes whole lines from the front of `in`. Returns how much was used.
    std::size_t put(std::string_view in, error_code& ec)
    {
        ec = {};
        std::size_t used = 0;
        while (!done()) {
            used += parser_->put_head(in.substr(used), ec);
            if (ec || !parser_->is_done())
                return used;
            if (head_.status == 101)
                ec = errc::unasked_upgrade;
            else if (head_.status < 100 || head_.status >= 200)
                parser_.reset();
            else if (++interim_ > most_.interim)
                ec = errc::too_many_interim;
            else
                parser_.emplace(most_, head_, body_fields::ignored);
            if (ec)
                return used;
        }
        if (opens_tunnel() && used != in.size())
            ec = errc::proxy_sent_more;
        return used;
    }

private:
    const limits& most_;
    response_head head_;
    std::optional<head_parser> parser_;
    std::size_t interim_ = 0;
};

} // namespace loopsafe::http::detail

#endif
