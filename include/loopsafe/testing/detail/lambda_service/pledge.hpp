// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_PLEDGE_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_PLEDGE_HPP

#include <loopsafe/testing/detail/lambda_service/bell.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace loopsafe::testing::detail {

template <class T>
struct pledged {
    std::optional<T> value;
    bool broken = false;
    bool unwanted = false;
};

// One value that the service's thread owes a coroutine. Whoever destroys it unkept breaks it.
template <class T>
class pledge {
public:
    using receiver = std::shared_ptr<bell<pledged<T>>>;

    explicit pledge(receiver to) noexcept : to_(std::move(to)) {}
    pledge(const pledge&) = delete;
    pledge& operator=(const pledge&) = delete;
    ~pledge()
    {
        to_->tell([](pledged<T>& said) { said.broken = !said.value; });
    }

    // Whether somebody waits for it still.
    bool wanted() const
    {
        return to_->look([](const pledged<T>& said) { return !said.unwanted; });
    }

    void keep(T value)
    {
        to_->tell([&](pledged<T>& said) { said.value = std::move(value); });
    }

private:
    const receiver to_;
};

template <class T>
struct unwanted_at_end {
    const typename pledge<T>::receiver& of;

    ~unwanted_at_end()
    {
        of->look([](pledged<T>& said) { return said.unwanted = true; });
    }
};

// `promise` gets a shared pledge, and takes it to the service's thread.
template <class T, class Promise>
asio::awaitable<T> await_pledge(Promise promise)
{
    const auto receiver = std::make_shared<bell<pledged<T>>>();
    const unwanted_at_end<T> leaving{receiver};
    promise(std::make_shared<pledge<T>>(receiver));
    co_await receiver->wait_until(
        [](const pledged<T>& said) { return said.broken || said.value.has_value(); });
    auto value = receiver->look([](pledged<T>& said) { return std::move(said.value); });
    if (!value)
        throw boost::system::system_error(asio::error::operation_aborted,
                                          "lambda_service: it was destroyed");
    co_return *std::move(value);
}

} // namespace loopsafe::testing::detail

#endif
