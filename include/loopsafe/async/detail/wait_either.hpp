// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_ASYNC_DETAIL_WAIT_EITHER_HPP
#define LOOPSAFE_ASYNC_DETAIL_WAIT_EITHER_HPP

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <mutex>
#include <new>
#include <utility>

namespace loopsafe::detail {

namespace asio = boost::asio;

// Waits until a socket, or another descriptor of Asio's, can be read or written, whichever comes
// first. Both waits have ended when the handler is called.
template <class Socket, class Handler>
class either_wait {
    struct shared {
        shared(Socket& s, Handler&& h) : socket(s), handler(std::move(h)) {}

        Socket& socket;
        Handler handler;
        std::mutex mutex; // the first may end on another thread before the second has begun
        boost::system::error_code first;
        bool one_has_ended = false;
    };

    // A cancellation of the whole ends one of them, which ends the other.
    template <bool IsCancelled>
    class part {
    public:
        using executor_type = asio::associated_executor_t<Handler, typename Socket::executor_type>;
        using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

        explicit part(std::shared_ptr<shared> of) noexcept : shared_(std::move(of)) {}

        executor_type get_executor() const noexcept
        {
            return asio::get_associated_executor(shared_->handler, shared_->socket.get_executor());
        }
        cancellation_slot_type get_cancellation_slot() const noexcept
        {
            if constexpr (IsCancelled)
                return asio::get_associated_cancellation_slot(shared_->handler);
            else
                return {};
        }

        void operator()(const boost::system::error_code& ec)
        {
            {
                const std::lock_guard lock(shared_->mutex);
                if (!std::exchange(shared_->one_has_ended, true)) {
                    shared_->first = ec;
                    boost::system::error_code ignored;
                    shared_->socket.cancel(ignored);
                    return;
                }
            }
            auto handler = std::move(shared_->handler);
            const auto first = shared_->first;
            shared_.reset();
            std::move(handler)(first);
        }

    private:
        std::shared_ptr<shared> shared_;
    };

public:
    static void begin(Socket& socket, Handler&& handler)
    {
        const auto both = std::make_shared<shared>(socket, std::move(handler));
        const std::lock_guard lock(both->mutex);
        socket.async_wait(Socket::wait_read, part<false>(both));
        try {
            socket.async_wait(Socket::wait_write, part<true>(both));
        } catch (const std::bad_alloc&) { // the first, which may take for ever, has the handler
            both->one_has_ended = true;
            both->first = make_error_code(boost::system::errc::not_enough_memory);
            boost::system::error_code ignored;
            socket.cancel(ignored);
        }
    }
};

// Completion signature: void(error_code).
template <class Socket, class Token>
auto async_wait_either(Socket& on, Token&& token)
{
    return asio::async_initiate<Token, void(boost::system::error_code)>(
        [](auto handler, Socket* socket) {
            either_wait<Socket, decltype(handler)>::begin(*socket, std::move(handler));
        },
        token, &on);
}

} // namespace loopsafe::detail

#endif
