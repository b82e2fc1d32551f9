// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_SPIES_HPP
#define LOOPSAFE_TESTS_SUPPORT_SPIES_HPP

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <support/run_until.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace support {

/// Keeps the handlers of those who wait, until it lets go of them or is destroyed: none is called.
class keeper {
public:
    asio::awaitable<void> wait()
    {
        co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
            [this](auto&& handler) {
                using handler_type = std::decay_t<decltype(handler)>;
                kept_.push_back(
                    std::make_shared<handler_type>(std::forward<decltype(handler)>(handler)));
            },
            asio::use_awaitable);
    }
    void let_go() { kept_.clear(); }

private:
    std::vector<std::shared_ptr<void>> kept_;
};

/// Appends its name to a list when it is destroyed.
class tattler {
public:
    tattler(names& list, std::string name) : list_(&list), name_(std::move(name)) {}
    tattler(tattler&& other) noexcept
        : list_(std::exchange(other.list_, nullptr)), name_(std::move(other.name_))
    {
    }
    tattler& operator=(tattler&&) = delete;
    ~tattler()
    {
        if (list_ != nullptr)
            list_->push_back(name_);
    }

private:
    names* list_;
    std::string name_;
};

/// What operations refer to in the frame of their caller. The last one to look must find it alive.
struct frame_local {
    explicit frame_local(int& count) : alive(count) { ++alive; }
    frame_local(const frame_local&) = delete;
    ~frame_local()
    {
        --alive;
        value = 0;
    }
    int& alive;
    int value = 7;
};

/// Looks when it is destroyed.
struct looker {
    const frame_local& at;
    ~looker() { CHECK(at.value == 7); }
};

} // namespace support

#endif
