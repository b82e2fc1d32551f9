// SPDX-License-Identifier: BSL-1.0
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/tls.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <memory>
#include <spawn.h>
#include <string>
#include <support/certificates.hpp>
#include <sys/wait.h>
#include <unistd.h>
#include <unit/support.hpp>
#include <vector>

// The TLS of another program: openssl s_server, with certificates as they go wrong in life.
namespace {

using namespace unit;
using certificates::identity;
using loopsafe::error_code;
using loopsafe::tls_error;
using loopsafe::tls_options;
using arguments = std::vector<std::string>;

// One `openssl s_server` for one connection. It sends back each line, reversed, and ends with the
// connection, or at the latest with this object.
class s_server {
public:
    explicit s_server(const arguments& how)
    {
        arguments words{"openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-rev"};
        words.insert(words.end(), how.begin(), how.end());
        std::vector<char*> argv;
        for (auto& word : words)
            argv.push_back(word.data());
        argv.push_back(nullptr);
        std::array<int, 2> out{};
        REQUIRE(::pipe2(out.data(), O_CLOEXEC) == 0);
        posix_spawn_file_actions_t files;
        ::posix_spawn_file_actions_init(&files);
        ::posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
        ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        const int spawned =
            ::posix_spawnp(&process_, "openssl", &files, nullptr, argv.data(), environ);
        ::posix_spawn_file_actions_destroy(&files);
        ::close(out[1]);
        output_.reset(::fdopen(out[0], "r"));
        REQUIRE(spawned == 0);
        std::array<char, 256> line{};
        while (port_.empty()) {
            REQUIRE(std::fgets(line.data(), line.size(), output_.get()) != nullptr);
            const std::string text = line.data();
            if (text.starts_with("ACCEPT "))
                port_ = text.substr(text.rfind(':') + 1,
                                    text.find_last_not_of("\r\n") - text.rfind(':'));
        }
    }
    s_server(const s_server&) = delete;
    s_server& operator=(const s_server&) = delete;
    ~s_server() { kill(); }

    const std::string& port() const noexcept { return port_; }

    void kill()
    {
        if (process_ > 0) {
            ::kill(process_, SIGKILL);
            ::waitpid(process_, nullptr, 0);
        }
        process_ = 0;
    }

private:
    struct closer {
        void operator()(std::FILE* file) const noexcept { std::fclose(file); }
    };

    pid_t process_ = 0;
    std::unique_ptr<std::FILE, closer> output_;
    std::string port_;
};

struct authority {
    certificates::directory directory;
    identity root = certificates::make({.alternative = "", .authority = true});

    authority() { root.save(file("root.pem")); }

    std::string file(const char* name) const { return directory.file(name); }

    // What s_server is told to present itself with.
    arguments presents(const identity& who, const char* name = "server") const
    {
        const auto certificate = directory.file(std::string(name) + ".pem");
        const auto key = directory.file(std::string(name) + ".key");
        who.save(certificate, key);
        return {"-cert", certificate, "-key", key};
    }
    identity issue(const certificates::wanted& what) const
    {
        return certificates::make(what, &root);
    }
    tls_options trusted() const
    {
        tls_options options;
        options.trusted_file = file("root.pem");
        return options;
    }
};

asio::awaitable<std::string> reversed(loopsafe::tls_stream& stream)
{
    co_await asio::async_write(stream, asio::buffer("live\n", 5), asio::use_awaitable);
    std::string back(5, ' ');
    co_await asio::async_read(stream, asio::buffer(back), asio::use_awaitable);
    co_return back;
}

loopsafe::tls_stream connect(asio::io_context& context, const s_server& server,
                             const std::string& name, tls_options options)
{
    options.server_name = name;
    const loopsafe::tls_connector connector("127.0.0.1", server.port(), options);
    return run_on(context, connector.connect(context.get_executor()));
}

std::string refused(const s_server& server, const std::string& name, const tls_options& options)
{
    asio::io_context context(1);
    return text_of(thrown_by<tls_error>([&] { connect(context, server, name, options); }));
}

void serves(const s_server& server, const std::string& name, const tls_options& options)
{
    asio::io_context context(1);
    auto stream = connect(context, server, name, options);
    CHECK(run_on(context, reversed(stream)) == "evil\n");
}

} // namespace

TEST_SUITE_BEGIN("tls");

