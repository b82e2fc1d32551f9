// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POSTGRES_DETAIL_INDEX_ITERATOR_HPP
#define LOOPSAFE_POSTGRES_DETAIL_INDEX_ITERATOR_HPP

#include <cstddef>
#include <iterator>

namespace loopsafe::postgres::detail {

// Iterates over a range that has size() and operator[], and returns views by value.
template <class Range, class View>
class index_iterator {
public:
    using value_type = View;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;
    using iterator_category = std::input_iterator_tag;
    using reference = View;
    using pointer = void;

    index_iterator() noexcept = default;
    index_iterator(const Range* range, std::size_t index) noexcept : range_(range), index_(index) {}

    View operator*() const { return (*range_)[index_]; }

    index_iterator& operator++() noexcept
    {
        ++index_;
        return *this;
    }

    index_iterator operator++(int) noexcept
    {
        auto before = *this;
        ++index_;
        return before;
    }

    friend bool operator==(const index_iterator&, const index_iterator&) noexcept = default;

private:
    const Range* range_ = nullptr;
    std::size_t index_ = 0;
};

} // namespace loopsafe::postgres::detail

#endif
