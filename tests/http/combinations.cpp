// SPDX-License-Identifier: BSL-1.0
// The only place where each client is made: they take long to compile.

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/http/layers/decoding.hpp>
#include <loopsafe/http/layers/gzip.hpp>
#include <loopsafe/http/layers/on_request.hpp>
#include <loopsafe/http/layers/redirects.hpp>
#include <loopsafe/http/layers/retries.hpp>

#include <http/support.hpp>

namespace http_test {
namespace {

template <class Client>
typename Client::options options_of(const http::single_use_client_options& with)
{
    typename Client::options own;
    static_cast<http::single_use_client_options&>(own) = with;
    return own;
}

template <class Client>
class client_of final : public any_client {
public:
    explicit client_of(const http::single_use_client_options& with)
        : client_(options_of<Client>(with))
    {
    }
    client_of(const http::single_use_client_options& with, asio::io_context& home)
        : client_(home, options_of<Client>(with))
    {
    }
    client_of(const http::single_use_client_options& with, loopsafe::worker_threads* workers)
        : client_(options_of<Client>(with), workers)
    {
    }

    asio::awaitable<response> send(request what) override { return client_.send(std::move(what)); }
    asio::awaitable<void> with_response(request what, reader fn) override
    {
        return client_.with_response(std::move(what), fn);
    }
    asio::awaitable<void> async_close(std::chrono::milliseconds limit) override
    {
        return client_.async_close(limit);
    }
    void close() override { client_.close(); }
    void invalidate() override { client_.invalidate(); }
    loopsafe::pool_stats stats() override { return client_.stats(); }

private:
    Client client_;
};

// A layer that needs an incoming_response for every response.
class lends_only final : public http::layer {
    std::string_view name() const noexcept override { return "lends_only"; }
    asio::awaitable<void> lend(http::exchange& x, http::next inner) const override
    {
        co_await inner.lend(x);
    }
};

class layered final : public any_client {
public:
    explicit layered(const http::any_sender& client)
        : sender_(client | http::on_request([](request&) {}) | http::retries(1) |
                  http::redirects() | http::decoding(http::gzip))
    {
    }

    asio::awaitable<response> send(request what) override { return sender_.send(std::move(what)); }
    asio::awaitable<void> with_response(request what, reader fn) override
    {
        return sender_.with_response(std::move(what), fn);
    }
    asio::awaitable<void> async_close(std::chrono::milliseconds limit) override
    {
        return sender_.async_close(limit);
    }
    void close() override { sender_.close(); }
    void invalidate() override { sender_.invalidate(); }
    loopsafe::pool_stats stats() override { return sender_.stats(); }

private:
    http::any_sender sender_;
};

} // namespace

std::unique_ptr<any_client> make_client(combination what, asio::io_context& home,
                                        const http::single_use_client_options& with,
                                        loopsafe::worker_threads* workers)
{
    using namespace loopsafe;
    switch (what) {
    case combination::keep_alive_on_context:
        return std::make_unique<client_of<http::client>>(with, home);
    case combination::null_on_context:
        return std::make_unique<client_of<http::basic_client<null_pool>>>(with);
    case combination::per_context_on_context:
        return std::make_unique<client_of<http::basic_client<per_context_pool>>>(with);
    case combination::carry_over_on_context:
        return std::make_unique<client_of<http::basic_client<carry_over_pool>>>(with);
    case combination::keep_alive_offloaded:
        return std::make_unique<client_of<http::basic_client<keep_alive_pool, thread_offload>>>(
            with, workers);
    case combination::null_offloaded:
        return std::make_unique<client_of<http::basic_client<null_pool, thread_offload>>>(with,
                                                                                          workers);
    case combination::layered_on_context:
        return std::make_unique<layered>(
            http::any_sender(http::client(home, options_of<http::client>(with))));
    case combination::layered_offloaded: {
        using client = http::basic_client<keep_alive_pool, thread_offload>;
        return std::make_unique<layered>(client(options_of<client>(with), workers) |
                                         std::make_shared<lends_only>());
    }
    }
    throw std::logic_error("no such combination");
}

} // namespace http_test