TEST_CASE("openssl s_server is believed or refused by its certificate, and the error says why")
{
    const authority a;
    const certificates::wanted localhost;
    const std::string where = "; see tls_options::server_name, and the names in the certificate "
                              "(openssl s_client -showcerts)";
    const std::string trust =
        "; where the server is right, give its root in tls_options::trusted_file";
    const auto between = a.issue({.alternative = "", .authority = true});
    struct {
        std::string what;
        identity who;
        std::string name;
        std::string expected; // empty: it serves
    } const cases[] = {
        {"as it should be", a.issue(localhost), "localhost", ""},
        {"expired", a.issue({.starts_in = -120, .ends_in = -60}), "localhost",
         "certificate has expired"},
        {"not yet valid", a.issue({.starts_in = 60}), "localhost", "certificate is not yet valid"},
        {"wrong host", a.issue({.alternative = "DNS:other.example"}), "localhost",
         "hostname mismatch" + where},
        {"common name only", a.issue({.alternative = "", .common_name = "localhost"}), "localhost",
         "hostname mismatch" + where},
        {"address", a.issue({.alternative = "IP:127.0.0.1"}), "127.0.0.1", ""},
        {"address as a name", a.issue({.alternative = "DNS:127.0.0.1"}), "127.0.0.1",
         "IP address mismatch" + where},
        {"wildcard", a.issue({.alternative = "DNS:*.example.org"}), "a.example.org", ""},
        {"wildcard too deep", a.issue({.alternative = "DNS:*.example.org"}), "a.b.example.org",
         "hostname mismatch" + where},
        {"self-signed", certificates::make(localhost), "localhost",
         "self-signed certificate" + trust},
        {"unknown root",
         [&] {
             const auto other = certificates::make({.alternative = "", .authority = true});
             return certificates::make(localhost, &other);
         }(),
         "localhost", "unable to get local issuer certificate" + trust},
        {"missing intermediate", certificates::make(localhost, &between), "localhost",
         "unable to get local issuer certificate" + trust},
    };
    for (const auto& c : cases) {
        CAPTURE(c.what);
        const s_server server(a.presents(c.who));
        if (c.expected.empty())
            serves(server, c.name, a.trusted());
        else
            CHECK(refused(server, c.name, a.trusted())
                      .starts_with("tls handshake " + c.name + ": " + c.expected +
                                   ": certificate verify failed"));
    }
}

TEST_CASE("openssl s_server with TLS 1.1 is refused, with 1.2 and with an intermediate it serves")
{
    const authority a;
    auto old = a.presents(a.issue({}));
    old.insert(old.end(), {"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"});
    CHECK(refused(s_server(old), "localhost", a.trusted()).find("protocol version") !=
          std::string::npos);

    auto newer = a.presents(a.issue({}));
    newer.push_back("-tls1_2");
    serves(s_server(newer), "localhost", a.trusted());

    const auto between = a.issue({.alternative = "", .authority = true});
    between.save(a.file("between.pem"));
    auto chained = a.presents(certificates::make({}, &between));
    chained.insert(chained.end(), {"-cert_chain", a.file("between.pem")});
    serves(s_server(chained), "localhost", a.trusted());
}

TEST_CASE("openssl s_server that wants a certificate serves whoever has one, and nobody else")
{
    const authority a;
    auto wants = a.presents(a.issue({}));
    wants.insert(wants.end(),
                 {"-Verify", "1", "-CAfile", a.file("root.pem"), "-verify_return_error"});
    {
        const auto mine = a.presents(a.issue({.alternative = "DNS:client"}), "client");
        auto options = a.trusted();
        options.certificate_file = mine[1];
        options.private_key_file = mine[3];
        serves(s_server(wants), "localhost", options);
    }
    const s_server server(wants);
    asio::io_context context(1);
    auto stream = connect(context, server, "localhost", a.trusted());
    CHECK(thrown_by<boost::system::system_error>([&] { run_on(context, reversed(stream)); })
              .code()
              .message()
              .find("certificate required") != std::string::npos);
}

TEST_CASE("openssl s_server that is killed has not said good-bye")
{
    const authority a;
    s_server server(a.presents(a.issue({})));
    asio::io_context context(1);
    auto stream = connect(context, server, "localhost", a.trusted());
    CHECK(run_on(context, reversed(stream)) == "evil\n");
    server.kill();
    const auto e =
        thrown_by<boost::system::system_error>([&] { run_on(context, reversed(stream)); });
    CHECK((e.code() == asio::ssl::error::stream_truncated ||
           e.code() == asio::error::connection_reset || e.code() == asio::error::broken_pipe));
    CHECK_FALSE(stream.is_clean());
}

TEST_SUITE_END();
