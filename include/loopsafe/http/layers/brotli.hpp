// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_BROTLI_HPP
#define LOOPSAFE_HTTP_LAYERS_BROTLI_HPP

#include <loopsafe/detail/c_deleter.hpp>
#include <loopsafe/http/content_coding.hpp>
#include <loopsafe/http/error.hpp>

#include <brotli/decode.h>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>

namespace loopsafe::http {
namespace detail {

// Without the large windows that no server may assume: what asks for one is refused.
class brotli_decoder final : public content_decoder {
public:
    brotli_decoder()
    {
        if (state_ == nullptr)
            throw std::bad_alloc();
    }

    step decode(std::string_view in, boost::asio::mutable_buffer out, error_code& ec) override
    {
        std::size_t given = in.size();
        std::size_t room = out.size();
        auto* next_in = reinterpret_cast<const std::uint8_t*>(in.data());
        auto* next_out = static_cast<std::uint8_t*>(out.data());
        if (!ended_) {
            const auto result = ::BrotliDecoderDecompressStream(state_.get(), &given, &next_in,
                                                                &room, &next_out, nullptr);
            ended_ = result == BROTLI_DECODER_RESULT_SUCCESS;
            if (result == BROTLI_DECODER_RESULT_ERROR)
                ec = failure();
        }
        if (ended_ && given != 0)
            ec = errc::bad_content;
        return {in.size() - given, out.size() - room};
    }

    bool is_complete() const noexcept override { return ended_; }

private:
    error_code failure() const
    {
        const auto why = ::BrotliDecoderGetErrorCode(state_.get());
        if (why <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
            why >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES)
            throw std::bad_alloc();
        return why == BROTLI_DECODER_ERROR_FORMAT_WINDOW_BITS ? errc::window_too_large
                                                              : errc::bad_content;
    }

    std::unique_ptr<BrotliDecoderState, loopsafe::detail::c_deleter<&BrotliDecoderDestroyInstance>>
        state_{::BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)};
    bool ended_ = false;
};

} // namespace detail

/// The coding `br`, for `decoding()`. Programs that include this header link to libbrotlidec: the
/// CMake target is `loopsafe::brotli`.
///
/// A decoder takes as much as the content is long, up to 16 MiB and some KiB.
/// Source: RFC 7932.
inline constexpr content_coding brotli{"br", []() -> std::unique_ptr<detail::content_decoder> {
                                           return std::make_unique<detail::brotli_decoder>();
                                       }};

} // namespace loopsafe::http

#endif
