// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TCP_IMPL_STREAM_HPP
#define LOOPSAFE_TCP_IMPL_STREAM_HPP

namespace loopsafe {

inline tcp_stream::tcp_stream(next_layer_type socket, std::source_location where)
    : socket_(std::move(socket)), home_(context_of(socket_, where))
{
    if (!home_)
        throw context_error(detail::refusal({}, socket_.get_executor(), "tcp_stream",
                                            "construction", where,
                                            "pass a socket of an io_context"));
}

} // namespace loopsafe

#endif
