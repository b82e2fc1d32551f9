// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LAMBDA_RAW_SERVICE_HPP
#define LOOPSAFE_TESTS_LAMBDA_RAW_SERVICE_HPP

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <lambda/served.hpp>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace lambda_support {

/// The bytes of an event.
inline std::string next_of(std::string_view id, std::string_view event,
                           std::string_view fields = "")
{
    std::string text = "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: ";
    text.append(id).append("\r\nContent-Length: ").append(std::to_string(event.size()));
    return text.append("\r\n").append(fields).append("\r\n").append(event);
}

inline const std::string accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

/// A Runtime API that answers each request with the next bytes that a test has for it, right or
/// wrong, and keeps what was asked. Where it has none it reads on, and waits.
class raw_service {
public:
    raw_service() : thread_([this] { serve(); }) {}
    raw_service(const raw_service&) = delete;
    ~raw_service()
    {
        {
            const std::lock_guard lock(mutex_);
            ends_ = true;
            for (const int each : open_)
                ::shutdown(each, SHUT_RDWR);
        }
        changed_.notify_all();
        ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
    }

    std::string endpoint() const
    {
        return "localhost:" + std::to_string(acceptor_.local_endpoint().port());
    }

    /// The answer to the next request; then it closes the connection, if so.
    void says(std::string bytes, bool closes = false)
    {
        const std::lock_guard lock(mutex_);
        answers_.push_back({std::move(bytes), closes});
        changed_.notify_all();
    }

    /// Until so many requests have come.
    void wait(std::size_t count)
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return requests_.size() >= count; });
    }
    std::vector<std::string> requests() const
    {
        const std::lock_guard lock(mutex_);
        return requests_;
    }
    /// Until so many answers have been written.
    void wait_said(std::size_t count)
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return said_ >= count; });
    }
    /// How many have been opened.
    std::size_t connections() const
    {
        const std::lock_guard lock(mutex_);
        return connections_;
    }

private:
    struct answer {
        std::string bytes;
        bool closes = false;
    };

    void serve()
    {
        std::vector<std::jthread> all;
        for (;;) {
            boost::system::error_code ec;
            auto socket = std::make_shared<asio::ip::tcp::socket>(context_);
            acceptor_.accept(*socket, ec);
            const std::lock_guard lock(mutex_);
            if (ends_ || ec)
                return;
            open_.push_back(socket->native_handle());
            ++connections_;
            all.emplace_back([this, socket] {
                while (serve_one(*socket)) {}
                const std::lock_guard at_the_end(mutex_);
                std::erase(open_, socket->native_handle());
                socket->close();
            });
        }
    }

    // A request is whole when the head has come, and what its length or its last chunk says.
    static bool is_whole(const std::string& text)
    {
        const auto head = text.find("\r\n\r\n");
        if (head == text.npos)
            return false;
        const auto length = text.find("Content-Length: ");
        if (length < head)
            return text.size() >= head + 4 + std::strtoul(text.c_str() + length + 16, nullptr, 10);
        return text.find("chunked") > head || text.find("\r\n0\r\n", head) != text.npos;
    }

    bool serve_one(asio::ip::tcp::socket& socket)
    {
        std::string text;
        boost::system::error_code ec;
        for (std::vector<char> some(65536); !is_whole(text);) {
            const auto n = socket.read_some(asio::buffer(some), ec);
            text.append(some.data(), n);
            if (ec && text.empty())
                return false;
            if (ec)
                break;
        }
        answer with;
        {
            std::unique_lock lock(mutex_);
            requests_.push_back(text);
            changed_.notify_all();
            if (ec)
                return false;
            changed_.wait(lock, [&] { return ends_ || !answers_.empty(); });
            if (ends_)
                return false;
            with = std::move(answers_.front());
            answers_.pop_front();
        }
        asio::write(socket, asio::buffer(with.bytes), ec);
        {
            const std::lock_guard lock(mutex_);
            ++said_;
        }
        changed_.notify_all();
        return !ec && !with.closes;
    }

    asio::io_context context_{1};
    asio::ip::tcp::acceptor acceptor_{context_, {asio::ip::address_v4::loopback(), 0}};
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<answer> answers_;
    std::vector<std::string> requests_;
    std::vector<int> open_;
    std::size_t connections_ = 0;
    std::size_t said_ = 0;
    bool ends_ = false;
    std::jthread thread_;
};

} // namespace lambda_support

#endif
