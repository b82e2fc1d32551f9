// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_IMPL_HTTP_SERVER_HPP
#define LOOPSAFE_LAMBDA_IMPL_HTTP_SERVER_HPP

#include <loopsafe/async/detail/within_clock.hpp>
#include <loopsafe/lambda/detail/error_report.hpp>
#include <loopsafe/lambda/detail/http_normal.hpp>
#include <loopsafe/run/task_scope.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace loopsafe::lambda {
namespace detail {

namespace asio = boost::asio;
namespace beast = boost::beast;
using beast_request = beast::http::request<beast::http::string_body>;
using beast_response = beast::http::response<beast::http::string_body>;

inline constexpr auto to_result = asio::as_tuple(asio::use_awaitable);

inline void check(const http_server_options& options)
{
    if (options.max_connections == 0)
        throw boost::system::system_error(
            make_error_code(loopsafe::errc::bad_option),
            "serve_http: max_connections is 0: nothing would ever be served");
    if (options.idle_timeout <= std::chrono::milliseconds::zero())
        throw boost::system::system_error(make_error_code(loopsafe::errc::bad_option),
                                          "serve_http: idle_timeout is not positive");
}

// False where it is no target that a server takes (RFC 9112, 3.2: origin form, absolute form, "*").
inline bool split_target(std::string_view target, http_request& to)
{
    if (!target.starts_with('/') && target != "*") {
        const auto scheme = lower_case(target.substr(0, target.find("://")));
        if (scheme != "http" && scheme != "https")
            return false;
        target.remove_prefix(scheme.size() + 3);
        target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    }
    const auto question = std::min(target.find('?'), target.size());
    to.path = encoded(target.substr(0, question), true);
    if (to.path.empty())
        to.path = "/";
    to.query = encoded(target.substr(std::min(question + 1, target.size())), false);
    return true;
}

// Nothing where it is malformed.
inline std::optional<http_request> from_beast(beast_request&& from, std::string source_ip)
{
    std::optional<http_request> to(std::in_place);
    if (!split_target(from.target(), *to))
        return std::nullopt;
    to->method = from.method_string();
    to->protocol = from.version() == 10 ? "HTTP/1.0" : "HTTP/1.1";
    to->source_ip = std::move(source_ip);
    try {
        for (const auto& each : from)
            add_request_field(*to, each.name_string(), each.value());
    } catch (const http::error&) {
        return std::nullopt;
    }
    to->body = std::move(from.body());
    return to;
}

inline beast_response to_beast(http_response&& answer)
{
    const auto framed = frame(answer);
    beast_response to;
    to.result(static_cast<unsigned>(framed.status));
    for (const auto [name, value] : framed.headers)
        to.insert({name.data(), name.size()}, {value.data(), value.size()});
    for (const auto& each : framed.cookies)
        to.insert(beast::http::field::set_cookie, each);
    if (framed.has_body)
        to.body() = std::move(answer.body);
    return to;
}

// As API Gateway writes those of its own.
inline beast_response own_answer(beast::http::status status, std::string_view message)
{
    beast_response answer;
    answer.result(status);
    answer.set(beast::http::field::content_type, "application/json");
    answer.body() = R"({"message":")" + std::string(message) + R"("})";
    return answer;
}

inline void tell(const http_server_options& options, const std::exception_ptr& error)
{
    try {
        if (options.on_error == nullptr)
            std::fputs((report_of(error).body + '\n').c_str(), stderr);
        else if (*options.on_error)
            (*options.on_error)(error);
    } catch (...) { // the caller is answered all the same
    }
}

// One connection of serve_http().
template <class F>
class http_connection {
public:
    http_connection(asio::ip::tcp::socket socket, F& function, const http_server_options& options)
        : stream_(std::move(socket)), function_(function), options_(options)
    {
        boost::system::error_code ec;
        const auto peer = stream_.socket().remote_endpoint(ec);
        if (!ec)
            peer_ = peer.address().to_string();
    }

    // What goes wrong with one connection is nothing to the others.
    asio::awaitable<void> run()
    {
        try {
            for (bool more = true; more;)
                more = co_await serve_one();
            co_await hear_out();
        } catch (...) { // no memory, or the server was cancelled
            stream_.close();
        }
    }

private:
    using parser_type = beast::http::request_parser<beast::http::string_body>;
    static constexpr std::chrono::milliseconds farewell{5000};

