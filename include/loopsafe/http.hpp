// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_HPP
#define LOOPSAFE_HTTP_HPP

#include <loopsafe/http/client.hpp>

#endif
