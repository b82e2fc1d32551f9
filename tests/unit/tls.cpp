// SPDX-License-Identifier: BSL-1.0
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/connection_pool.hpp>
#include <loopsafe/tls.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <future>
#include <numeric>
#include <optional>
#include <string>
#include <support/descriptors.hpp>
#include <support/run_until.hpp>
#include <support/texts.hpp>
#include <support/tls_peer.hpp>

namespace tls_tests {

namespace {

using namespace support;
using loopsafe::errc;
using loopsafe::error_code;
using loopsafe::tls_connector;
using loopsafe::tls_error;
using loopsafe::tls_options;
using loopsafe::tls_stream;
using loopsafe::testing::mortal_context;

constexpr auto aborted = asio::error::operation_aborted;

tls_stream connect(asio::io_context& context, const tls_connector& connector)
{
    return run_on(context, connector.connect(context.get_executor()));
}

struct linked {
    explicit linked(tls_peer::script script = tls_peer::echo)
    {
        peer.serve(std::move(script));
        stream.emplace(connect(*context, connector));
    }

    tls_peer peer;
    tls_connector connector = peer.connector();
    mortal_context context;
    std::optional<tls_stream> stream;
};

asio::awaitable<std::string> exchange(tls_stream& stream, std::string text)
{
    co_await asio::async_write(stream, asio::buffer(text), asio::use_awaitable);
    std::string back(text.size(), ' ');
    co_await asio::async_read(stream, asio::buffer(back), asio::use_awaitable);
    co_return back;
}

// How a read ends that has nothing to read.
asio::awaitable<error_code> end_of_read(tls_stream& stream)
{
    std::array<char, 100> some;
    const auto [ec, got] =
        co_await stream.async_read_some(asio::buffer(some), asio::as_tuple(asio::use_awaitable));
    CHECK(got == 0);
    co_return ec;
}

// Blocks until something has come.
void await_input(tls_stream& stream)
{
    stream.lowest_layer().wait(asio::socket_base::wait_read);
}

tls_error refusal(tls_peer& peer, const tls_connector& connector)
{
    peer.serve();
    asio::io_context context;
    return thrown_by<tls_error>([&] { connect(context, connector); });
}

} // namespace

TEST_SUITE_BEGIN("tls");

TEST_CASE("a tls_stream reads and writes at home, and stays clean")
{
    linked f;
    CHECK(f.stream->home() == loopsafe::context_of(*f.context));
    CHECK(f.stream->version() == "TLSv1.3");
    CHECK(f.stream->alpn().empty());
    CHECK_FALSE(f.stream->resumed());
    for (int i = 0; i != 3; ++i)
        CHECK(run_on(*f.context, exchange(*f.stream, "hello")) == "hello");
    CHECK(f.stream->is_clean());
    CHECK(f.connector.probe(*f.stream));
}

TEST_CASE("a tls_stream reads and writes megabytes at the same time, in pieces of every size")
{
    linked f;
    std::vector<unsigned char> sent(3'000'000);
    std::iota(sent.begin(), sent.end(), static_cast<unsigned char>(0));
    std::vector<unsigned char> received(sent.size());
    const auto write = [&]() -> asio::awaitable<void> {
        std::size_t size = 1;
        for (std::size_t at = 0; at < sent.size(); at += size, size = size * 3 % 70'001 + 1) {
            size = std::min(size, sent.size() - at);
            co_await asio::async_write(*f.stream, asio::buffer(&sent[at], size),
                                       asio::use_awaitable);
        }
    };
    asio::co_spawn(*f.context, write(), asio::detached);
    const auto read = [&]() -> asio::awaitable<void> {
        co_await asio::async_read(*f.stream, asio::buffer(received), asio::use_awaitable);
    };
    run_on(*f.context, read());
    CHECK(sent == received);
    CHECK(f.stream->is_clean());
}

TEST_CASE("small buffers are written together, large ones as they are, empty ones not at all")
{
    linked f;
    const std::string a = "a";
    const std::string none;
    const std::string large(20'000, 'x');
    const auto write = [&](auto... texts) -> asio::awaitable<std::size_t> {
        const std::array buffers{asio::const_buffer(asio::buffer(texts))...};
        co_return co_await f.stream->async_write_some(buffers, asio::use_awaitable);
    };
    CHECK(run_on(*f.context, write(none, a, none, a, a)) == 3);
    CHECK(run_on(*f.context, write(none, none)) == 0);
    CHECK(run_on(*f.context, write(a, large)) == 16 * 1024);
    CHECK(run_on(*f.context, write(large, a)) == 16 * 1024);
    const auto read = [&](std::size_t size) -> asio::awaitable<std::string> {
        std::string text(size, ' ');
        co_await asio::async_read(*f.stream, asio::buffer(text), asio::use_awaitable);
        co_return text;
    };
    CHECK(run_on(*f.context, read(3)) == "aaa");
    CHECK(run_on(*f.context, read(2 * 16 * 1024)) == "a" + std::string(2 * 16 * 1024 - 1, 'x'));
}

TEST_CASE("a tls_stream refuses every operation that another context asks for, and sends nothing")
{
    linked f;
    asio::io_context other;
    std::array<char, 1> byte{};
    int refused = 0;
    const auto expect = [&](errc expected) {
        return asio::bind_executor(other, [&, expected](error_code ec, std::size_t n) {
            CHECK(ec == expected);
            CHECK(n == 0);
            ++refused;
        });
    };
    f.stream->async_read_some(asio::buffer(byte), expect(errc::wrong_context));
    f.stream->async_write_some(asio::buffer(byte), expect(errc::wrong_context));
    other.run();
    CHECK(refused == 2);
    CHECK(thrown_by<loopsafe::context_error>([&] {
              run_on(other, f.stream->shut_down(1s));
          }).code() == errc::wrong_context);
    CHECK(run_on(*f.context, exchange(*f.stream, "hello")) == "hello");
    CHECK(f.stream->is_clean());
}

TEST_CASE("a server is believed when its certificate proves the name that was asked for")
{
    struct {
        std::string names;
        std::string asked;
        long result;
    } const cases[] = {
        {"DNS:localhost", "localhost", X509_V_OK},
        {"DNS:localhost", "LocalHost", X509_V_OK},
        {"DNS:localhost", "localhost.", X509_V_OK},
        {"DNS:a.example", "localhost", X509_V_ERR_HOSTNAME_MISMATCH},
        {"DNS:a.example,DNS:localhost", "localhost", X509_V_OK},
        {"DNS:*.example.org", "a.example.org", X509_V_OK},
        {"DNS:*.example.org", "a.b.example.org", X509_V_ERR_HOSTNAME_MISMATCH},
        {"DNS:*.example.org", "example.org", X509_V_ERR_HOSTNAME_MISMATCH},
        {"DNS:a*.example.org", "ab.example.org", X509_V_ERR_HOSTNAME_MISMATCH},
        {"IP:127.0.0.1", "127.0.0.1", X509_V_OK},
        {"DNS:127.0.0.1", "127.0.0.1", X509_V_ERR_IP_ADDRESS_MISMATCH},
        {"IP:127.0.0.1", "localhost", X509_V_ERR_HOSTNAME_MISMATCH},
        {"", "localhost", X509_V_ERR_HOSTNAME_MISMATCH}, // the common name alone proves nothing
    };
    for (const auto& c : cases) {
        CAPTURE(c.names);
        CAPTURE(c.asked);
        tls_peer peer({.alternative = c.names, .common_name = c.asked});
        auto options = peer.trusting();
        options.server_name = c.asked;
        if (c.result == X509_V_OK) {
            peer.serve();
            asio::io_context context;
            auto stream = connect(context, peer.connector(options));
            CHECK(run_on(context, exchange(stream, "x")) == "x");
        } else {
            CHECK(refusal(peer, peer.connector(options)).verify_result() == c.result);
        }
    }
}

TEST_CASE("a certificate that is not valid now is refused")
{
    {
        tls_peer peer({.starts_in = -120, .ends_in = -60});
        const auto e = refusal(peer, peer.connector());
        CHECK(e.verify_result() == X509_V_ERR_CERT_HAS_EXPIRED);
        CHECK(text_of(e).find("tls handshake localhost: certificate has expired") == 0);
    }
    tls_peer peer({.starts_in = 60});
    CHECK(refusal(peer, peer.connector()).verify_result() == X509_V_ERR_CERT_NOT_YET_VALID);
}

TEST_CASE("a server that nobody trusted vouches for is refused, and the text says what to do")
{
    {
        tls_peer peer;
        const auto e = refusal(peer, tls_connector("localhost", peer.port()));
        CHECK(e.verify_result() == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
        CHECK(e.stage() == std::string("handshake"));
        CHECK(text_of(e).find("set tls_options::trusted_file to its root") != std::string::npos);
    }
    {
        tls_peer peer;
        peer.use(certificates::make({}));
        CHECK(refusal(peer, peer.connector()).verify_result() ==
              X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
    }
    { // the certificate between the server's and the root is missing
        tls_peer peer;
        const auto between =
            certificates::make({.alternative = "", .authority = true}, &peer.root());
        peer.use(certificates::make({}, &between));
        CHECK(refusal(peer, peer.connector()).verify_result() ==
              X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    }
    tls_peer peer({.alternative = "DNS:a.example"});
    peer.serve();
    tls_options anybody;
    anybody.verify = false;
    asio::io_context context;
    auto stream = connect(context, peer.connector(anybody));
    CHECK(run_on(context, exchange(stream, "x")) == "x");
}

TEST_CASE("TLS 1.1 is refused, TLS 1.2 is spoken")
{
    {
        tls_peer peer;
        SSL_CTX_set_security_level(peer.context(), 0);
        SSL_CTX_set_min_proto_version(peer.context(), TLS1_VERSION);
        SSL_CTX_set_max_proto_version(peer.context(), TLS1_1_VERSION);
        const auto e = refusal(peer, peer.connector());
        CHECK(e.verify_result() == X509_V_OK);
        CHECK(text_of(e).find("protocol version") != std::string::npos);
    }
    tls_peer peer;
    SSL_CTX_set_max_proto_version(peer.context(), TLS1_2_VERSION);
    peer.serve();
    asio::io_context context;
    auto stream = connect(context, peer.connector());
    CHECK(stream.version() == "TLSv1.2");
    CHECK(run_on(context, exchange(stream, "x")) == "x");
}

TEST_CASE("a server that wants to know who calls gets the client's certificate")
{
    const auto only_known = [](tls_peer& peer) {
        SSL_CTX_set_verify(peer.context(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           nullptr);
        REQUIRE(SSL_CTX_load_verify_file(peer.context(), peer.root_file().c_str()) == 1);
    };
    {
        tls_peer peer;
        only_known(peer);
        peer.serve();
        certificates::make({.alternative = "DNS:client"}, &peer.root())
            .save(peer.file("client.pem"), peer.file("client.key"));
        auto options = peer.trusting();
        options.certificate_file = peer.file("client.pem");
        options.private_key_file = peer.file("client.key");
        asio::io_context context;
        auto stream = connect(context, peer.connector(options));
        CHECK(run_on(context, exchange(stream, "x")) == "x");
    }
    tls_peer peer;
    only_known(peer);
    peer.serve();
    asio::io_context context;
    auto stream = connect(context, peer.connector()); // TLS 1.3 says it with the first answer
    const auto ec = run_on(context, end_of_read(stream));
    CHECK(ec.message().find("certificate required") != std::string::npos);
    CHECK_FALSE(stream.is_clean());
}

TEST_CASE("options that make no sense are refused where they are given, by name")
{
    const auto refused = [](tls_options options) {
        return text_of(thrown_by<tls_error>([&] { tls_connector("localhost", "443", options); }));
    };
    const std::string missing = ": No such file or directory [system:2]";
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH); // what others have left
    tls_options options;
    options.trusted_file = "/no/such/file";
    CHECK(refused(options) == "tls configure trusted_file /no/such/file" + missing);
    options = {};
    options.certificate_file = "/no/such/file";
    CHECK(refused(options) == "tls configure certificate_file /no/such/file" + missing);
    options = {};
    options.private_key_file = "/no/such/file";
    CHECK(refused(options) == "tls configure private_key_file /no/such/file" + missing);
    options = {};
    options.alpn = {""};
    CHECK(refused(options).find("tls configure alpn \"\"") == 0);

    const certificates::directory files;
    const auto file = [&files](const char* name) { return files.file(name); };
    certificates::make({}).save(file("one.pem"), file("one.key"));
    const auto other = certificates::make({});
    other.save(file("other.pem"), file("other.key"));
    options = {};
    options.certificate_file = file("one.pem");
    CHECK(refused(options).find("certificate_file without a private_key_file") == 14);
    options.private_key_file = file("other.key");
    CHECK(refused(options).find("tls configure private_key_file " + file("other.key")) == 0);
    options.certificate_file = {};
    CHECK(refused(options).find("private_key_file without a certificate_file") == 14);

    // The terminal is asked for nothing.
    std::FILE* const to = std::fopen(file("encrypted.key").c_str(), "w");
    char passphrase[] = "secret";
    CHECK(PEM_write_PKCS8PrivateKey(to, other.key.get(), EVP_aes_128_cbc(), passphrase, 6, nullptr,
                                    nullptr) == 1);
    std::fclose(to);
    options.certificate_file = file("other.pem");
    options.private_key_file = file("encrypted.key");
    CHECK(refused(options).find("tls configure private_key_file " + file("encrypted.key")) == 0);
    options.private_key_file = {};
    options.configure = [&](SSL_CTX* context) {
        SSL_CTX_set_default_passwd_cb_userdata(context, passphrase);
        SSL_CTX_set_default_passwd_cb(context, [](char* into, int size, int, void* text) {
            const std::string_view known(static_cast<const char*>(text));
            return static_cast<int>(known.copy(into, static_cast<std::size_t>(size)));
        });
        CHECK(SSL_CTX_use_PrivateKey_file(context, file("encrypted.key").c_str(),
                                          SSL_FILETYPE_PEM) == 1);
    };
    tls_connector("localhost", "443", options);
}

TEST_CASE("the server is told the name, but no address, and offers are agreed on")
{
    static std::string asked;
    asked = "nothing";
    tls_peer peer({.alternative = "DNS:localhost,IP:127.0.0.1"});
    SSL_CTX_set_tlsext_servername_callback(
        peer.context(), static_cast<int (*)(SSL*, int*, void*)>([](SSL* ssl, int*, void*) {
            const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
            asked = name == nullptr ? "nobody" : name;
            return SSL_TLSEXT_ERR_OK;
        }));
    SSL_CTX_set_alpn_select_cb(
        peer.context(),
        [](SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
           unsigned length, void*) {
            return SSL_select_next_proto(const_cast<unsigned char**>(chosen), size,
                                         reinterpret_cast<const unsigned char*>("\x08http/1.1"), 9,
                                         offered, length) == OPENSSL_NPN_NEGOTIATED
                       ? SSL_TLSEXT_ERR_OK
                       : SSL_TLSEXT_ERR_NOACK;
        },
        nullptr);
    peer.serve();
    asio::io_context context;
    auto options = peer.trusting();
    options.alpn = {"h2", "http/1.1"};
    {
        auto stream = connect(context, peer.connector(options));
        CHECK(run_on(context, exchange(stream, "x")) == "x");
        CHECK(asked == "localhost");
        CHECK(stream.alpn() == "http/1.1");
    }
    auto stream = connect(context, tls_connector(peer.endpoint(), options));
    CHECK(run_on(context, exchange(stream, "x")) == "x");
    CHECK(asked != "localhost");
}

TEST_CASE("a new connection resumes the session of an earlier one, unless told otherwise")
{
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        for (const bool resume : {true, false}) {
            CAPTURE(version);
            CAPTURE(resume);
            tls_peer peer;
            SSL_CTX_set_max_proto_version(peer.context(), version);
            peer.serve();
            auto options = peer.trusting();
            options.resume_sessions = resume;
            const auto connector = peer.connector(options);
            asio::io_context context;
            for (int i = 0; i != 4; ++i) {
                auto stream = connect(context, connector);
                CHECK(run_on(context, exchange(stream, "x")) == "x");
                CHECK(stream.resumed() == (resume && i != 0));
            }
        }
    }
}

TEST_CASE("a copy of a snapshot resumes none of the sessions of before (row 9)")
{
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        CAPTURE(version);
        tls_peer peer;
        SSL_CTX_set_max_proto_version(peer.context(), version);
        peer.serve();
        const auto connector = peer.connector();
        asio::io_context context;
        for (const bool may_resume : {false, true, false, true}) {
            if (!may_resume)
                loopsafe::process_restored();
            auto stream = connect(context, connector);
            CHECK(run_on(context, exchange(stream, "x")) == "x");
            CHECK(stream.resumed() == may_resume);
        }
    }
}

TEST_CASE("a ticket of TLS 1.3 is used once")
{
    tls_peer peer; // gives two tickets to each caller
    peer.serve();
    const auto connector = peer.connector();
    asio::io_context context;
    auto first = connect(context, connector);
    CHECK(run_on(context, exchange(first, "x")) == "x"); // and so has read both
    int resumed = 0;
    const auto one_more = [&]() -> asio::awaitable<void> {
        const auto stream = co_await connector.connect(context.get_executor());
        resumed += stream.resumed() ? 1 : 0;
    };
    for (int i = 0; i != 4; ++i) // at the same time, before OpenSSL itself knows that it is used
        asio::co_spawn(context, one_more(), asio::detached);
    context.restart();
    context.run();
    CHECK(resumed == 2);
}

TEST_CASE("what the options do not cover is set on OpenSSL's own context, once")
{
    tls_peer peer;
    peer.serve();
    auto options = peer.trusting();
    int calls = 0;
    options.configure = [&calls](SSL_CTX* context) {
        ++calls;
        SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    };
    const auto connector = peer.connector(options);
    asio::io_context context;
    for (int i = 0; i != 2; ++i)
        CHECK(connect(context, connector).version() == "TLSv1.2");
    CHECK(calls == 1);
}

TEST_CASE("a good-bye is an end of file, going without is an error, and neither is clean")
{
    {
        linked f([](tls_peer::caller& c) { c.say_goodbye(); });
        CHECK(run_on(*f.context, end_of_read(*f.stream)) == asio::error::eof);
        CHECK_FALSE(f.stream->is_clean());
    }
    linked f([](tls_peer::caller&) {});
    CHECK(run_on(*f.context, end_of_read(*f.stream)) == asio::ssl::error::stream_truncated);
    CHECK_FALSE(f.stream->is_clean());
}

TEST_CASE("shut_down waits for the peer's good-bye, no longer than it may")
{
    {
        linked f([](tls_peer::caller& c) {
            CHECK(c.read().empty());
            CHECK(c.why() == SSL_ERROR_ZERO_RETURN);
            c.say_goodbye();
        });
        CHECK(run_on(*f.context, f.stream->shut_down(1h)));
        CHECK_FALSE(f.stream->is_clean());
        CHECK_FALSE(run_on(*f.context, f.stream->shut_down(1h)));
    }
    std::promise<void> end;
    linked f([&](tls_peer::caller&) { end.get_future().wait(); });
    CHECK_FALSE(run_on(*f.context, f.stream->shut_down(0ms)));
    end.set_value();
}

TEST_CASE("a stream that is destroyed says good-bye, and one that is abandoned does not")
{
    enum class way { alone, without_descriptors, parked };
    for (const auto how : {way::alone, way::without_descriptors, way::parked}) {
        for (const bool abandoned : {false, true}) {
            CAPTURE(static_cast<int>(how));
            CAPTURE(abandoned);
            std::promise<int> seen;
            linked f([&](tls_peer::caller& c) {
                CHECK(c.read().empty());
                seen.set_value(c.why());
            });
            if (how == way::parked) {
                auto handle = f.connector.detach(*f.stream);
                REQUIRE(handle);
                if (abandoned)
                    f.connector.abandon(*handle);
            } else if (abandoned) {
                // Another descriptor in its place keeps a stream silent as well, where there is
                // one.
                std::optional<descriptors_exhausted> none;
                if (how == way::without_descriptors)
                    none.emplace();
                f.connector.abandon(*f.stream);
            }
            f.stream.reset();
            CHECK((seen.get_future().get() == SSL_ERROR_ZERO_RETURN) != abandoned);
        }
    }
}

TEST_CASE(
    "an idle stream is alive with tickets or new keys to read, and not with anything else (rule 4)")
{
    struct {
        bool alive;
        tls_peer::script script;
    } const cases[] = {
        {true, [](tls_peer::caller&) {}}, // two tickets come with the handshake
        {true,
         [](tls_peer::caller& c) {
             SSL_key_update(c.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED);
             SSL_do_handshake(c.ssl());
         }},
        {false, [](tls_peer::caller& c) { c.write("x"); }},
        {false, [](tls_peer::caller& c) { c.say_goodbye(); }},
        {false,
         [](tls_peer::caller& c) {
             error_code ignored;
             c.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
         }},
        {false, [](tls_peer::caller& c) { asio::write(c.socket(), asio::buffer("garbage", 7)); }},
    };
    for (const auto& c : cases) {
        std::promise<void> said;
        linked f([&](tls_peer::caller& caller) {
            c.script(caller);
            said.set_value();
            tls_peer::echo(caller);
        });
        said.get_future().wait();
        await_input(*f.stream);
        CHECK(f.connector.probe(*f.stream) == c.alive);
        CHECK(f.stream->is_clean() == c.alive);
        if (c.alive)
            CHECK(run_on(*f.context, exchange(*f.stream, "x")) == "x");
    }
}

TEST_CASE("what came and was not read is not clean (rule 4)")
{
    linked f;
    const auto half = [&]() -> asio::awaitable<void> {
        co_await asio::async_write(*f.stream, asio::buffer("hello", 5), asio::use_awaitable);
        char first = 0;
        co_await asio::async_read(*f.stream, asio::buffer(&first, 1), asio::use_awaitable);
    };
    run_on(*f.context, half());
    CHECK_FALSE(f.stream->is_clean());
}

TEST_CASE("a stream that is destroyed in the middle of a read ends it, and may be moved before")
{
    linked f;
    std::optional<error_code> ended;
    std::array<char, 1> byte;
    f.stream->async_read_some(asio::buffer(byte), [&](error_code ec, std::size_t) { ended = ec; });
    run_ready(*f.context);
    CHECK_FALSE(ended.has_value());
    CHECK_FALSE(f.stream->is_clean());
    {
        const tls_stream moved = *std::move(f.stream);
        f.stream.reset();
        run_ready(*f.context);
        CHECK_FALSE(ended.has_value());
    }
    f.context->restart();
    f.context->run();
    CHECK(ended == aborted);
}

TEST_CASE("a context may die in the middle of a read and of a write")
{
    for (const bool reading : {true, false}) {
        std::promise<void> end;
        linked f([&](tls_peer::caller&) { end.get_future().wait(); });
        // More than all buffers on the way to a peer that does not read.
        const std::vector<char> request(std::size_t(64) << 20);
        bool begun = false;
        const auto wait = [&](tls_stream s) -> asio::awaitable<void> {
            std::array<char, 100> reply;
            begun = true;
            if (reading)
                co_await asio::async_read(s, asio::buffer(reply), asio::use_awaitable);
            else
                co_await asio::async_write(s, asio::buffer(request), asio::use_awaitable);
            FAIL("it ended");
        };
        asio::co_spawn(*f.context, wait(*std::move(f.stream)), asio::detached);
        f.stream.reset();
        run_ready(*f.context);
        CHECK(begun);
        f.context.die();
        end.set_value();
    }
}

TEST_CASE("a handshake that is cancelled at any step leaves nothing behind")
{
    int steps = 0;
    for (bool by_itself = false; !by_itself; ++steps) {
        CAPTURE(steps);
        const auto before = open_descriptors();
        {
            tls_peer peer;
            peer.serve();
            const auto connector = peer.connector();
            asio::io_context context;
            asio::cancellation_signal signal;
            std::optional<std::exception_ptr> ended;
            const auto attempt = [&]() -> asio::awaitable<void> {
                const auto stream = co_await connector.connect(context.get_executor());
                CHECK(stream.is_clean());
            };
            asio::co_spawn(context, attempt(),
                           asio::bind_cancellation_slot(signal.slot(),
                                                        [&](std::exception_ptr e) { ended = e; }));
            for (int i = 0; i < steps && !ended; ++i)
                context.run_one();
            by_itself = ended.has_value();
            signal.emit(asio::cancellation_type::terminal);
            context.run();
            REQUIRE(ended.has_value());
            if (by_itself)
                CHECK(*ended == nullptr);
            else
                CHECK(thrown_by<boost::system::system_error>([&] {
                          std::rethrow_exception(*ended);
                      }).code() == aborted);
        }
        CHECK(open_descriptors() == before);
    }
    CHECK(steps >= 4); // resolving, connecting, and the server's part of the handshake
}

TEST_CASE("what is no TLS is refused")
{
    asio::io_context context;
    asio::ip::tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    auto answer = std::async(std::launch::async, [&] {
        auto caller = acceptor.accept();
        asio::write(caller, asio::buffer("220 smtp.example\r\n", 18));
        error_code ignored;
        caller.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
        std::array<char, 4096> rest;
        while (caller.read_some(asio::buffer(rest), ignored) != 0) {}
    });
    const tls_connector connector("localhost", std::to_string(acceptor.local_endpoint().port()));
    asio::io_context mine;
    const auto error = thrown_by<tls_error>([&] { connect(mine, connector); });
    CHECK(error.verify_result() == X509_V_OK);
    CHECK(text_of(error).starts_with(
        "tls handshake localhost: the server does not speak TLS on this port: "));
}

TEST_CASE("writing to a peer that has gone is an error, not a signal (rule 4)")
{
    // Not a reset, which would be the first write's own error: the second finds a broken pipe.
    std::promise<void> closed;
    linked f([&](tls_peer::caller& c) {
        c.socket().close();
        closed.set_value();
    });
    closed.get_future().wait();
    const auto write_on = [&]() -> asio::awaitable<void> {
        const std::vector<char> some(100'000);
        for (;;)
            co_await asio::async_write(*f.stream, asio::buffer(some), asio::use_awaitable);
    };
    const auto e = thrown_by<boost::system::system_error>([&] { run_on(*f.context, write_on()); });
    CHECK((e.code() == asio::error::broken_pipe || e.code() == asio::error::connection_reset));
    CHECK_FALSE(f.stream->is_clean());
}

TEST_SUITE_END();

} // namespace tls_tests
