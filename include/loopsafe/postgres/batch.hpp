// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_BATCH_HPP
#define LOOPSAFE_POSTGRES_BATCH_HPP

#include <loopsafe/postgres/codec.hpp>
#include <loopsafe/postgres/detail/request.hpp>
#include <loopsafe/postgres/error.hpp>
#include <loopsafe/postgres/result.hpp>
#include <loopsafe/postgres/statement.hpp>

#include <cstddef>
#include <utility>
#include <variant>
#include <vector>

namespace loopsafe::postgres {

/// Statements with their parameters, for `connection::pipeline`.
///
///     batch orders;
///     for (const auto& item : items)
///         orders.add("insert into orders values ($1, $2)", item.name, item.count);
///
/// It can be sent more than once. Thread safety: distinct objects safe, shared objects unsafe.
class batch {
public:
    /// Adds a statement. Statement and parameters are copied. Each parameter needs a `codec`.
    template <encodable... Parameters>
    batch& add(statement sql, const Parameters&... values)
    {
        requests_.push_back({std::move(sql), {parameter_codec<Parameters>::encode(values)...}});
        return *this;
    }

    /// Every parameter needs a `codec`.
    template <class First, class... Others,
              class Cure = typename detail::cure_of_parameters<First, Others...>::type>
    batch& add(statement, const First&, const Others&...) = delete;

    /// The number of statements.
    std::size_t size() const noexcept { return requests_.size(); }
    bool empty() const noexcept { return requests_.empty(); }
    void clear() noexcept { requests_.clear(); }

private:
    friend class connection;

    std::vector<detail::request> requests_;
};

/// All statements of a pipeline, or none: they share one synchronisation, and so one transaction
/// unless they control it themselves.
struct atomic_t {};
inline constexpr atomic_t atomic{};

/// Each statement of a pipeline succeeds or fails by itself.
struct independent_t {};
inline constexpr independent_t independent{};

/// How one statement of an independent pipeline ended.
class outcome {
public:
    bool failed() const noexcept { return end_.index() == 1; }

    /// What the statement gave. Errors: its `failure()`, if it has failed.
    const result& rows() const
    {
        if (failed())
            throw failure();
        return *std::get_if<result>(&end_);
    }

    /// Preconditions: it has failed.
    const error& failure() const noexcept { return *std::get_if<error>(&end_); }

    /// Internal.
    explicit outcome(std::variant<result, error> end) noexcept : end_(std::move(end)) {}

private:
    std::variant<result, error> end_;
};

} // namespace loopsafe::postgres

#endif
