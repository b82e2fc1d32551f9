// SPDX-License-Identifier: BSL-1.0
/// The former name of `<loopsafe/http/definitions.hpp>`; it goes with version 0.2.
#ifndef LOOPSAFE_HTTP_IMPL_CLIENT_HPP
#define LOOPSAFE_HTTP_IMPL_CLIENT_HPP

#include <loopsafe/http/definitions.hpp>

#endif
