// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_PREPARED_STATEMENTS_HPP
#define LOOPSAFE_POSTGRES_DETAIL_PREPARED_STATEMENTS_HPP

#include <loopsafe/postgres/detail/request.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace loopsafe::postgres::detail {

// Which statements a session has prepared on its server, and which it has run once and prepares the
// next time. Of either kind it knows so many, and forgets those that were used least recently.
class prepared_statements {
public:
    struct entry {
        bool prepared() const noexcept { return !name.empty(); }

        std::string name; // on the server
        std::uint64_t used = 0;
    };

    void limit(std::size_t most) noexcept { most_ = most; }

    // Null for a statement that has not been run before.
    entry* find(const statement& sql, const parameters& values)
    {
        if (most_ == 0)
            return nullptr;
        const auto found = known_.find(key(sql, values));
        if (found == known_.end())
            return nullptr;
        found->second.used = ++uses_;
        return &found->second;
    }

    // A statement that has run. Only those that the server makes a plan for are worth it.
    void remember(const statement& sql, const parameters& values, std::string_view command)
    {
        constexpr std::array<std::string_view, 5> planned = {"SELECT", "INSERT", "UPDATE", "DELETE",
                                                             "MERGE"};
        const auto is_it = [command](std::string_view verb) { return command.starts_with(verb); };
        if (most_ == 0 || std::ranges::none_of(planned, is_it))
            return;
        auto once = key(sql, values);
        if (known_.size() - prepared_ >= most_ && !known_.contains(once))
            known_.erase(least_recent(false));
        known_[std::move(once)].used = ++uses_;
    }

    void forget(const statement& sql, const parameters& values)
    {
        prepared_ -= known_.erase(key(sql, values));
    }

    bool full() const noexcept { return prepared_ >= most_; }
    bool any() const noexcept { return prepared_ != 0; }

    // The name of the statement that makes room.
    std::string give_up()
    {
        const auto found = least_recent(true);
        auto name = std::move(found->second.name);
        known_.erase(found);
        --prepared_;
        return name;
    }

    // No session had it before. So where a pooler changes the server between two statements, there
    // is nothing under this name, and not somebody else's statement.
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

    // Whether the server may have statements that this does not know.
    bool strays() const noexcept { return strays_; }
    void strays(bool there_may_be) noexcept { strays_ = there_may_be; }

    // What a statement of the caller's did.
    void heard(std::string_view command) noexcept
    {
        if (command == "PREPARE")
            strays_ = true;
        if (command == "DISCARD ALL" || command == "DEALLOCATE ALL") {
            known_.clear();
            prepared_ = 0;
            strays_ = false;
        }
    }

private:
    using map = std::unordered_map<std::string, entry>;

    // The server chooses operators and functions by the types.
    static std::string key(const statement& sql, const parameters& values)
    {
        auto both = sql.text();
        for (const auto& value : values)
            both.append(1, '\0').append(std::to_string(value.type));
        return both;
    }

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
    std::size_t most_ = 0;
    std::size_t prepared_ = 0;
    std::uint64_t uses_ = 0;
    std::uint64_t names_ = 0;
    std::string series_;
    bool strays_ = false;
};

} // namespace loopsafe::postgres::detail

#endif
