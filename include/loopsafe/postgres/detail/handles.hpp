// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_HANDLES_HPP
#define LOOPSAFE_POSTGRES_DETAIL_HANDLES_HPP

#include <loopsafe/detail/c_deleter.hpp>

#include <libpq-fe.h>

#include <memory>

#ifndef LIBPQ_HAS_PIPELINING
#error "<loopsafe/postgres.hpp> needs libpq 14 or newer"
#endif

namespace loopsafe::postgres::detail {

using loopsafe::detail::c_deleter;

using connection_handle = std::unique_ptr<PGconn, c_deleter<&PQfinish>>;
using cancel_handle = std::unique_ptr<PGcancel, c_deleter<&PQfreeCancel>>;
using result_handle = std::unique_ptr<PGresult, c_deleter<&PQclear>>;
using options_handle = std::unique_ptr<PQconninfoOption, c_deleter<&PQconninfoFree>>;

} // namespace loopsafe::postgres::detail

#endif
