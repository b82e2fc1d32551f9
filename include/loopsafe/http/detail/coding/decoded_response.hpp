// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CODING_DECODED_RESPONSE_HPP
#define LOOPSAFE_HTTP_DETAIL_CODING_DECODED_RESPONSE_HPP

#include <loopsafe/context/detail/at_home.hpp>
#include <loopsafe/context/ref.hpp>
#include <loopsafe/http/detail/coding/body_decoder.hpp>
#include <loopsafe/http/incoming.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <utility>

namespace loopsafe::http::detail {

namespace asio = boost::asio;

inline void say_decoded(fields& headers) noexcept
{
    headers.erase("Content-Encoding");
    headers.erase("Content-Length");
}

// A response without the codings of its body.
class decoded_response final : public incoming_response {
public:
    // `about`: the request, for errors. Both stay where they are.
    decoded_response(incoming_response& from, const applied_codings& applied,
                     const std::string& about, const asio::any_io_executor& executor)
        : from_(from),
          about_(about),
          home_(context_of(executor)),
          head_(from.head()),
          decoder_(applied)
    {
        say_decoded(head_.headers);
    }

    const response_head& head() const noexcept override { return head_; }
    const fields& trailers() const noexcept override { return from_.trailers(); }
    const evidence& seen() const noexcept override { return from_.seen(); }
    std::optional<std::uint64_t> length() const noexcept override { return {}; }

    asio::awaitable<std::size_t> read_some(asio::mutable_buffer to,
                                           std::source_location where) override
    {
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        if (!loopsafe::detail::at_home(home_, executor)) { // then it is not for this to say
            char none;
            co_await from_.read_some(asio::buffer(&none, 0), where);
        }
        if (in_this_turn_ >= most_in_a_turn) {
            in_this_turn_ = 0;
            co_await asio::post(executor, asio::deferred);
        }
        while (to.size() != 0) {
            error_code ec;
            const auto made = decoder_.take(asio::buffer(to, most_in_a_turn), ec);
            if (ec) {
                error failed(ec, seen(), about_);
                failed.add_place(where);
                throw failed;
            }
            if (decoder_.is_pausing()) {
                in_this_turn_ = 0;
                co_await asio::post(executor, asio::deferred);
                continue;
            }
            in_this_turn_ += made;
            if (made != 0 || ended_)
                co_return made;
            if (input_ == nullptr)
                input_ = std::make_unique<char[]>(input_size);
            const auto got =
                co_await from_.read_some(asio::buffer(input_.get(), input_size), where);
            in_this_turn_ = 0;
            ended_ = got == 0;
            decoder_.put({input_.get(), got});
        }
        co_return 0;
    }

private:
    static constexpr std::size_t input_size = 16 * 1024;

    incoming_response& from_;
    const std::string& about_;
    context_ref home_;
    response_head head_;
    body_decoder decoder_;
    std::unique_ptr<char[]> input_;
    std::size_t in_this_turn_ = 0;
    bool ended_ = false;
};

} // namespace loopsafe::http::detail

#endif
