// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_TRANSACTION_ENDS_HPP
#define LOOPSAFE_POSTGRES_DETAIL_TRANSACTION_ENDS_HPP

#include <cstdint>
#include <string_view>

namespace loopsafe::postgres::detail {

// Whether an open transaction is still the same one. The state that libpq knows does not tell:
// there is none in the middle of a pipeline, and "and chain" begins another transaction at once.
// The server's command tags tell, except of a "rollback and chain" behind a savepoint, since
// "rollback to" has the same tag.
class transaction_ends {
public:
    void heard(std::string_view command) noexcept
    {
        if (command == "SAVEPOINT")
            savepoint_ = true;
        if (command != "BEGIN" && command != "START TRANSACTION" && command != "COMMIT" &&
            (command != "ROLLBACK" || savepoint_))
            return;
        savepoint_ = false;
        ++count_;
    }

    // A beginning counts, too: whatever was before it has ended, also where that was not heard.
    std::uint64_t count() const noexcept { return count_; }

private:
    std::uint64_t count_ = 0;
    bool savepoint_ = false;
};

} // namespace loopsafe::postgres::detail

#endif
