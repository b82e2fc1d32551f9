// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: the threads are those of service.cpp and runtime.cpp.
#include "raw_runtime.hpp"

#include <boost/beast/http/error.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <support/descriptors.hpp>
#include <utility>

namespace service_faults_tests {

namespace {

using namespace lambda_support;
using loopsafe::testing::at;
using loopsafe::testing::fault;

// The whole of what comes until the connection ends.
std::pair<std::string, error_code> all_of(raw_runtime& runtime)
{
    std::string bytes;
    error_code ec;
    asio::read(runtime.socket(), asio::dynamic_buffer(bytes), ec);
    return {bytes, ec};
}

struct faulty {
    explicit faulty(fault what, at where = at::next, std::size_t nth = 1)
    {
        service.fault(where, nth, what);
    }

    lambda_service service;
    lambda_invocation call = service.begin("{\"n\":1}");
    raw_runtime runtime{service};
};

// The runtime comes back and gets the event that it could not read.
void serve_after_all(faulty& it)
{
    it.runtime.connect();
    const auto event = it.runtime.next();
    CHECK(event.status == 200);
    CHECK(event.body == "{\"n\":1}");
    CHECK(it.runtime.respond(event.id(), "x").status == 202);
    CHECK(block_on(it.call.reply()).how == how::response);
    CHECK(kinds(it.service) == violations{});
}

TEST_CASE("fault: /next is refused")
{
    faulty it(fault::refuse);
    it.runtime.ask_next();
    const auto [bytes, ec] = all_of(it.runtime);
    CHECK(bytes.empty());
    CHECK(ec == asio::error::connection_reset);
    serve_after_all(it);
}

TEST_CASE("fault: /next is reset at each byte, and after its head")
{
    for (const std::size_t k : {0U, 1U, 12U, 60U}) {
        faulty it(fault::reset_at(k));
        it.runtime.ask_next();
        const auto [bytes, ec] = all_of(it.runtime);
        CHECK(bytes.size() == k);
        CHECK(ec == asio::error::connection_reset);
        serve_after_all(it);
    }
    faulty it(fault::reset_after_headers);
    it.runtime.ask_next();
    const auto [bytes, ec] = all_of(it.runtime);
    CHECK(bytes.ends_with("\r\n\r\n"));
    CHECK(bytes.find("Lambda-Runtime-Aws-Request-Id: ") != bytes.npos);
    CHECK(ec == asio::error::connection_reset);
    serve_after_all(it);
}

TEST_CASE("fault: /next stalls, at once, at a byte or after its head, and stays open")
{
    struct {
        fault what;
        bool head;
        std::size_t bytes;
    } cases[] = {{fault::stall, false, 0},
                 {fault::stall_at(10), false, 10},
                 {fault::stall_after_headers, true, 0}};
    for (const auto& each : cases) {
        faulty it(each.what);
        it.runtime.ask_next();
        std::string bytes;
        if (each.head)
            asio::read_until(it.runtime.socket(), asio::dynamic_buffer(bytes), "\r\n\r\n");
        while (bytes.size() < each.bytes)
            asio::read(it.runtime.socket(), asio::dynamic_buffer(bytes),
                       asio::transfer_exactly(each.bytes - bytes.size()));
        while (it.service.requests(at::next) == 0) {}
        it.runtime.socket().non_blocking(true);
        CHECK(it.runtime.end() == asio::error::would_block);
        serve_after_all(it);
    }
}

TEST_CASE("fault: /next says any status, and the event stays")
{
    for (const unsigned status : {204U, 302U, 400U, 403U, 404U, 500U, 503U}) {
        faulty it(fault::status(status));
        CHECK(it.runtime.next().status == status);
        serve_after_all(it);
    }
}

TEST_CASE("fault: the body of an event is cut")
{
    faulty it(fault::truncated_body);
    const auto event = it.runtime.next();
    CHECK(event.status == 200);
    CHECK(event.ec == http::error::partial_message);
    serve_after_all(it);
}

TEST_CASE("fault: the length of an event is wrong")
{
    faulty shorter(fault::short_length);
    const auto event = shorter.runtime.next();
    CHECK(event.body == "{\"n\":1");
    faulty longer(fault::long_length);
    longer.runtime.ask_next();
    std::string bytes;
    asio::read_until(longer.runtime.socket(), asio::dynamic_buffer(bytes), "\r\n\r\n{\"n\":1}");
    CHECK(bytes.find("Content-Length: 8\r\n") != bytes.npos);
    serve_after_all(longer);
}

TEST_CASE("fault: an event has no id, or that of the event before")
{
    faulty none(fault::no_id);
    const auto event = none.runtime.next();
    CHECK(event.status == 200);
    CHECK(event.fields.count("Lambda-Runtime-Aws-Request-Id") == 0);
    serve_after_all(none);

    faulty repeated(fault::repeated_id, at::next, 2);
    const auto first = repeated.runtime.next();
    repeated.runtime.respond(first.id(), "x");
    auto second = repeated.service.begin("{}");
    CHECK(repeated.runtime.next().id() == first.id());
    const auto again = repeated.runtime.next();
    CHECK(again.id() != first.id());
    CHECK(repeated.runtime.respond(again.id(), "y").status == 202);
    CHECK(block_on(second.reply()).body == "y");
    CHECK(kinds(repeated.service) == violations{});
}

TEST_CASE("fault: a header of 1 MiB")
{
    faulty it(fault::large_header);
    it.runtime.ask_next();
    std::string bytes; // Beast's fields would not take it
    asio::read_until(it.runtime.socket(), asio::dynamic_buffer(bytes), "{\"n\":1}");
    CHECK(bytes.find("X-Large: " + std::string(1024 * 1024, 'x') + "\r\n") != bytes.npos);
    serve_after_all(it);
}

TEST_CASE("fault: the names of headers in another case")
{
    for (const auto& [what, name] :
         {std::pair(fault::lower_case, "lambda-runtime-aws-request-id: "),
          std::pair(fault::upper_case, "LAMBDA-RUNTIME-AWS-REQUEST-ID: ")}) {
        faulty it(what);
        it.runtime.ask_next();
        std::string bytes;
        asio::read_until(it.runtime.socket(), asio::dynamic_buffer(bytes), "{\"n\":1}");
        CHECK(bytes.find(name) != bytes.npos);
    }
}

TEST_CASE("fault: an event that is not JSON")
{
    faulty it(fault::not_json);
    const auto event = it.runtime.next();
    CHECK(event.body == "{\"this is not\": json");
    CHECK(it.runtime.fail(event.id()).status == 202);
    CHECK(block_on(it.call.reply()).how == how::error);
    CHECK(kinds(it.service) == violations{});
}

TEST_CASE("fault: a response that is refused may come again")
{
    faulty it(fault::refuse, at::response);
    const auto id = it.runtime.next().id();
    it.runtime.respond(id, "x");
    it.runtime.connect();
    CHECK(it.runtime.respond(id, "x").status == 202);
    CHECK(block_on(it.call.reply()).body == "x");
    CHECK(kinds(it.service) == violations{});
}

TEST_CASE("fault: a response that is refused and does not come again is lost")
{
    faulty it(fault::refuse, at::response);
    const auto id = it.runtime.next().id();
    it.runtime.respond(id, "x");
    it.runtime.connect();
    auto another = it.service.begin("{}");
    CHECK(it.runtime.next().id() != id);
    CHECK(block_on(it.call.reply()).how == how::lost);
    CHECK(kinds(it.service) == violations{});
}

TEST_CASE("fault: a response, or an error, that gets another status is lost")
{
    for (const at where : {at::response, at::error}) {
        for (const unsigned status : {400U, 403U, 410U, 413U, 500U}) {
            faulty it(fault::status(status), where);
            const auto id = it.runtime.next().id();
            const auto refused =
                where == at::error ? it.runtime.fail(id) : it.runtime.respond(id, "x");
            CHECK(refused.status == status);
            CHECK(block_on(it.call.reply()).how == how::lost);
            auto another = it.service.begin("{}");
            CHECK(it.runtime.next().status == 200);
            CHECK(kinds(it.service) == violations{});
        }
    }
}

TEST_CASE("fault: a response whose receipt is lost counts, and repeating it is no violation")
{
    faulty it(fault::reset_after_headers, at::response);
    const auto id = it.runtime.next().id();
    it.runtime.respond(id, "x");
    CHECK(block_on(it.call.reply()).body == "x");
    it.runtime.connect();
    CHECK(it.runtime.respond(id, "x").status == 403);
    CHECK(kinds(it.service) == violations{});
}

TEST_CASE("faults come at the request that was asked for, or at each until they are cleared")
{
    lambda_service service;
    raw_runtime runtime(service);
    service.fault(at::init_error, 2, fault::status(500));
    service.fault(at::other, 0, fault::status(503));
    const auto init_error = [&] {
        return runtime
            .call("POST", std::string(runtime_path) + "init/error", raw_runtime::json_type,
                  raw_runtime::error_json)
            .status;
    };
    CHECK(init_error() == 202);
    CHECK(init_error() == 500);
    CHECK(init_error() == 403);
    CHECK(service.requests(at::init_error) == 3);
    for (int i = 0; i < 3; ++i)
        CHECK(runtime.call("GET", "/").status == 503);
    service.clear_faults();
    CHECK(runtime.call("GET", "/").status == 404);
}

TEST_CASE("nobody listens for a while, and the port stays the service's")
{
    lambda_service service;
    service.stop_listening();
    CHECK_THROWS_AS(raw_runtime{service}, boost::system::system_error);
    CHECK(service.violations().empty()); // it goes on, with nothing to wait for
    service.listen_again();
    raw_runtime first(service);
    CHECK(first.call("GET", "/").status == 404);
    service.stop_listening();
    service.stop_listening();
    CHECK_THROWS_AS(raw_runtime{service}, boost::system::system_error);
    CHECK(first.call("GET", "/").status == 404); // what there is stays
    service.listen_again();
    service.listen_again();
    raw_runtime second(service);
    CHECK(second.call("GET", "/").status == 404);
    CHECK(service.connections() == 2);
}

TEST_CASE("a service that is out of descriptors accepts again once there are some")
{
    if (types_need_descriptors) {
        MESSAGE("only without UBSan: a whole service runs here without descriptors");
        return;
    }
    using tcp = boost::asio::ip::tcp;
    lambda_service service;
    const auto address = service.endpoint();
    const auto port = std::stoi(address.substr(address.find(':') + 1));
    boost::asio::io_context context;
    tcp::socket socket(context, tcp::v4());
    {
        const descriptors_exhausted meanwhile;
        socket.connect(
            {boost::asio::ip::address_v4::loopback(), static_cast<unsigned short>(port)});
        for (int turn = 0; turn < 100; ++turn)
            CHECK(service.connections() == 0);
    }
    const std::string request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    boost::asio::write(socket, boost::asio::buffer(request));
    std::string answer(12, ' ');
    boost::asio::read(socket, boost::asio::buffer(answer));
    CHECK(answer == "HTTP/1.1 404");
}

TEST_CASE("a path may stand before all others")
{
    lambda_service service({.prefix = "/.rt/function"});
    CHECK(service.endpoint().ends_with("/.rt/function"));
    auto call = service.begin("{}");
    raw_runtime runtime(service);
    CHECK(runtime.respond(runtime.next().id(), "x").status == 202);
    CHECK(kinds(service) == violations{});
    raw_runtime without(service.endpoint().substr(0, service.endpoint().find('/')));
    CHECK(without.next().status == 404);
    CHECK(kinds(service) == violations{wrong::unknown_route});
}

} // namespace

} // namespace service_faults_tests
