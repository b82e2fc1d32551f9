// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_GZIP_HPP
#define LOOPSAFE_HTTP_LAYERS_GZIP_HPP

#include <loopsafe/http/content_coding.hpp>
#include <loopsafe/http/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <string_view>
#include <zlib.h>

namespace loopsafe::http {
namespace detail {

// zlib's inflate, for one format after the other.
class inflater {
public:
    enum class format { gzip = 15 + 16, zlib = 15, raw = -15 }; // with the largest window, 32 KiB

    explicit inflater(format of)
    {
        if (::inflateInit2(&stream_, static_cast<int>(of)) != Z_OK)
            throw std::bad_alloc();
    }
    inflater(const inflater&) = delete;
    inflater& operator=(const inflater&) = delete;
    ~inflater() { ::inflateEnd(&stream_); }

    // `ended` is set at the end of what the format is about.
    content_decoder::step decode(std::string_view in, boost::asio::mutable_buffer out, bool& ended,
                                 error_code& ec)
    {
        constexpr std::size_t most = std::numeric_limits<uInt>::max();
        const auto given = static_cast<uInt>(std::min(in.size(), most));
        const auto room = static_cast<uInt>(std::min(out.size(), most));
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
        stream_.avail_in = given;
        stream_.next_out = static_cast<Bytef*>(out.data());
        stream_.avail_out = room;
        const int result = ::inflate(&stream_, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR)
            throw std::bad_alloc();
        ended = result == Z_STREAM_END;
        if (!ended && result != Z_OK && result != Z_BUF_ERROR) // which only says: no progress
            ec = errc::bad_content;
        return {given - stream_.avail_in, room - stream_.avail_out};
    }

    void again() { ::inflateReset(&stream_); }

private:
    z_stream stream_{};
};

// RFC 1952: one member after the other, as they are if files of gzip are put together.
class gzip_decoder final : public content_decoder {
public:
    step decode(std::string_view in, boost::asio::mutable_buffer out, error_code& ec) override
    {
        step all;
        do {
            if (between_ && in.empty())
                break;
            if (between_ && in.front() != first_byte) {
                ec = errc::bad_content; // at once: there may be no second byte to wait for
                break;
            }
            between_ = false;
            const auto one = inflater_.decode(in, out, between_, ec);
            all.used += one.used;
            all.made += one.made;
            in.remove_prefix(one.used);
            out += one.made;
            if (between_)
                inflater_.again();
        } while (between_ && out.size() != 0 && !ec);
        return all;
    }

    bool is_complete() const noexcept override { return between_; }

private:
    static constexpr char first_byte = 0x1f;

    inflater inflater_{inflater::format::gzip};
    bool between_ = false; // behind a member
};

// The coding's name means the format of zlib (RFC 9110, 8.4.1.2), but some servers send bare
// deflate (RFC 1951). No encoder begins the latter with what could be the two bytes of the former.
class deflate_decoder final : public content_decoder {
public:
    step decode(std::string_view in, boost::asio::mutable_buffer out, error_code& ec) override
    {
        step all;
        while (!inflater_) {
            if (all.used == in.size())
                return all;
            start_[kept_++] = in[all.used++];
            if (kept_ == start_.size())
                inflater_ = std::make_unique<inflater>(format());
        }
        while (given_ != start_.size() && out.size() != 0 && !ended_ && !ec) {
            const auto one = inflater_->decode({start_.data() + given_, 1}, out, ended_, ec);
            given_ += one.used;
            all.made += one.made;
            out += one.made;
        }
        if (out.size() == 0 || ec)
            return all;
        if (!ended_) {
            const auto rest = inflater_->decode(in.substr(all.used), out, ended_, ec);
            all.used += rest.used;
            all.made += rest.made;
        }
        if (ended_ && !ec && (given_ != start_.size() || all.used != in.size()))
            ec = errc::bad_content;
        return all;
    }

    bool is_complete() const noexcept override { return ended_; }

private:
    inflater::format format() const noexcept
    {
        const auto first = static_cast<unsigned char>(start_[0]);
        const auto second = static_cast<unsigned char>(start_[1]);
        const bool is_zlib =
            (first & 15) == Z_DEFLATED && first >> 4 <= 7 && (first * 256u + second) % 31 == 0;
        return is_zlib ? inflater::format::zlib : inflater::format::raw;
    }

    std::unique_ptr<inflater> inflater_;
    std::array<char, 2> start_{};
    std::size_t kept_ = 0;  // of the start
    std::size_t given_ = 0; // of what was kept
    bool ended_ = false;
};

} // namespace detail

/// The codings of zlib, for `decoding()`. Programs that include this header link to zlib: the CMake
/// target is `loopsafe::gzip`.
///
/// `gzip` may have several members. A decoder takes 40 KiB.
/// Source: RFC 1952.
inline constexpr content_coding gzip{"gzip",
                                     []() -> std::unique_ptr<detail::content_decoder> {
                                         return std::make_unique<detail::gzip_decoder>();
                                     },
                                     "x-gzip"};

/// With the header of zlib or without.
/// Source: RFC 9110, 8.4.1.2; RFC 1950; RFC 1951.
inline constexpr content_coding deflate{"deflate",
                                        []() -> std::unique_ptr<detail::content_decoder> {
                                            return std::make_unique<detail::deflate_decoder>();
                                        }};

} // namespace loopsafe::http

#endif
