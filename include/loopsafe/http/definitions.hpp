// SPDX-License-Identifier: BSL-1.0
/// For programs that define LOOPSAFE_SEPARATE_COMPILATION and use a client with a policy of their
/// own, such as `basic_keep_alive_pool<no_mutex>`: include this where that client is used.
#ifndef LOOPSAFE_HTTP_DEFINITIONS_HPP
#define LOOPSAFE_HTTP_DEFINITIONS_HPP

#include <loopsafe/http/client.hpp>
#include <loopsafe/http/detail/client/definitions.hpp>

#endif
