// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_ODR_HTTP_HPP
#define LOOPSAFE_TESTS_ODR_HTTP_HPP

#include <loopsafe/http.hpp>

/// Clients are made in one translation unit and used in both.
struct clients {
    explicit clients(boost::asio::io_context& home);

    loopsafe::http::client kept;
    loopsafe::http::basic_client<loopsafe::keep_alive_pool, loopsafe::thread_offload> offloaded;
};

boost::asio::awaitable<std::string> ask_in_a(clients& all, std::string url);
boost::asio::awaitable<std::string> ask_in_b(clients& all, std::string url);

boost::asio::awaitable<void> fail_in_a(clients& all, std::string url);
boost::asio::awaitable<bool> failure_caught_in_b(clients& all, std::string url);

#endif
