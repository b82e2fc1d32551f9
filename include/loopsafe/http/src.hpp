// SPDX-License-Identifier: BSL-1.0
/// The HTTP client, compiled once: include this in exactly one source file of a program whose files
/// are all compiled with LOOPSAFE_SEPARATE_COMPILATION defined.
#ifndef LOOPSAFE_HTTP_SRC_HPP
#define LOOPSAFE_HTTP_SRC_HPP

#if !defined(LOOPSAFE_SEPARATE_COMPILATION)
#error "define LOOPSAFE_SEPARATE_COMPILATION, here and wherever <loopsafe/http.hpp> is included"
#endif

#include <loopsafe/http/definitions.hpp>

namespace loopsafe::http {

template class basic_client<keep_alive_pool>;
template class basic_client<null_pool>;
template class basic_client<per_context_pool>;
template class basic_client<carry_over_pool>;
template class basic_client<keep_alive_pool, thread_offload>;
template class basic_client<null_pool, thread_offload>;

} // namespace loopsafe::http

#endif
