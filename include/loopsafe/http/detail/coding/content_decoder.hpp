// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CODING_CONTENT_DECODER_HPP
#define LOOPSAFE_HTTP_DETAIL_CODING_CONTENT_DECODER_HPP

#include <loopsafe/error.hpp>

#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <string_view>

namespace loopsafe::http::detail {

// Undoes one content coding, a part at a time. It reads and writes nothing but what it is given.
class content_decoder {
public:
    struct step {
        std::size_t used = 0; // of the input
        std::size_t made = 0; // of the output
    };

    content_decoder() = default;
    content_decoder(const content_decoder&) = delete;
    content_decoder& operator=(const content_decoder&) = delete;
    virtual ~content_decoder() = default;

    // Takes from the front of `in` and gives all that follows from it: where `out` is not filled,
    // all input is used up and nothing is held back. `out` is not empty. `ec` is set at bytes that
    // break the coding, those after its end included; nothing is called after that. Throws
    // `bad_alloc`.
    virtual step decode(std::string_view in, boost::asio::mutable_buffer out, error_code& ec) = 0;

    // The input may end here.
    virtual bool is_complete() const noexcept = 0;
};

} // namespace loopsafe::http::detail

#endif
