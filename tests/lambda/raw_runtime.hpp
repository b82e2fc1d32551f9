// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_LAMBDA_RAW_RUNTIME_HPP
#define LOOPSAFE_TESTS_LAMBDA_RAW_RUNTIME_HPP

#include <loopsafe/testing/lambda_service.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lambda_support {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using error_code = boost::system::error_code;

inline constexpr std::string_view runtime_path = "/2018-06-01/runtime/";
inline constexpr std::string_view extension_path = "/2020-01-01/extension/";

/// A runtime, or an extension, that says what a test wants it to say, right or wrong, and blocks.
class raw_runtime {
public:
    explicit raw_runtime(const loopsafe::testing::lambda_service& service)
        : raw_runtime(service.endpoint())
    {
    }
    explicit raw_runtime(const std::string& endpoint)
    {
        const auto colon = endpoint.find(':');
        const auto slash = endpoint.find('/');
        port_ = static_cast<unsigned short>(
            std::atoi(endpoint.substr(colon + 1, slash - colon - 1).c_str()));
        prefix_ = slash == endpoint.npos ? "" : endpoint.substr(slash);
        connect();
    }

    struct answer {
        unsigned status = 0;
        std::string body;
        http::fields fields;
        std::string bytes; // the head as it came
        error_code ec;     // what kept it from being read to its end

        std::string field(std::string_view name) const
        {
            const auto text = fields[boost::beast::string_view(name.data(), name.size())];
            return {text.data(), text.size()};
        }
        std::string id() const { return field("Lambda-Runtime-Aws-Request-Id"); }
        std::string nonce() const { return field("Lambda-Runtime-Invocation-Id"); }
    };

    void connect()
    {
        socket_.close();
        buffer_.clear();
        socket_.connect({asio::ip::address_v4::loopback(), port_});
    }
    void leave() { socket_.close(); }

    void send(std::string_view bytes)
    {
        error_code ignored;
        asio::write(socket_, asio::buffer(bytes), ignored);
    }

    void ask(std::string_view method, std::string_view path, std::string_view fields = "",
             std::string_view body = "")
    {
        std::string text(method);
        text.append(" ").append(prefix_).append(path).append(" HTTP/1.1\r\nHost: runtime\r\n");
        text.append(fields);
        if (method != "GET")
            text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
        send(text.append("\r\n").append(body));
    }

    answer listen()
    {
        answer got;
        http::response_parser<http::string_body> parser;
        parser.header_limit(4 * 1024 * 1024);
        parser.body_limit(boost::none);
        http::read_header(socket_, buffer_, parser, got.ec);
        if (!got.ec)
            http::read(socket_, buffer_, parser, got.ec);
        got.status = parser.is_header_done() ? parser.get().result_int() : 0;
        got.fields = parser.get();
        got.body = parser.get().body();
        return got;
    }

    answer call(std::string_view method, std::string_view path, std::string_view fields = "",
                std::string_view body = "")
    {
        ask(method, path, fields, body);
        return listen();
    }

    // What runtimes do.

    void ask_next() { ask("GET", std::string(runtime_path) + "invocation/next"); }
    answer next()
    {
        ask_next();
        return listen();
    }
    answer respond(const std::string& id, std::string_view body, std::string_view fields = "")
    {
        return call("POST", std::string(runtime_path) + "invocation/" + id + "/response", fields,
                    body);
    }
    answer fail(const std::string& id, std::string_view body = error_json,
                std::string_view fields = json_type)
    {
        return call("POST", std::string(runtime_path) + "invocation/" + id + "/error", fields,
                    body);
    }

    void begin_stream(const std::string& id, std::string_view fields = streaming)
    {
        send("POST " + prefix_ + std::string(runtime_path) + "invocation/" + id +
             "/response HTTP/1.1\r\nHost: runtime\r\nTransfer-Encoding: chunked\r\n" +
             std::string(fields) + "\r\n");
    }
    void chunk(std::string_view text)
    {
        constexpr std::string_view digits = "0123456789abcdef";
        std::string size;
        for (auto left = text.size(); left != 0 || size.empty(); left /= 16)
            size.insert(size.begin(), digits[left % 16]);
        send(size + "\r\n" + std::string(text) + "\r\n");
    }
    void end_stream(std::string_view trailers = "")
    {
        send("0\r\n" + std::string(trailers) + "\r\n");
    }

    static constexpr std::string_view json_type = "Content-Type: application/json\r\n";
    static constexpr std::string_view streaming =
        "Lambda-Runtime-Function-Response-Mode: streaming\r\n";
    static constexpr std::string_view error_json =
        R"({"errorMessage":"it broke","errorType":"broken","stackTrace":[]})";

    /// Whether the other side has ended, or reset, the connection.
    error_code end()
    {
        char byte = 0;
        error_code ec;
        socket_.read_some(asio::buffer(&byte, 1), ec);
        return ec;
    }

    asio::ip::tcp::socket& socket() noexcept { return socket_; }

private:
    asio::io_context context_{1};
    asio::ip::tcp::socket socket_{context_};
    boost::beast::flat_buffer buffer_;
    std::string prefix_;
    unsigned short port_ = 0;
};

using loopsafe::testing::block_on;
using loopsafe::testing::lambda_invocation;
using loopsafe::testing::lambda_reply;
using loopsafe::testing::lambda_service;
using loopsafe::testing::lambda_service_options;
using loopsafe::testing::lambda_violation;
using how = lambda_reply::kind;
using wrong = lambda_violation::kind;

/// The kinds of violation, in the order in which they happened.
inline std::vector<wrong> kinds(const lambda_service& service)
{
    std::vector<wrong> all;
    for (const auto& each : service.violations())
        all.push_back(each.what);
    return all;
}
using violations = std::vector<wrong>;

} // namespace lambda_support

#endif
