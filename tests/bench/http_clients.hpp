// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_BENCH_HTTP_CLIENTS_HPP
#define LOOPSAFE_TESTS_BENCH_HTTP_CLIENTS_HPP

#include "http_peers.hpp"

#include <loopsafe/http.hpp>

#include <curl/curl.h>
#include <deque>
#include <exception>
#include <httplib.h>
#include <memory>
#include <string>

// Ways to make so many requests on so many kept connections, each at its best.
namespace bench {

inline void rethrow(const std::exception_ptr& error)
{
    if (error != nullptr)
        std::rethrow_exception(error);
}

class with_loopsafe {
public:
    with_loopsafe(page wanted, int connections)
        : wanted_(std::move(wanted)), connections_(connections), client_(context_)
    {
    }

    void operator()(int requests)
    {
        int left = requests;
        for (int i = 0; i != connections_; ++i)
            asio::co_spawn(context_, get(left), rethrow);
        context_.restart();
        context_.run();
    }

private:
    asio::awaitable<void> get(int& left)
    {
        const auto url = wanted_.url();
        while (left-- > 0) {
            const auto response = co_await client_.get(url);
            require(response.status == 200 && response.body.size() == wanted_.size);
        }
    }

    page wanted_;
    int connections_;
    asio::io_context context_{1};
    loopsafe::http::client client_;
};

template <class Peer>
class by_hand {
public:
    by_hand(const page& wanted, int connections)
    {
        for (int i = 0; i != connections; ++i)
            peers_.emplace_back(context_.get_executor(), wanted);
    }

    void operator()(int requests)
    {
        int left = requests;
        for (auto& each : peers_)
            asio::co_spawn(context_.get_executor(), each.requests(left), rethrow);
        context_.restart();
        context_.run();
    }

private:
    asio::io_context context_{1};
    std::deque<Peer> peers_;
};

// One handle of libcurl, which keeps its connection and what it is told.
class curl_transfer {
public:
    explicit curl_transfer(const page& wanted) : size_(wanted.size), handle_(curl_easy_init())
    {
        set(CURLOPT_URL, wanted.url().c_str());
        set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_WRITEFUNCTION, &take);
        set(CURLOPT_WRITEDATA, this);
        set(CURLOPT_PRIVATE, this);
    }
    curl_transfer(const curl_transfer&) = delete;
    curl_transfer& operator=(const curl_transfer&) = delete;
    ~curl_transfer() { curl_easy_cleanup(handle_); }

    template <class Value>
    void set(CURLoption what, Value value)
    {
        require(curl_easy_setopt(handle_, what, value) == CURLE_OK);
    }

    CURL* handle() const noexcept { return handle_; }

    // Gives the body away, of a transfer that ended so.
    std::string finish(CURLcode result)
    {
        long status = 0;
        curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
        require(result == CURLE_OK && status == 200 && body_.size() == size_);
        return std::exchange(body_, {});
    }

private:
    static std::size_t take(const char* bytes, std::size_t, std::size_t n, void* of)
    {
        auto& self = *static_cast<curl_transfer*>(of);
        if (self.body_.empty()) {
            curl_off_t length = 0;
            curl_easy_getinfo(self.handle_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
            if (length > 0)
                self.body_.reserve(static_cast<std::size_t>(length));
        }
        self.body_.append(bytes, n);
        return n;
    }

    std::size_t size_;
    CURL* handle_;
    std::string body_;
};

class with_curl_easy {
public:
    explicit with_curl_easy(const page& wanted) : transfer_(wanted) {}

    // As much at a time as it can be told to read.
    void use_largest_buffer() { transfer_.set(CURLOPT_BUFFERSIZE, long{CURL_MAX_READ_SIZE}); }

    void operator()(int requests)
    {
        for (int i = 0; i != requests; ++i)
            transfer_.finish(curl_easy_perform(transfer_.handle()));
    }

private:
    curl_transfer transfer_;
};

class with_curl_multi {
public:
    with_curl_multi(const page& wanted, int connections) : multi_(curl_multi_init())
    {
        curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, long{connections});
        for (int i = 0; i != connections; ++i)
            transfers_.emplace_back(wanted);
    }
    with_curl_multi(const with_curl_multi&) = delete;
    with_curl_multi& operator=(const with_curl_multi&) = delete;
    ~with_curl_multi()
    {
        transfers_.clear();
        curl_multi_cleanup(multi_);
    }

    void operator()(int requests)
    {
        left_ = requests;
        under_way_ = 0;
        for (auto& each : transfers_)
            begin(each);
        while (under_way_ != 0) {
            int running = 0;
            require(curl_multi_perform(multi_, &running) == CURLM_OK);
            if (!next()) // else there is something to send first
                require(curl_multi_poll(multi_, nullptr, 0, 10'000, nullptr) == CURLM_OK);
        }
    }

private:
    void begin(curl_transfer& which)
    {
        if (left_ == 0)
            return;
        --left_;
        ++under_way_;
        require(curl_multi_add_handle(multi_, which.handle()) == CURLM_OK);
    }

    // Whether any transfer had ended, so that another could begin in its place.
    bool next()
    {
        bool any = false;
        int more = 0;
        while (const auto* const message = curl_multi_info_read(multi_, &more)) {
            any = true;
            const auto result = message->data.result;
            CURL* const handle = message->easy_handle;
            curl_transfer* of = nullptr;
            curl_easy_getinfo(handle, CURLINFO_PRIVATE, &of);
            --under_way_;
            require(curl_multi_remove_handle(multi_, handle) == CURLM_OK);
            of->finish(result);
            begin(*of);
        }
        return any;
    }

    CURLM* multi_;
    std::deque<curl_transfer> transfers_;
    int left_ = 0;
    int under_way_ = 0;
};

class with_httplib {
public:
    explicit with_httplib(page wanted)
        : wanted_(std::move(wanted)), client_("127.0.0.1", wanted_.port)
    {
        client_.set_keep_alive(true);
        client_.set_tcp_nodelay(true);
    }

    void operator()(int requests)
    {
        for (int i = 0; i != requests; ++i) {
            const auto result = client_.Get(wanted_.path);
            require(result && result->status == 200 && result->body.size() == wanted_.size);
        }
    }

private:
    page wanted_;
    httplib::Client client_;
};

} // namespace bench

#endif
