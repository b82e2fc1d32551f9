// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: its client has one thread.
// Every client through a proxy that others wrote, to servers that others wrote.

#include <http/servers.hpp>
#include <http/support.hpp>

namespace tinyproxy_tests {

namespace {

using namespace http_test;

class visitor {
public:
    visitor(combination what, bool secure, const std::string& user, bool closed)
    {
        const auto directory = variable("LOOPSAFE_HTTP_DIR");
        big_ = contents(directory + "/www/big.bin");
        http::single_use_client_options with;
        with.tls.trusted_file = directory + "/root.pem";
        with.base_url =
            (secure ? "https://127.0.0.1:" : "http://127.0.0.1:") + port_of("nginx", secure);
        with.proxies = http::proxies::all(user + "127.0.0.1:" + port_of("tinyproxy", closed));
        client_ = make_client(what, *context_, with);
    }

    seen get(const std::string& name) { return run_on(*context_, watch(client_->get("/" + name))); }
    const std::string& big() const { return big_; }
    loopsafe::pool_stats stats() { return client_->stats(); }

private:
    std::string big_;
    mortal_context context_;
    std::unique_ptr<any_client> client_;
};

void check_visit(visitor& v, combination what, bool secure)
{
    for (int i = 0; i != 3; ++i)
        CHECK(v.get("hello.txt").answer.body == "hello\n");
    CHECK((v.get("big.bin").answer.body == v.big()));
    CHECK(v.get("missing.txt").answer.status == 404);
    CHECK(v.stats().leased == 0);
    // A tunnel is the server's to keep; to the proxy's own connections it puts an end.
    if (secure && keeps(what))
        CHECK(v.stats().connects == 1);
}

TEST_CASE("http servers: tinyproxy leads every client to nginx, in the clear and over TLS")
{
    for (const auto what : all_combinations) {
        for (const bool secure : {false, true}) {
            INFO(name_of(what), secure ? ", TLS" : ", plain");
            visitor open(what, secure, "", false);
            check_visit(open, what, secure);
            visitor closed(what, secure, "http://ann:secret@", true);
            check_visit(closed, what, secure);
        }
    }
}

TEST_CASE("http servers: tinyproxy turns away who does not say the right password")
{
    for (const auto what : all_combinations) {
        for (const auto* user : {"", "ann:wrong@", "bob:secret@"}) {
            INFO(name_of(what), " ", user);
            visitor secure(what, true, user, true);
            const auto refused = secure.get("hello.txt");
            CHECK(refused.ec == errc::proxy_refused);
            CHECK(refused.evidence.stage == stage::tunnel);
            const auto text = text_of(refused.error);
            CHECK(text.find(": status 40") != std::string::npos);
            CHECK(text.find("secret") == std::string::npos);
            visitor plain(what, false, user, true);
            const auto answered = plain.get("hello.txt");
            CHECK(!answered.ec);
            CHECK(answered.answer.status / 100 == 4);
        }
    }
}

} // namespace

} // namespace tinyproxy_tests
