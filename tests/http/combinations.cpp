// SPDX-License-Identifier: BSL-1.0
// The only place where each client is made: they take long to compile.

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <http/support.hpp>

namespace http_test {
namespace {

template <class Client>
class client_of final : public any_client {
public:
    explicit client_of(const http::single_use_client_options& with) : client_(options(with)) {}
    client_of(const http::single_use_client_options& with, asio::io_context& home)
        : client_(home, options(with))
    {
    }
    client_of(const http::single_use_client_options& with, loopsafe::worker_threads* workers)
        : client_(options(with), workers)
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
    static typename Client::options options(const http::single_use_client_options& with)
    {
        typename Client::options own;
        static_cast<http::single_use_client_options&>(own) = with;
        return own;
    }

    Client client_;
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
    }
    throw std::logic_error("no such combination");
}

} // namespace http_test
