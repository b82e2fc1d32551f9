// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_DETAIL_INTRUSIVE_LIST_HPP
#define LOOPSAFE_DETAIL_INTRUSIVE_LIST_HPP

namespace loopsafe::detail {

template <class T>
class intrusive_list;

// Unlinking needs no list: a node can leave any list that it is in.
class list_node {
public:
    list_node() = default;
    list_node(const list_node&) = delete;
    list_node& operator=(const list_node&) = delete;

    bool linked() const noexcept { return next_ != nullptr; }

    void unlink() noexcept
    {
        if (next_ != nullptr) {
            prev_->next_ = next_;
            next_->prev_ = prev_;
            prev_ = next_ = nullptr;
        }
    }

private:
    template <class>
    friend class intrusive_list;

    list_node* prev_ = nullptr;
    list_node* next_ = nullptr;
};

// T derives from list_node. Nothing allocates, nothing throws.
template <class T>
class intrusive_list {
public:
    intrusive_list() noexcept { head_.prev_ = head_.next_ = &head_; }
    intrusive_list(const intrusive_list&) = delete;
    intrusive_list& operator=(const intrusive_list&) = delete;

    bool empty() const noexcept { return head_.next_ == &head_; }
    T& front() noexcept { return static_cast<T&>(*head_.next_); }

    template <class Element>
    class iterator {
    public:
        Element& operator*() const noexcept { return static_cast<Element&>(*at_); }
        Element* operator->() const noexcept { return &**this; }
        iterator& operator++() noexcept
        {
            at_ = at_->next_;
            return *this;
        }
        friend bool operator==(const iterator&, const iterator&) = default;

    private:
        friend intrusive_list;
        explicit iterator(list_node* at) noexcept : at_(at) {}
        list_node* at_;
    };

    iterator<T> begin() noexcept { return iterator<T>(head_.next_); }
    iterator<T> end() noexcept { return iterator<T>(&head_); }
    iterator<const T> begin() const noexcept { return iterator<const T>(head_.next_); }
    iterator<const T> end() const noexcept
    {
        return iterator<const T>(const_cast<list_node*>(&head_));
    }

    void push_back(T& element) noexcept
    {
        list_node& node = element;
        node.prev_ = head_.prev_;
        node.next_ = &head_;
        head_.prev_->next_ = &node;
        head_.prev_ = &node;
    }

    T* pop_front() noexcept
    {
        if (empty())
            return nullptr;
        T& element = front();
        element.list_node::unlink();
        return &element;
    }

private:
    list_node head_;
};

} // namespace loopsafe::detail

#endif