    // False after the last request.
    asio::awaitable<bool> serve_one()
    {
        parser_type parser;
        parser.header_limit(options_.header_bytes);
        parser.body_limit(options_.body_bytes);
        limit_time();
        const auto ec = co_await read(parser);
        if (ec)
            co_return co_await refuse(ec);
        stream_.expires_never();
        auto message = parser.release();
        const bool to_head = message.method() == beast::http::verb::head;
        const bool keeps = message.keep_alive();
        auto request = from_beast(std::move(message), peer_);
        if (!request) {
            auto refusal = own_answer(beast::http::status::bad_request, "Bad Request");
            co_return co_await write(refusal, false, to_head);
        }
        std::exception_ptr error;
        beast_response answer;
        try {
            auto operation = std::invoke(function_, *std::move(request));
            auto given = co_await std::move(operation);
            answer = to_beast(std::move(given));
        } catch (...) {
            error = std::current_exception();
        }
        if (error != nullptr) {
            const asio::cancellation_state caller = co_await asio::this_coro::cancellation_state;
            if (caller.cancelled() != asio::cancellation_type::none)
                co_return false;
            tell(options_, error);
            answer =
                own_answer(beast::http::status::internal_server_error, "Internal Server Error");
        }
        co_return co_await write(answer, keeps && error == nullptr, to_head);
    }

    asio::awaitable<boost::system::error_code> read(parser_type& parser)
    {
        const auto [in_head, ignored] =
            co_await beast::http::async_read_header(stream_, buffer_, parser, to_result);
        if (in_head)
            co_return in_head;
        if (is_ambiguous(parser.get()))
            co_return make_error_code(beast::http::error::bad_transfer_encoding);
        if (beast::iequals(parser.get()[beast::http::field::expect], "100-continue")) {
            beast::http::response<beast::http::empty_body> go_on;
            go_on.result(beast::http::status::continue_);
            const auto [in_write, size] =
                co_await beast::http::async_write(stream_, go_on, to_result);
            if (in_write)
                co_return in_write;
        }
        const auto [in_body, size] =
            co_await beast::http::async_read(stream_, buffer_, parser, to_result);
        co_return in_body;
    }

    // Closing on a client that still sends would take away from it what it was answered.
    asio::awaitable<void> hear_out()
    {
        using clock = std::chrono::steady_clock;
        boost::system::error_code ec;
        stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ec);
        const std::chrono::milliseconds longest = std::min(options_.idle_timeout, farewell);
        const auto end = clock::now() + longest;
        stream_.expires_at(end);
        while (!ec && clock::now() < end) { // it may have more at each moment
            buffer_.clear();
            const auto [failed, size] =
                co_await stream_.async_read_some(buffer_.prepare(16 * 1024), to_result);
            ec = failed;
        }
    }

    void limit_time()
    {
        stream_.expires_at(
            loopsafe::detail::later(std::chrono::steady_clock::now(), options_.idle_timeout));
    }

    // Where another server may see other messages (RFC 9112, 6.1; RFC 9112, 3.2).
    static bool is_ambiguous(const beast_request& head)
    {
        using beast::http::field;
        const auto codings = head.count(field::transfer_encoding);
        const bool is_plain =
            codings == 0 ||
            (codings == 1 && head.version() == 11 && head.count(field::content_length) == 0 &&
             beast::iequals(head[field::transfer_encoding], "chunked"));
        const auto hosts = head.count(field::host);
        return !is_plain || hosts > 1 || (hosts == 0 && head.version() == 11);
    }

    // A request that could not be read; one that was not begun needs no answer.
    asio::awaitable<bool> refuse(boost::system::error_code why)
    {
        using beast::http::error;
        using beast::http::status;
        static const auto& of_requests = make_error_code(error::bad_method).category();
        if (why.category() != of_requests || why == error::end_of_stream ||
            why == error::partial_message)
            co_return false;
        auto answer = own_answer(status::bad_request, "Bad Request");
        if (why == error::body_limit)
            answer = own_answer(status::payload_too_large, "Request Entity Too Large");
        else if (why == error::header_limit || why == error::buffer_overflow)
            answer = own_answer(status::request_header_fields_too_large,
                                "Request Header Fields Too Large");
        co_return co_await write(answer, false, false);
    }

