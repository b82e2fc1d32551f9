// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_HTTP_FED_RESPONSE_HPP
#define LOOPSAFE_TESTS_HTTP_FED_RESPONSE_HPP

#include <loopsafe/http/error.hpp>
#include <loopsafe/http/incoming.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace http_test {

/// A response without a connection, whose body arrives in the parts that a test says: those of a
/// server are not to be foreseen. The readers that stand on it are also tried beside a server.
class fed_response : public loopsafe::http::incoming_response {
public:
    explicit fed_response(std::vector<std::string_view> parts) : parts_(std::move(parts)) {}

    /// In parts of this size.
    fed_response(std::string_view body, std::size_t part)
    {
        for (; !body.empty(); body.remove_prefix(std::min(part, body.size())))
            parts_.push_back(body.substr(0, part));
    }

    const loopsafe::http::response_head& head() const noexcept override { return given; }
    std::optional<std::uint64_t> length() const noexcept override { return announced; }
    const loopsafe::http::fields& trailers() const noexcept override { return none_; }
    const loopsafe::http::evidence& seen() const noexcept override { return seen_; }

    boost::asio::awaitable<std::size_t> read_some(boost::asio::mutable_buffer to,
                                                  std::source_location) override
    {
        ++reads;
        largest_room = std::max(largest_room, to.size());
        if (at_ == parts_.size()) {
            if (then != nullptr)
                std::rethrow_exception(then);
            co_return 0;
        }
        auto& part = parts_[at_];
        const auto n = std::min(part.size(), to.size());
        std::memcpy(to.data(), part.data(), n);
        part.remove_prefix(n);
        if (part.empty())
            ++at_;
        co_return n;
    }

    loopsafe::http::response_head given;
    std::optional<std::uint64_t> announced;
    std::exception_ptr then; ///< in place of the end
    std::size_t reads = 0;
    std::size_t largest_room = 0;

private:
    std::vector<std::string_view> parts_;
    std::size_t at_ = 0;
    loopsafe::http::fields none_;
    loopsafe::http::evidence seen_{.stage = loopsafe::http::stage::body};
};

/// How a reader ended: without an error where all was well.
struct end_of_reader {
    loopsafe::error_code ec;
    std::string why;
};

/// Hands `take` all that a reader gives, and checks that its end, or its error, stays.
template <class Reader, class Take>
boost::asio::awaitable<end_of_reader> read_to_end(Reader& reader, Take take)
{
    end_of_reader end;
    try {
        while (const auto each = co_await reader.next())
            take(*each);
        CHECK(!co_await reader.next());
    } catch (const loopsafe::http::error& e) {
        end = {e.code(), e.what()};
    }
    if (end.ec) {
        loopsafe::error_code again;
        try {
            co_await reader.next();
        } catch (const loopsafe::http::error& e) {
            again = e.code();
        }
        CHECK(again == end.ec);
    }
    co_return end;
}

} // namespace http_test

#endif
