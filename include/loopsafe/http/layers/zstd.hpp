// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_ZSTD_HPP
#define LOOPSAFE_HTTP_LAYERS_ZSTD_HPP

#include <loopsafe/detail/c_deleter.hpp>
#include <loopsafe/http/content_coding.hpp>
#include <loopsafe/http/error.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <string_view>
#include <zstd.h>
#include <zstd_errors.h>

namespace loopsafe::http {
namespace detail {

// One frame after the other; those to be skipped are.
class zstd_decoder final : public content_decoder {
public:
    zstd_decoder()
    {
        if (context_ == nullptr)
            throw std::bad_alloc();
        ::ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, 23); // RFC 9659
    }

    step decode(std::string_view in, boost::asio::mutable_buffer out, error_code& ec) override
    {
        ::ZSTD_inBuffer from{in.data(), in.size(), 0};
        ::ZSTD_outBuffer to{out.data(), out.size(), 0};
        while ((!between_ || from.pos != in.size()) && !ec) {
            from.size = of_head_ != head_size && from.pos != in.size() ? from.pos + 1 : in.size();
            const auto before = from.pos;
            const auto left = ::ZSTD_decompressStream(context_.get(), &to, &from);
            if (::ZSTD_isError(left) != 0)
                ec = failure(left);
            of_head_ = std::min(of_head_ + (from.pos - before), head_size);
            between_ = left == 0;
            if (between_)
                of_head_ = 0;
            if (from.pos == in.size() || to.pos == to.size)
                break;
        }
        return {from.pos, to.pos};
    }

    bool is_complete() const noexcept override { return between_; }

private:
    // The head of a frame goes byte by byte. Given all of a frame, the library would not look at
    // its window. Given four bytes, it would look for formats from before RFC 8878, without a
    // limit.
    static constexpr std::size_t head_size = 18;

    static error_code failure(std::size_t result)
    {
        switch (::ZSTD_getErrorCode(result)) {
        case ZSTD_error_memory_allocation: throw std::bad_alloc();
        case ZSTD_error_frameParameter_windowTooLarge: return errc::window_too_large;
        default: return errc::bad_content;
        }
    }

    std::unique_ptr<ZSTD_DCtx, loopsafe::detail::c_deleter<&ZSTD_freeDCtx>> context_{
        ::ZSTD_createDCtx()};
    std::size_t of_head_ = 0; // given so far
    bool between_ = true;     // behind a frame, or before the first
};

} // namespace detail

/// The coding `zstd`, for `decoding()`. Programs that include this header link to libzstd: the
/// CMake target is `loopsafe::zstd`.
///
/// Content that needs a window of more than 8 MiB is refused. A decoder takes as much as the
/// window, and some 300 KiB. Source: RFC 8878, RFC 9659.
inline constexpr content_coding zstd{"zstd", []() -> std::unique_ptr<detail::content_decoder> {
                                         return std::make_unique<detail::zstd_decoder>();
                                     }};

} // namespace loopsafe::http

#endif
