// SPDX-License-Identifier: BSL-1.0
// 1 GiB of zeros, as it is and in each coding, with the largest window that the
// coding allows: the peak of the memory of a process that reads it, 16 KiB at a
// time.
#include "../http/content.hpp"
#include "measure.hpp"

#include <loopsafe/http/layers/any_sender.hpp>
#include <loopsafe/http/layers/decoding.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <csignal>
#include <memory>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace bench;
namespace http = loopsafe::http;
using asio::ip::tcp;

constexpr std::size_t mib = 1024 * 1024;
constexpr int all = 1024; // MiB

std::unique_ptr<content_test::encoder> encoder_of(const std::string& coding)
{
    using namespace content_test;
    if (coding == "gzip")
        return std::make_unique<zlib_encoder>(15 + 16, 1);
    if (coding == "deflate")
        return std::make_unique<zlib_encoder>(15, 1);
    if (coding == "br")
        return std::make_unique<brotli_encoder>(2, 24);
    if (coding == "zstd")
        return std::make_unique<zstd_encoder>(1, 23);
    return nullptr;
}

// The first word of the target names the coding.
void serve(tcp::socket caller)
{
    std::string asked;
    asio::read_until(caller, asio::dynamic_buffer(asked), "\r\n\r\n");
    const auto coding = asked.substr(5, asked.find(' ', 5) - 5);
    const auto encoder = encoder_of(coding);
    asio::write(caller,
                asio::buffer("HTTP/1.1 200 OK\r\nConnection: close\r\n" +
                             (encoder ? "Content-Encoding: " + coding + "\r\n" : "") + "\r\n"));
    const std::string zeros(mib, '\0');
    for (int i = 0; i != all; ++i)
        asio::write(caller, asio::buffer(encoder ? encoder->flush(zeros) : zeros));
    if (encoder)
        asio::write(caller, asio::buffer(encoder->finish({})));
}

// In a process of its own: how much memory it has had.
double peak_of_reading(unsigned short port, const std::string& coding)
{
    const auto child = ::fork();
    if (child != 0) {
        int status = 0;
        ::rusage used{};
        content_test::require(::wait4(child, &status, 0, &used) == child && status == 0);
        return static_cast<double>(used.ru_maxrss) / 1024;
    }
    asio::io_context context;
    const auto api =
        http::client(context) | http::decoding(http::gzip, http::deflate, http::brotli, http::zstd);
    std::size_t size = 0;
    const auto reader = [&](http::incoming_response& in) -> asio::awaitable<void> {
        std::string part(16 * 1024, '\0');
        for (std::size_t n = 1; n != 0; size += n)
            n = co_await in.read_some(asio::buffer(part));
    };
    const auto url = "http://127.0.0.1:" + std::to_string(port) + '/' + coding;
    run(context, api.with_response({"GET", url}, reader));
    std::_Exit(size == all * mib ? 0 : 1);
}

} // namespace

int main()
{
    asio::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    const auto server = ::fork();
    if (server == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            serve(acceptor.accept());
    }
    const auto port = acceptor.local_endpoint().port();
    const double plain = peak_of_reading(port, "identity");
    struct limited {
        const char* coding;
        double most;
    };
    for (const auto& [coding, most] :
         {limited{"gzip", 1}, limited{"deflate", 1}, limited{"br", 20}, limited{"zstd", 10}}) {
        const double more = peak_of_reading(port, coding) - plain;
        row(std::string("http_decoding_") + coding + "_memory", more, "MiB", plain, std::nullopt,
            limit{most});
    }
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
}
