// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CODING_BODY_DECODER_HPP
#define LOOPSAFE_HTTP_DETAIL_CODING_BODY_DECODER_HPP

#include <loopsafe/http/detail/coding/codings.hpp>
#include <loopsafe/http/detail/coding/content_decoder.hpp>
#include <loopsafe/http/error.hpp>

#include <boost/asio/buffer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace loopsafe::http::detail {

// Some hundred bytes can stand for a gigabyte: others get their turn after so much of it.
inline constexpr std::size_t most_in_a_turn = 1024 * 1024;

// Undoes the codings of a body, the last one first: put() gives it the next bytes of the body,
// take() what follows from them.
class body_decoder {
public:
    explicit body_decoder(const applied_codings& applied) : size_(applied.size)
    {
        for (std::size_t i = 0; i != size_; ++i)
            stages_[i].decoder = applied.each[size_ - 1 - i]->make();
        if (size_ > 1)
            between_ = std::make_unique<char[]>(between_size);
    }

    // `bytes` must stay where they are until take() has returned 0. Empty: that was all.
    void put(std::string_view bytes)
    {
        stages_[0].input = bytes;
        ended_ = bytes.empty();
        begun_ = begun_ || !bytes.empty();
    }

    // Fills `to`, which is not empty, from the front; 0 if it needs more of the body, or if that
    // has ended. An error is told after all that came before it, and then each time.
    std::size_t take(boost::asio::mutable_buffer to, error_code& ec)
    {
        turn_ends_ = passed_ + most_in_a_turn;
        const auto made = take(size_ - 1, to);
        is_pausing_ = made == 0 && passed_ >= turn_ends_ && !stages_[size_ - 1].failure;
        if (made == 0 && !is_pausing_)
            ec = failure();
        return made;
    }

    // take() has returned 0, but there may be more: a gigabyte between two codings can stand for
    // nothing.
    bool is_pausing() const noexcept { return is_pausing_; }

    // How much has come out of one coding and gone into the other.
    std::uint64_t passed() const noexcept { return passed_; }

private:
    static constexpr std::size_t between_size = 16 * 1024;

    struct stage {
        std::unique_ptr<content_decoder> decoder;
        std::string_view input;
        error_code failure;
    };

    std::size_t take(std::size_t which, boost::asio::mutable_buffer to)
    {
        auto& [decoder, input, failure] = stages_[which];
        while (!failure) {
            const auto step = decoder->decode(input, to, failure);
            input.remove_prefix(step.used);
            if (step.made != 0)
                return step.made;
            if (failure || which == 0 || passed_ >= turn_ends_)
                break;
            const auto more = take(which - 1, boost::asio::buffer(between_.get(), between_size));
            if (more == 0)
                break;
            input = {between_.get(), more};
            passed_ += more;
        }
        return 0;
    }

    // The last stage has seen least of the body: its failure is the earliest.
    error_code failure() const noexcept
    {
        bool complete = true;
        for (std::size_t i = size_; i-- != 0;) {
            if (stages_[i].failure)
                return stages_[i].failure;
            complete = complete && stages_[i].decoder->is_complete();
        }
        return ended_ && begun_ && !complete ? errc::content_cut : error_code();
    }

    std::array<stage, applied_codings::most> stages_; // the first undoes what was applied last
    std::size_t size_;
    std::unique_ptr<char[]> between_;
    std::uint64_t passed_ = 0;
    std::uint64_t turn_ends_ = 0;
    bool is_pausing_ = false;
    bool begun_ = false;
    bool ended_ = false;
};

} // namespace loopsafe::http::detail

#endif
