// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_REQUEST_HPP
#define LOOPSAFE_POSTGRES_DETAIL_REQUEST_HPP

#include <loopsafe/postgres/codec.hpp>
#include <loopsafe/postgres/detail/handles.hpp>
#include <loopsafe/postgres/error.hpp>
#include <loopsafe/postgres/statement.hpp>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::postgres::detail {

using parameters = std::vector<parameter>;

// A statement with its parameters.
struct request {
    statement sql;
    parameters values;
};

inline void check_texts(const statement& sql, const parameters& values, stage at)
{
    constexpr std::string_view nul = " contains a NUL byte; only bytea can hold one";
    const auto refuse = [&](std::string what, std::string_view why) {
        throw error(errc::bad_parameter, at, {.message = what.append(why)}, sql.where());
    };
    if (sql.text().find('\0') != std::string::npos)
        refuse("the statement", nul);
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!values[i].binary && values[i].bytes.find('\0') != std::string::npos)
            refuse("parameter $" + std::to_string(i + 1), nul);
        if (!std::in_range<int>(values[i].bytes.size()))
            refuse("parameter $" + std::to_string(i + 1), " has more bytes than libpq can count");
    }
}

// These return whether libpq accepted the request. If not, errno is the cause, or 0.
inline bool send_text(PGconn* handle, const std::string& text)
{
    errno = 0;
    return PQsendQuery(handle, text.c_str()) == 1;
}

// The parameters in libpq's format; refers to the originals.
class parameter_arrays {
public:
    explicit parameter_arrays(const parameters& values)
    {
        for (const auto& value : values) {
            types_.push_back(value.type);
            bytes_.push_back(value.null ? nullptr : value.bytes.data());
            lengths_.push_back(static_cast<int>(value.bytes.size()));
            formats_.push_back(value.binary ? 1 : 0);
        }
    }

    bool send(PGconn* handle, const statement& sql) const
    {
        errno = 0;
        return PQsendQueryParams(handle, sql.text().c_str(), count(), types_.data(), bytes_.data(),
                                 lengths_.data(), formats_.data(), sql.wants_binary_results()) == 1;
    }

    bool send_prepared(PGconn* handle, const std::string& name, const statement& sql) const
    {
        errno = 0;
        return PQsendQueryPrepared(handle, name.c_str(), count(), bytes_.data(), lengths_.data(),
                                   formats_.data(), sql.wants_binary_results()) == 1;
    }

    bool send_prepare(PGconn* handle, const std::string& name, const statement& sql) const
    {
        errno = 0;
        return PQsendPrepare(handle, name.c_str(), sql.text().c_str(), count(), types_.data()) == 1;
    }

private:
    int count() const noexcept { return static_cast<int>(types_.size()); }

    std::vector<Oid> types_;
    std::vector<const char*> bytes_;
    std::vector<int> lengths_;
    std::vector<int> formats_;
};

} // namespace loopsafe::postgres::detail

#endif
