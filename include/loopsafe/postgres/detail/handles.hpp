// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_HANDLES_HPP
#define LOOPSAFE_POSTGRES_DETAIL_HANDLES_HPP

#include <libpq-fe.h>

#include <memory>

namespace loopsafe::postgres::detail {

template <auto Free>
struct deleter {
    template <class T>
    void operator()(T* handle) const noexcept
    {
        Free(handle);
    }
};

using connection_handle = std::unique_ptr<PGconn, deleter<&PQfinish>>;
using cancel_handle = std::unique_ptr<PGcancel, deleter<&PQfreeCancel>>;
using result_handle = std::unique_ptr<PGresult, deleter<&PQclear>>;
using options_handle = std::unique_ptr<PQconninfoOption, deleter<&PQconninfoFree>>;

} // namespace loopsafe::postgres::detail

#endif