    asio::awaitable<bool> write(beast_response& answer, bool keeps, bool to_head)
    {
        answer.version(11);
        answer.keep_alive(keeps);
        const auto status = answer.result_int();
        if (status != 204 && status != 304)
            answer.content_length(answer.body().size());
        limit_time();
        beast::http::response_serializer<beast::http::string_body> serializer(answer);
        boost::system::error_code failed;
        if (to_head) {
            const auto [ec, size] =
                co_await beast::http::async_write_header(stream_, serializer, to_result);
            failed = ec;
        } else {
            const auto [ec, size] =
                co_await beast::http::async_write(stream_, serializer, to_result);
            failed = ec;
        }
        co_return !failed && keeps;
    }

    beast::tcp_stream stream_;
    beast::flat_buffer buffer_;
    F& function_;
    const http_server_options options_;
    std::string peer_;
};

// Accepting fails for a while where descriptors or memory are short, or a peer has gone meanwhile.
inline bool passes_by(const boost::system::error_code& ec)
{
    return ec == asio::error::connection_aborted || ec == asio::error::no_descriptors ||
           ec == boost::system::errc::too_many_files_open_in_system ||
           ec == asio::error::no_buffer_space || ec == asio::error::no_memory ||
           ec == asio::error::try_again || ec == boost::system::errc::protocol_error;
}

inline asio::awaitable<asio::ip::tcp::socket> accept_one(asio::ip::tcp::acceptor& acceptor)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    asio::steady_timer pause(executor);
    for (;;) {
        asio::ip::tcp::socket socket(executor);
        const auto [ec] = co_await acceptor.async_accept(socket, to_result);
        if (!ec)
            co_return socket;
        if (!passes_by(ec))
            throw boost::system::system_error(ec);
        pause.expires_after(std::chrono::milliseconds(50));
        co_await pause.async_wait(to_result);
    }
}

// `accepted` expires when the next may be accepted.
template <class F>
asio::awaitable<void> accept_and_serve(asio::ip::tcp::acceptor& acceptor, F& function,
                                       const http_server_options& options,
                                       std::shared_ptr<asio::steady_timer> accepted)
{
    auto socket = co_await accept_one(acceptor);
    accepted->expires_at(asio::steady_timer::time_point::min());
    http_connection<F> connection(std::move(socket), function, options);
    co_await connection.run();
}

// What accepts is the task that serves then: so nobody is accepted who has no place.
template <class F>
asio::awaitable<void> accept_all(task_scope& tasks, asio::ip::tcp::acceptor& acceptor, F& function,
                                 const http_server_options& options)
{
    const auto accepted = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor);
    const auto task = [&acceptor, &function, &options, accepted] {
        return accept_and_serve(acceptor, function, options, accepted);
    };
    for (;;) {
        accepted->expires_at(asio::steady_timer::time_point::max());
        if (!co_await tasks.start_when_free(task))
            co_return;
        co_await accepted->async_wait(to_result);
    }
}

template <class F>
asio::awaitable<void> serve_until_cancelled(asio::ip::tcp::acceptor& acceptor, F function,
                                            http_server_options options)
{
    check(options);
    const auto body = [&](task_scope& tasks) {
        return accept_all(tasks, acceptor, function, options);
    };
    task_scope_options connections;
    connections.max_running = options.max_connections;
    co_await with_tasks(body, connections);
}

} // namespace detail

template <http_function F>
boost::asio::awaitable<void> serve_http(boost::asio::ip::tcp::acceptor& acceptor, F&& function,
                                        http_server_options options)
{
    static_assert(loopsafe::detail::safe_as_temporary<F>,
                  "GCC 12 would destroy the captures of this function twice: give the lambda a "
                  "name first and pass that");
    return detail::serve_until_cancelled(acceptor, std::decay_t<F>(std::forward<F>(function)),
                                         options);
}

} // namespace loopsafe::lambda

#endif
