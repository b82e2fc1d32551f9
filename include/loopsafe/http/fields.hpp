// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_FIELDS_HPP
#define LOOPSAFE_HTTP_FIELDS_HPP

#include <loopsafe/http/error.hpp>

#include <compare>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace loopsafe::http {

namespace detail {
struct fields_access;
}

/// The fields of a message, in the order in which they were added. Names are case-insensitive (RFC
/// 9110, 5.1); a name may occur more than once.
///
/// No name or value can end a line: what is added is checked, and leading and trailing whitespace
/// of a value is dropped. Views of names and values are valid until the next change.
class fields {
public:
    struct field {
        std::string_view name;
        std::string_view value;
    };
    class iterator;
    using const_iterator = iterator;
    using value_type = field;

    fields() = default;
    fields(std::initializer_list<field> all)
    {
        for (const auto& each : all)
            add(each.name, each.value);
    }

    /// Adds a field, even if there already is one of this name.
    ///
    /// Errors: `error` {`bad_field_name`, `bad_field_value`} in the stage `prepare`; nothing is
    /// changed then. Complexity: amortised, linear in the lengths.
    void add(std::string_view name, std::string_view value);

    /// Replaces all fields of this name by one. Errors: as `add()`.
    void set(std::string_view name, std::string_view value);

    /// Removes all fields of this name, and returns their number.
    std::size_t erase(std::string_view name) noexcept;

    void clear() noexcept
    {
        text_.clear();
        entries_.clear();
    }

    /// The value of the first field of this name. Complexity: linear in the number of fields.
    std::optional<std::string_view> find(std::string_view name) const noexcept;

    /// The same; empty if there is none.
    std::string_view operator[](std::string_view name) const noexcept
    {
        return find(name).value_or(std::string_view());
    }

    bool contains(std::string_view name) const noexcept { return find(name).has_value(); }
    std::size_t count(std::string_view name) const noexcept;

    std::size_t size() const noexcept { return entries_.size(); }
    bool empty() const noexcept { return entries_.empty(); }
    iterator begin() const noexcept;
    iterator end() const noexcept;

private:
    friend struct detail::fields_access;

    struct part {
        std::size_t at; // in the text
        std::size_t size;
    };
    struct entry {
        part name;
        part value;
    };

    std::string_view view(const part& p) const noexcept { return {text_.data() + p.at, p.size}; }
    field view(const entry& e) const noexcept { return {view(e.name), view(e.value)}; }
    void append(std::string_view name, std::string_view value);
    void compact() noexcept;

    std::string text_;
    std::vector<entry> entries_;
};

class fields::iterator {
public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = field;
    using difference_type = std::ptrdiff_t;
    using pointer = const field*;
    using reference = field;

    iterator() = default;
    field operator*() const noexcept { return of_->view(of_->entries_[at_]); }
    iterator& operator++() noexcept
    {
        ++at_;
        return *this;
    }
    iterator operator++(int) noexcept
    {
        auto old = *this;
        ++at_;
        return old;
    }
    bool operator==(const iterator&) const = default;

private:
    friend class fields;
    iterator(const fields& of, std::size_t at) noexcept : of_(&of), at_(at) {}

    const fields* of_ = nullptr;
    std::size_t at_ = 0;
};

inline fields::iterator fields::begin() const noexcept
{
    return {*this, 0};
}

inline fields::iterator fields::end() const noexcept
{
    return {*this, entries_.size()};
}

} // namespace loopsafe::http

#include <loopsafe/http/impl/fields.hpp>

#endif
