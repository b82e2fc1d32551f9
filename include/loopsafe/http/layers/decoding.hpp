// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_LAYERS_DECODING_HPP
#define LOOPSAFE_HTTP_LAYERS_DECODING_HPP

#include <loopsafe/http/content_coding.hpp>
#include <loopsafe/http/layers/any_sender.hpp>
#include <loopsafe/http/layers/layer.hpp>

#include <concepts>
#include <memory>
#include <vector>

namespace loopsafe::http {

namespace detail {

std::shared_ptr<const layer> make_decoding(std::vector<content_coding> all);

} // namespace detail

/// Asks for content codings, by Accept-Encoding in this order, and undoes them (RFC 9110, 8.4). The
/// codings come from `<loopsafe/http/layers/gzip.hpp>`, `brotli.hpp` and `zstd.hpp`.
///
///     const auto api = http::client(executor) | http::decoding(http::gzip, http::brotli);
///
/// * Only where the request has neither Accept-Encoding nor Range: who asks for a coding himself
///   gets it as it comes.
/// * A decoded response has no Content-Encoding, no Content-Length and no `length()`. A response
///   without a body, a part of one (206), and one with a coding that was not asked for stay as they
///   are.
/// * `incoming_response::read_some()` returns what can be decoded from what has arrived, and no
/// more
///   than fits into its buffer. A decoder's memory is bounded, however far the content expands: see
///   each coding. In `send()`, `limits::body_bytes` bounds the decoded body, too, and so roughly
///   what lies between two codings.
///
/// Decoding runs where the response is read, also with `thread_offload`.
/// Errors: `error` {`bad_content`, `content_cut`, `too_many_codings`, `window_too_large`;
/// `body_too_large` from `send()`}; `bad_alloc`.
template <std::same_as<content_coding>... More>
std::shared_ptr<const layer> decoding(const content_coding& first, const More&... more)
{
    return detail::make_decoding({first, more...});
}

} // namespace loopsafe::http

#include <loopsafe/http/impl/decoding.hpp>

#endif
