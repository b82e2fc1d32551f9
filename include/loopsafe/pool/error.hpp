// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_ERROR_HPP
#define LOOPSAFE_POOL_ERROR_HPP

#include <loopsafe/detail/share_new.hpp>
#include <loopsafe/error.hpp>
#include <loopsafe/pool/stats.hpp>

#include <chrono>
#include <string_view>
#include <vector>

namespace loopsafe {

namespace detail {
inline std::string pool_title(std::string_view name)
{
    return name.empty() ? "connection pool" : "connection pool \"" + std::string(name) + '"';
}

} // namespace detail

/// An active lease, as listed in an error or by `connection_pool::holders()`.
struct lease_holder {
    std::source_location where;           ///< of the acquire
    std::chrono::milliseconds held_for{}; ///< as of the pool's last clock reading
    std::uint64_t context_number = 0;     ///< of the context that holds it
};

/// The state of a pool when it could not provide a connection.
struct pool_report {
    errc code = errc::acquire_timeout;
    std::string pool; ///< the name in the options
    std::size_t max_size = 0;
    std::size_t max_waiting = 0;
    pool_stats stats;
    std::vector<lease_holder> holders; ///< who holds leases, acquired where; the first few
    std::string last_connect_error;    ///< what() of the last failed connect, if any
    std::string operation;
    std::source_location used = {};
    std::string advice; ///< what to do instead

    /// The whole text, on several lines.
    std::string to_string() const;
};

/// Thrown when a pool cannot provide a connection: `acquire_timeout`, `connect_timeout`,
/// `queue_full`, `pool_closed`, `close_timeout`. `what()` is the whole report.
/// Thread safety: as an exception object; copies share one immutable report.
class pool_error : public boost::system::system_error {
public:
    explicit pool_error(pool_report report);

    const pool_report& report() const noexcept { return shared_->report; }
    const char* what() const noexcept override { return shared_->text.c_str(); }

private:
    struct shared {
        pool_report report;
        std::string text;
    };
    std::shared_ptr<const shared> shared_;
};

inline std::string pool_report::to_string() const
{
    std::string text = detail::pool_title(pool) + ": " + make_error_code(code).message();
    text += "\n  used:  " + operation + detail::place(used);
    if (max_size != 0) // the pool still exists
        text += "\n  state: max_size " + std::to_string(max_size) + ", max_waiting " +
                std::to_string(max_waiting) + ", leased " + std::to_string(stats.leased) +
                ", connecting " + std::to_string(stats.connecting) + ", idle " +
                std::to_string(stats.idle) + ", waiting " + std::to_string(stats.waiting);
    for (const auto& holder : holders) {
        text += "\n  held:  by " + detail::to_string(holder.where) + " in context #" +
                std::to_string(holder.context_number);
        if (holder.held_for.count() != 0) // a pool without time-outs does not look at the clock
            text += " for " + std::to_string(holder.held_for.count()) + " ms";
    }
    if (stats.leased > holders.size() && !holders.empty())
        text += "\n  held:  and " + std::to_string(stats.leased - holders.size()) + " more";
    if (!last_connect_error.empty())
        text += "\n  last connect error: " + last_connect_error;
    if (!advice.empty())
        text += "\n  cure:  " + advice;
    return text;
}

inline pool_error::pool_error(pool_report report) : system_error(make_error_code(report.code))
{
    auto text = report.to_string();
    shared_ = detail::share_new<shared>(shared{std::move(report), std::move(text)});
}

} // namespace loopsafe

#endif
