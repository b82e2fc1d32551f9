// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_PREPARED_STATEMENTS_HPP
#define LOOPSAFE_POSTGRES_DETAIL_PREPARED_STATEMENTS_HPP

#include <loopsafe/postgres/detail/request.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace loopsafe::postgres::detail {

// The statements that a session has prepared on its server, and those that it has run once and will
// prepare the next time. The number of each kind is limited; the least recently used are dropped.
class prepared_statements {
public:
    struct entry {
        bool prepared() const noexcept { return !name.empty(); }

        std::string name; // on the server
        std::uint64_t used = 0;
    };

    void limit(std::size_t most) noexcept { most_ = most; }

    // The server chooses operators and functions by the types of the parameters, and reads literals
    // by these settings. It does not report other settings that a plan may depend on.
    static std::string key(PGconn* handle, const statement& sql, const parameters& values)
    {
        auto all = sql.text();
        for (const auto& value : values)
            all.append(1, '\0').append(std::to_string(value.type));
        for (const auto* setting : {"TimeZone", "DateStyle", "IntervalStyle", "client_encoding",
                                    "standard_conforming_strings"}) {
            const char* now = PQparameterStatus(handle, setting);
            all.append(1, '\0').append(now == nullptr ? "" : now);
        }
        return all;
    }

    // Null if the statement has not been run before.
    entry* find(const std::string& key) noexcept
    {
        const auto found = known_.find(key);
        if (most_ == 0 || found == known_.end())
            return nullptr;
        found->second.used = ++uses_;
        return &found->second;
    }

    // A statement that has run. Only those that the server plans are worth preparing.
    void remember(std::string key, std::string_view command) noexcept
    {
        constexpr std::size_t longest = 16 * 1024;
        constexpr std::array<std::string_view, 5> planned = {"SELECT", "INSERT", "UPDATE", "DELETE",
                                                             "MERGE"};
        const auto is_it = [command](std::string_view verb) { return command.starts_with(verb); };
        if (most_ == 0 || key.size() > longest || std::ranges::none_of(planned, is_it))
            return;
        try {
            if (known_.size() - prepared_ >= most_ && !known_.contains(key))
                known_.erase(least_recent(false));
            known_[std::move(key)].used = ++uses_;
        } catch (const std::bad_alloc&) { // the statement has run all the same
        }
    }

    // If the server no longer has it, or has it and must not use it.
    void forget(const std::string& key, bool gone)
    {
        const auto found = known_.find(key);
        if (!gone)
            surplus_.push_back(found->second.name);
        known_.erase(found);
        --prepared_;
    }

    bool full() const noexcept { return prepared_ >= most_; }

    void make_room()
    {
        const auto least = least_recent(true);
        surplus_.push_back(least->second.name);
        known_.erase(least);
        --prepared_;
    }

    // Names that the server may still have, and that are no longer needed.
    std::vector<std::string>& surplus() noexcept { return surplus_; }

    // No session had this name before. So if a pooler changes the server between two statements,
    // there is no statement of this name, rather than a different one.
    std::string new_name()
    {
        if (series_.empty()) {
            std::random_device random;
            series_ = "loopsafe_" + std::to_string(random()) + '_' + std::to_string(random()) + '_';
        }
        return series_ + std::to_string(++names_);
    }

    void prepared(entry& e, std::string name) noexcept
    {
        e.name = std::move(name);
        ++prepared_;
    }

    // The effect of a caller's statement, or of the reset.
    void heard(std::string_view command) noexcept
    {
        if (command == "DISCARD ALL" || command == "DEALLOCATE ALL")
            clear();
    }

    void clear() noexcept
    {
        known_.clear();
        surplus_.clear();
        prepared_ = 0;
    }

private:
    using map = std::unordered_map<std::string, entry>;

    // Preconditions: there is one.
    map::iterator least_recent(bool prepared) noexcept
    {
        auto least = known_.end();
        for (auto i = known_.begin(); i != known_.end(); ++i) {
            if (i->second.prepared() == prepared &&
                (least == known_.end() || i->second.used < least->second.used))
                least = i;
        }
        return least;
    }

    map known_;
    std::vector<std::string> surplus_;
    std::size_t most_ = 0;
    std::size_t prepared_ = 0;
    std::uint64_t uses_ = 0;
    std::uint64_t names_ = 0;
    std::string series_;
};

} // namespace loopsafe::postgres::detail

#endif
