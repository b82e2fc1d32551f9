// SPDX-License-Identifier: BSL-1.0
/// The former name of `<loopsafe/http/src.hpp>`; it goes with version 0.2.
#ifndef LOOPSAFE_HTTP_IMPL_SRC_HPP
#define LOOPSAFE_HTTP_IMPL_SRC_HPP

#include <loopsafe/http/src.hpp>

#endif
