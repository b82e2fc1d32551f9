// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_HTTP_CONTENT_HPP
#define LOOPSAFE_TESTS_HTTP_CONTENT_HPP

#include <loopsafe/http/layers/brotli.hpp>
#include <loopsafe/http/layers/gzip.hpp>
#include <loopsafe/http/layers/zstd.hpp>

#include <brotli/encode.h>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>
#include <zlib.h>
#include <zstd.h>

/// Encoded content, made by the libraries' own encoders.
namespace content_test {

inline void require(bool holds)
{
    if (!holds)
        std::abort();
}

/// What is written up to a flush can be read up to there.
class encoder {
public:
    encoder() = default;
    encoder(const encoder&) = delete;
    encoder& operator=(const encoder&) = delete;
    virtual ~encoder() = default;
    virtual std::string flush(std::string_view text) = 0;
    virtual std::string finish(std::string_view text) = 0;
};

class zlib_encoder final : public encoder {
public:
    explicit zlib_encoder(int window_bits, int level = 9)
    {
        require(::deflateInit2(&stream_, level, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY) ==
                Z_OK);
    }
    ~zlib_encoder() override { ::deflateEnd(&stream_); }
    std::string flush(std::string_view text) override { return write(text, Z_SYNC_FLUSH); }
    std::string finish(std::string_view text) override { return write(text, Z_FINISH); }

private:
    std::string write(std::string_view text, int how)
    {
        std::string all;
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
        stream_.avail_in = static_cast<uInt>(text.size());
        do {
            char part[4096];
            stream_.next_out = reinterpret_cast<Bytef*>(part);
            stream_.avail_out = sizeof(part);
            ::deflate(&stream_, how);
            all.append(part, sizeof(part) - stream_.avail_out);
        } while (stream_.avail_out == 0);
        return all;
    }

    z_stream stream_{};
};

class brotli_encoder final : public encoder {
public:
    explicit brotli_encoder(int quality = 11, int window_bits = 22, bool large = false)
    {
        const auto set = [this](BrotliEncoderParameter what, int value) {
            require(::BrotliEncoderSetParameter(state_, what, static_cast<std::uint32_t>(value)) !=
                    0);
        };
        set(BROTLI_PARAM_QUALITY, quality);
        set(BROTLI_PARAM_LARGE_WINDOW, large ? 1 : 0);
        set(BROTLI_PARAM_LGWIN, window_bits);
    }
    ~brotli_encoder() override { ::BrotliEncoderDestroyInstance(state_); }
    std::string flush(std::string_view text) override
    {
        return write(text, BROTLI_OPERATION_FLUSH);
    }
    std::string finish(std::string_view text) override
    {
        return write(text, BROTLI_OPERATION_FINISH);
    }

private:
    std::string write(std::string_view text, BrotliEncoderOperation how)
    {
        std::string all;
        std::size_t given = text.size();
        const auto* next_in = reinterpret_cast<const std::uint8_t*>(text.data());
        do {
            std::uint8_t part[4096];
            std::size_t room = sizeof(part);
            auto* next_out = part;
            require(::BrotliEncoderCompressStream(state_, how, &given, &next_in, &room, &next_out,
                                                  nullptr) != 0);
            all.append(reinterpret_cast<char*>(part), sizeof(part) - room);
        } while (given != 0 || ::BrotliEncoderHasMoreOutput(state_) != 0);
        return all;
    }

    BrotliEncoderState* state_ = ::BrotliEncoderCreateInstance(nullptr, nullptr, nullptr);
};

class zstd_encoder final : public encoder {
public:
    explicit zstd_encoder(int level = 19, int window_bits = 0)
    {
        ::ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, level);
        ::ZSTD_CCtx_setParameter(context_, ZSTD_c_windowLog, window_bits);
        ::ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
    }
    ~zstd_encoder() override { ::ZSTD_freeCCtx(context_); }
    std::string flush(std::string_view text) override { return write(text, ZSTD_e_flush); }
    std::string finish(std::string_view text) override { return write(text, ZSTD_e_end); }

    /// As one frame that says how long its content is.
    std::string all(std::string_view text)
    {
        std::string made(::ZSTD_compressBound(text.size()), '\0');
        const auto size =
            ::ZSTD_compress2(context_, made.data(), made.size(), text.data(), text.size());
        require(::ZSTD_isError(size) == 0);
        made.resize(size);
        return made;
    }

private:
    std::string write(std::string_view text, ZSTD_EndDirective how)
    {
        std::string all;
        ::ZSTD_inBuffer from{text.data(), text.size(), 0};
        std::size_t left = 0;
        do {
            char part[4096];
            ::ZSTD_outBuffer to{part, sizeof(part), 0};
            left = ::ZSTD_compressStream2(context_, &to, &from, how);
            require(::ZSTD_isError(left) == 0);
            all.append(part, to.pos);
        } while (left != 0);
        return all;
    }

    ::ZSTD_CCtx* context_ = ::ZSTD_createCCtx();
};

/// A coding, and one of the ways in which servers write it.
struct way {
    const char* name;
    const loopsafe::http::content_coding* coding;
    std::unique_ptr<encoder> (*make)();

    std::string encode(std::string_view text) const { return make()->finish(text); }
};

template <class Encoder, auto... Arguments>
std::unique_ptr<encoder> make_encoder()
{
    return std::make_unique<Encoder>(Arguments...);
}

inline const way all_ways[] = {
    {"gzip", &loopsafe::http::gzip, &make_encoder<zlib_encoder, 15 + 16>},
    {"deflate with the header of zlib", &loopsafe::http::deflate, &make_encoder<zlib_encoder, 15>},
    {"deflate without", &loopsafe::http::deflate, &make_encoder<zlib_encoder, -15>},
    {"br", &loopsafe::http::brotli, &make_encoder<brotli_encoder>},
    {"zstd", &loopsafe::http::zstd, &make_encoder<zstd_encoder>},
};

/// Text that compresses about as a page does, from a fixed seed.
inline std::string page(std::size_t size)
{
    static constexpr std::string_view words[] = {"loop ", "context ", "lease ", "of ",    "the ",
                                                 "a ",    "pool ",    "\r\n",   "while ", "ends ",
                                                 "<p>",   "</p>",     "home ",  "dies, ", "kept "};
    std::string text;
    for (std::uint32_t state = 1; text.size() < size;) {
        state = state * 1664525 + 1013904223;
        text += words[(state >> 16) % std::size(words)];
        text += (state >> 8) % 5 == 0 ? std::to_string(state) : "";
    }
    text.resize(size);
    return text;
}

/// Bytes that do not compress.
inline std::string noise(std::size_t size)
{
    std::string text;
    std::uint64_t state = 88172645463325252u;
    while (text.size() < size) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text += static_cast<char>(state >> 32);
    }
    return text;
}

} // namespace content_test

#endif
