// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: it has one thread.
//
// Where the bytes of a large body go, and how much is set aside for them before they come.

#include <loopsafe/http/detail/connection/receiver.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace receiver_tests {

namespace {

using namespace loopsafe::http;
using loopsafe::error_code;

constexpr std::size_t MiB = 1024 * 1024;

// A connection without one: what the receiver asks for is given in pieces of at most so many bytes.
class fed {
public:
    explicit fed(std::size_t body_bytes) : call_("GET", "http://a/", request_body())
    {
        most_.body_bytes = body_bytes;
        call_.most = &most_;
        receiver_.begin(call_);
    }

    void give(std::string_view bytes, std::size_t most_at_once)
    {
        while (!bytes.empty()) {
            error_code ec;
            const auto room = receiver_.room(call_, ec);
            REQUIRE(!ec);
            REQUIRE(room.size() != 0);
            largest_room_ = std::max(largest_room_, room.size());
            const auto n = std::min({bytes.size(), room.size(), most_at_once});
            std::memcpy(room.data(), bytes.data(), n);
            bytes.remove_prefix(n);
            receiver_.came(call_, n);
            is_whole_ = receiver_.advance(call_, ec);
            REQUIRE(!ec);
        }
    }

    // What the next read would be given, without its coming.
    error_code ask()
    {
        error_code ec;
        receiver_.room(call_, ec);
        return ec;
    }

    void end() { receiver_.end(call_); }

    bool is_whole() const noexcept { return is_whole_; }
    std::size_t largest_room() const noexcept { return largest_room_; }
    const std::string& body() const noexcept { return call_.answer.body; }

private:
    limits most_;
    detail::call call_;
    detail::receiver receiver_;
    std::size_t largest_room_ = 0;
    bool is_whole_ = false;
};

std::string head(std::size_t length)
{
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

std::string bytes(std::size_t n)
{
    std::string made(n, '\0');
    unsigned state = 1;
    for (auto& each : made) {
        state = state * 1664525 + 1013904223;
        each = static_cast<char>(state >> 24);
    }
    return made;
}

TEST_CASE("http: a body larger than what is set aside on a server's word comes whole")
{
    const auto sent = bytes(20 * MiB + 12345);
    for (const std::size_t at_once : {sent.size(), 100 * 1000 + std::size_t{7}}) {
        CAPTURE(at_once);
        fed from(64 * MiB);
        from.give(head(sent.size()) + sent.substr(0, 1000), at_once);
        from.give(std::string_view(sent).substr(1000), at_once);
        CHECK(from.is_whole());
        from.end();
        CHECK((from.body() == sent)); // not printed
        CHECK(from.largest_room() == 256 * 1024);
    }
}

TEST_CASE("http: memory is set aside for what has come, and 8 MiB on a server's word")
{
    const auto sent = bytes(24 * MiB);
    fed from(4096 * MiB);
    from.give(head(4000 * MiB), MiB);
    for (std::size_t came = 0; came != sent.size(); came += MiB) {
        CHECK(!from.ask());
        CHECK(from.body().capacity() <= 2 * came + 8 * MiB);
        from.give(std::string_view(sent).substr(came, MiB), MiB);
    }
}

TEST_CASE("http: a body that is announced larger than the limit is not begun")
{
    fed from(4096 * MiB);
    from.give(head(4096 * MiB + 1), MiB);
    CHECK(from.ask() == errc::body_too_large);
    CHECK(from.body().capacity() < 1024);
}

} // namespace

} // namespace receiver_tests
