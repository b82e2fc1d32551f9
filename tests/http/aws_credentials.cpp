// SPDX-License-Identifier: BSL-1.0
// Where credentials for AWS come from, how long they are kept, and who waits for them.

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12, with sanitizers, is wrong about Asio's coroutine frames.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <loopsafe/http/layers/aws_metadata.hpp>
#include <loopsafe/http/layers/sigv4.hpp>
#include <loopsafe/pool/process.hpp>
#include <loopsafe/testing/two_contexts.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <http/support.hpp>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace aws_credentials_tests {

namespace {

using namespace http_test;
using namespace std::chrono_literals;
using loopsafe::testing::two_contexts;

constexpr std::chrono::sys_seconds noon =
    std::chrono::sys_days(std::chrono::year(2026) / 2 / 28) + 12h;

// Gives what the test says, at once or when the test lets it.
class scripted final : public http::aws_credential_source {
public:
    std::string name() const override { return "the test"; }
    asio::awaitable<http::aws_credentials> get() const override
    {
        ++calls;
        const auto number = calls;
        if (waits) {
            asio::steady_timer until_then(co_await asio::this_coro::executor);
            until_then.expires_at(std::chrono::steady_clock::time_point::max());
            waiting.push_back(&until_then);
            const struct ending {
                const scripted& of;
                asio::steady_timer* timer;
                ~ending() { std::erase(of.waiting, timer); }
            } at_the_end{*this, &until_then};
            co_await until_then.async_wait(asio::as_tuple(asio::use_awaitable));
            const auto state = co_await asio::this_coro::cancellation_state;
            if (state.cancelled() != asio::cancellation_type::none)
                throw http::error(asio::error::operation_aborted, {}, {}); // as a client does
        }
        if (fails)
            http::detail::refuse_credentials(name(), "not today");
        http::aws_credentials made("KEY" + std::to_string(number), "secret");
        made.expires = expires;
        co_return made;
    }
    void let_go() const
    {
        const auto all = waiting;
        for (auto* each : all)
            each->cancel();
    }

    mutable int calls = 0;
    mutable std::vector<asio::steady_timer*> waiting;
    bool waits = false;
    bool fails = false;
    std::optional<std::chrono::system_clock::time_point> expires;
};

// Answers with the key that a request is signed with; nothing is sent.
class telling final : public http::layer {
public:
    std::string_view name() const noexcept override { return "telling"; }
    http::place place() const noexcept override { return http::place::anywhere; }
    asio::awaitable<void> lend(http::exchange&, http::next) const override
    {
        throw std::logic_error("it answers whole requests only");
        co_return;
    }
    asio::awaitable<response> send(http::exchange& x, http::next) const override
    {
        const std::string field(x.asked.headers["authorization"]);
        const auto begin = std::min(field.find("Credential="), field.size() - 11) + 11;
        response made;
        made.status = 200;
        made.body = field.substr(begin, field.find('/', begin) - begin);
        co_return made;
    }
};

struct signing {
    signing() : source(std::make_shared<scripted>()), api(make({})) { source->expires = noon + 1h; }

    http::any_sender make(std::shared_ptr<const http::aws_credential_source> from)
    {
        http::sigv4_options with;
        with.service = "sqs";
        with.region = "eu-central-1";
        with.credentials = from != nullptr ? from : source;
        with.clock = [this] { return now; };
        return http::basic_client<loopsafe::per_context_pool>() | std::make_shared<telling>() |
               http::sigv4(with);
    }
    std::string key() { return key_by(api); }
    std::string key_by(const http::any_sender& by)
    {
        const auto got = run_on(*context, watch(by.get("http://example.org/")));
        return got.error ? text_of(got.error) : got.answer.body;
    }

    std::chrono::system_clock::time_point now = noon;
    std::shared_ptr<scripted> source;
    mortal_context context;
    http::any_sender api;
};

// A request that has begun on a context.
class begun {
public:
    begun(asio::io_context& context, const http::any_sender& api)
    {
        asio::co_spawn(context, watch(api.get("http://example.org/")),
                       asio::bind_cancellation_slot(cancel.slot(),
                                                    [this](const std::exception_ptr& e, seen s) {
                                                        failed = e;
                                                        got = std::move(s);
                                                    }));
        run_ready(context);
    }
    begun(const begun&) = delete;
    begun& operator=(const begun&) = delete;

    bool has_ended() const { return got.has_value(); }
    std::string key() const
    {
        return !got ? "waits" : got->error ? text_of(got->error) : got->answer.body;
    }

    asio::cancellation_signal cancel;
    std::optional<seen> got;
    std::exception_ptr failed;
};

TEST_CASE("aws credentials: they are replaced 15 minutes before they expire, and must be from 10")
{
    signing s;
    CHECK(s.key() == "KEY1");
    s.now = noon + 44min + 59s;
    CHECK(s.key() == "KEY1");
    CHECK(s.source->calls == 1);
    s.now = noon + 45min;
    s.source->fails = true;
    CHECK(s.key() == "KEY1"); // it has tried
    CHECK(s.source->calls == 2);
    s.now += 59s;
    CHECK(s.key() == "KEY1"); // nobody tries again within a minute
    CHECK(s.source->calls == 2);
    s.now += 1s;
    CHECK(s.key() == "KEY1");
    CHECK(s.source->calls == 3);
    s.now = noon + 50min;
    CHECK(s.key().find("credentials from the test: not today") != std::string::npos);
    CHECK(s.source->calls == 4);
    s.source->fails = false;
    s.source->expires = noon + 2h;
    CHECK(s.key() == "KEY5");
    CHECK(s.key() == "KEY5");
    s.now = noon + 1h + 45min;
    CHECK(s.key() == "KEY6");
    CHECK(s.source->calls == 6);
}

TEST_CASE("aws credentials: those without an end are kept, until the process is another's copy")
{
    signing s;
    s.source->expires.reset();
    CHECK(s.key() == "KEY1");
    s.now += 24h * 365;
    CHECK(s.key() == "KEY1");
    loopsafe::process_thawed();
    CHECK(s.key() == "KEY1");
    loopsafe::process_restored();
    CHECK(s.key() == "KEY2");
    CHECK(s.key() == "KEY2");
    loopsafe::process_restored();
    s.source->fails = true;
    CHECK(s.key().find("not today") != std::string::npos);
    CHECK(s.key().find("not today") != std::string::npos);
    CHECK(s.source->calls == 4);
}

TEST_CASE("aws credentials: what a copy of the process has begun to fetch is not kept there")
{
    signing s;
    s.source->waits = true;
    begun first(*s.context, s.api);
    loopsafe::process_restored();
    s.source->let_go();
    run_until(*s.context, [&] { return first.has_ended(); });
    CHECK(first.key() == "KEY1");
    s.source->waits = false;
    CHECK(s.key() == "KEY2");
}

TEST_CASE("aws credentials: what has expired, or is nothing, is refused, and the source named")
{
    signing s;
    s.source->expires = noon;
    const auto text = s.key();
    CHECK(text.find("credentials from the test: they have expired") != std::string::npos);
    CHECK(text.find("there are no credentials to sign the request with") != std::string::npos);
    CHECK(text.find("aws_credentials.cpp") != std::string::npos);
    CHECK(text.find("secret") == std::string::npos);
    CHECK(s.key_by(s.make(http::aws_fixed({})))
              .find("credentials from aws_fixed(): there are none") != std::string::npos);
    s.source->expires = noon + 5min; // the best that there is
    CHECK(s.key() == "KEY2");
    CHECK(s.key() == "KEY3");
}

TEST_CASE("aws credentials: of the requests of a context one fetches them, and the others wait")
{
    signing s;
    s.source->waits = true;
    SUBCASE("for what it brings") {}
    SUBCASE("for its error")
    {
        s.source->fails = true;
    }
    SUBCASE("for what will soon expire")
    {
        s.source->expires = noon + 1min;
    }
    begun first(*s.context, s.api);
    begun second(*s.context, s.api);
    begun third(*s.context, s.api);
    CHECK(s.source->calls == 1);
    s.source->let_go();
    run_until(*s.context, [&] { return third.has_ended(); });
    CHECK(s.source->calls == 1);
    for (const auto* each : {&first, &second, &third}) {
        if (s.source->fails)
            CHECK(each->key().find("not today") != std::string::npos);
        else
            CHECK(each->key() == "KEY1");
    }
}

TEST_CASE("aws credentials: while one request replaces them early, the others use what there is")
{
    signing s;
    CHECK(s.key() == "KEY1");
    s.now = noon + 46min;
    s.source->waits = true;
    s.source->expires = noon + 2h;
    begun first(*s.context, s.api);
    CHECK_FALSE(first.has_ended());
    CHECK(s.key() == "KEY1");
    s.source->let_go();
    run_until(*s.context, [&] { return first.has_ended(); });
    CHECK(first.key() == "KEY2");
    CHECK(s.key() == "KEY2");
    CHECK(s.source->calls == 2);
}

TEST_CASE("aws credentials: no context waits for another")
{
    two_contexts contexts;
    signing s;
    s.source->waits = true;
    begun here(contexts.a, s.api);
    s.source->waits = false;
    CHECK(run_on(contexts.b, s.api.get("http://example.org/")).body == "KEY2");
    CHECK_FALSE(here.has_ended());
    CHECK(run_on(contexts.a, s.api.get("http://example.org/")).body == "KEY2");
    s.source->let_go();
    run_until(contexts.a, [&] { return here.has_ended(); });
    CHECK(here.key() == "KEY1");
}

TEST_CASE("aws credentials: where the request that fetches them is cancelled, the next one does")
{
    signing s;
    s.source->waits = true;
    begun first(*s.context, s.api);
    begun second(*s.context, s.api);
    begun third(*s.context, s.api);
    do_on(*s.context, [&] { second.cancel.emit(asio::cancellation_type::terminal); });
    run_until(*s.context, [&] { return second.has_ended(); });
    CHECK(second.got->ec == asio::error::operation_aborted);
    CHECK(s.source->calls == 1);
    do_on(*s.context, [&] { first.cancel.emit(asio::cancellation_type::terminal); });
    run_until(*s.context, [&] { return first.has_ended() && s.source->calls == 2; });
    CHECK(first.got->ec == asio::error::operation_aborted);
    s.source->let_go();
    run_until(*s.context, [&] { return third.has_ended(); });
    CHECK(third.key() == "KEY2");
}

TEST_CASE("aws credentials: a context that dies while they are fetched leaves them to the next")
{
    signing s;
    s.source->waits = true;
    {
        std::optional<begun> first(std::in_place, *s.context, s.api);
        std::optional<begun> second(std::in_place, *s.context, s.api);
        s.context.reborn();
        CHECK_FALSE(first->has_ended());
        CHECK_FALSE(second->has_ended());
    }
    CHECK(s.source->waiting.empty());
    s.source->waits = false;
    CHECK(s.key() == "KEY2");
    s.context.reborn();
    CHECK(s.key() == "KEY2");
    CHECK(s.source->calls == 2);
}

TEST_CASE("aws credentials: a wrong context is refused before a source is asked")
{
    two_contexts contexts;
    signing s;
    http::sigv4_options with;
    with.service = "sqs";
    with.region = "eu-central-1";
    with.credentials = s.source;
    const auto api = http::client(contexts.a) | http::sigv4(with);
    CHECK(run_on(contexts.b, watch(api.get("http://127.0.0.1:1/"))).ec ==
          loopsafe::errc::wrong_context);
    CHECK(s.source->calls == 0);
}

TEST_CASE("aws credentials: the first source that is set up is the one, also where it fails")
{
    signing s;
    const auto none = http::aws_fixed({});
    const auto other = http::aws_fixed({"OTHER", "secret"});
    CHECK(s.key_by(s.make(http::aws_first_of({none, s.source, other}))) == "KEY1");
    CHECK(s.key_by(s.make(http::aws_first_of({none, other, s.source}))) == "OTHER");
    s.source->fails = true;
    CHECK(s.key_by(s.make(http::aws_first_of({s.source, other}))).find("not today") !=
          std::string::npos);
    CHECK(s.key_by(s.make(http::aws_first_of({none, none})))
              .find("credentials from aws_fixed(), aws_fixed(): there are none") !=
          std::string::npos);
    CHECK_THROWS_AS(http::aws_first_of({none, nullptr}), boost::system::system_error);
}

// Sets variables of the environment, and takes them back.
class environment {
public:
    environment(std::initializer_list<std::pair<const char*, std::string>> all)
    {
        for (const auto* name :
             {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
              "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
              "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
              "AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
              "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"}) {
            const char* const before = std::getenv(name);
            before_[name] = before == nullptr ? std::nullopt : std::optional<std::string>(before);
            ::unsetenv(name);
        }
        for (const auto& [name, value] : all)
            ::setenv(name, value.c_str(), 1);
    }
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;
    ~environment()
    {
        for (const auto& [name, value] : before_) {
            if (value)
                ::setenv(name.c_str(), value->c_str(), 1);
            else
                ::unsetenv(name.c_str());
        }
    }

private:
    std::map<std::string, std::optional<std::string>> before_;
};

std::string given_by(const std::shared_ptr<const http::aws_credential_source>& source)
{
    mortal_context context;
    try {
        const auto got = run_on(*context, source->get());
        auto text = got.access_key_id + ' ' + got.secret_access_key + ' ' + got.session_token;
        if (got.expires)
            text += ' ' + std::to_string((*got.expires - noon) / 1s);
        return text;
    } catch (const http::error& e) {
        CHECK(e.code() == errc::no_credentials);
        return e.what();
    }
}

bool says(const std::string& text, std::string_view what)
{
    CAPTURE(text);
    CAPTURE(std::string(what));
    const bool found = text.find(what) != std::string::npos;
    CHECK(found);
    CHECK(text.find("geheim") == std::string::npos);
    return found;
}

TEST_CASE("aws credentials: the environment has all of them, or none")
{
    {
        const environment set{{"AWS_ACCESS_KEY_ID", "ID"}, {"AWS_SECRET_ACCESS_KEY", "geheim"}};
        CHECK(given_by(http::aws_environment()) == "ID geheim ");
        CHECK(given_by(http::aws_default()) == "ID geheim ");
    }
    {
        const environment set{{"AWS_ACCESS_KEY_ID", "ID"},
                              {"AWS_SECRET_ACCESS_KEY", "geheim"},
                              {"AWS_SESSION_TOKEN", "token"}};
        CHECK(given_by(http::aws_environment()) == "ID geheim token");
    }
    {
        const environment set{{"AWS_SECRET_ACCESS_KEY", "geheim"}};
        CHECK(given_by(http::aws_environment()) == " geheim ");
    }
    {
        const environment set{{"AWS_ACCESS_KEY_ID", "ID"}};
        CHECK(says(given_by(http::aws_environment()),
                   "credentials from the environment: AWS_ACCESS_KEY_ID is set, but not "
                   "AWS_SECRET_ACCESS_KEY"));
    }
    {
        const environment set{{"AWS_EC2_METADATA_DISABLED", "True"}};
        CHECK(given_by(http::aws_default()) == "  ");
    }
}

const std::string good_json =
    R"({"Code":"Success","AccessKeyId":"ID","SecretAccessKey":"geheim","Token":"token",)"
    R"("Expiration":"2026-02-28T13:00:00Z"})";

TEST_CASE("aws credentials: a container's endpoint gets its token, and gives them as JSON")
{
    http_peer peer([](http_peer::caller& c) {
        c.peer().note(c.read_request());
        c.write(answer(good_json));
    });
    const auto token = [&peer] {
        const auto text = peer.notes().back();
        const auto at = text.find("\r\nAuthorization: ");
        return at == std::string::npos ? "none"
                                       : text.substr(at + 17, text.find("\r\n", at + 2) - at - 17);
    };
    const auto url = peer.url("/v2/credentials/1?a=b");
    {
        const environment set{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url}};
        CHECK(given_by(http::aws_container()) == "ID geheim token 3600");
        CHECK(token() == "none");
        CHECK(peer.notes().back().starts_with("GET /v2/credentials/1?a=b HTTP/1.1\r\n"));
    }
    {
        const environment set{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url},
                              {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic one"}};
        CHECK(given_by(http::aws_default()) == "ID geheim token 3600");
        CHECK(token() == "Basic one");
    }
    const certificates::directory directory;
    const auto file = directory.file("token");
    std::ofstream(file) << "from the file\n";
    {
        const environment set{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url},
                              {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic one"},
                              {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file}};
        CHECK(given_by(http::aws_container()) == "ID geheim token 3600");
        CHECK(token() == "from the file");
    }
    const auto asked = peer.connections();
    {
        const environment set{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url},
                              {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file + ".none"}};
        CHECK(says(given_by(http::aws_container()), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot "
                                                    "be read"));
    }
    {
        const environment set{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url},
                              {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "geheim\r\nX-Injected: 1"}};
        CHECK(says(given_by(http::aws_container()), "the authorization token has a line end"));
    }
    {
        const environment set{};
        CHECK(given_by(http::aws_container()) == "  ");
    }
    CHECK(peer.connections() == asked);
}

TEST_CASE("aws credentials: a container's token leaves the machine over https only")
{
    const auto refused = [](const std::string& url) {
        const environment set{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url},
                              {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "geheim"}};
        return given_by(http::aws_container());
    };
    for (const auto* host : {"example.org", "169.254.170.3", "169.254.169.254", "[fe80::1]",
                             "127.0.0.1.example.org", "[::ffff:127.0.0.1]", "10.0.0.1"})
        CHECK(says(refused("http://" + std::string(host) + "/geheim"),
                   "credentials from the container's endpoint: AWS_CONTAINER_CREDENTIALS_FULL_URI "
                   "leads to \""));
    CHECK(says(refused("ftp://127.0.0.1/"), "it must begin with http:// or https://"));
    for (const auto* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost", "LocalHost",
                             "169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
        CHECK(http::detail::is_local_service(host));
    const environment set{{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.org/geheim"}};
    CHECK(says(given_by(http::aws_container()),
               "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with /"));
}

TEST_CASE("aws credentials: an answer that is none is refused, and none of it is told")
{
    const auto member_gone = [](const std::string& name) {
        auto text = good_json;
        return text.replace(text.find('"' + name), 2, "\"_");
    };
    const auto with = [](const std::string& what, const std::string& instead) {
        auto text = good_json;
        return text.replace(text.find(what), what.size(), instead);
    };
    struct row {
        std::string reply;
        std::string says;
    };
    const std::string nested(100, '[');
    const std::vector<row> all{
        {answer(""), "the answer is no JSON"},
        {answer("geheim"), "the answer is no JSON"},
        {answer(good_json + "x"), "the answer is no JSON"},
        {answer(nested), "the answer is no JSON"},
        {answer("[\"geheim\"]"), "the answer is no JSON object"},
        {answer(member_gone("AccessKeyId")), "the answer has no string AccessKeyId"},
        {answer(member_gone("SecretAccessKey")), "the answer has no string SecretAccessKey"},
        {answer(member_gone("Token")), "the answer has no string Token"},
        {answer(member_gone("Expiration")), "the answer has no string Expiration"},
        {answer(with("\"ID\"", "1")), "the answer has no string AccessKeyId"},
        {answer(with("\"ID\"", "\"\"")), "the answer has no string AccessKeyId"},
        {answer(with("Success", "Failed")), "the answer has the code \"Failed\""},
        {answer(with("T13", " 13")), "the answer has an Expiration that is no time"},
        {answer(with("02-28", "02-30")), "the answer has an Expiration that is no time"},
        {answer(with("00Z", "00")), "the answer has an Expiration that is no time"},
        {answer(with("00Z", "00.Z")), "the answer has an Expiration that is no time"},
        {"HTTP/1.1 404 geheim\r\nContent-Length: 6\r\n\r\ngeheim", ": status 404"},
        {"HTTP/1.1 302 Found\r\nLocation: /geheim\r\nContent-Length: 0\r\n\r\n", ": status 302"},
        {answer(std::string(65 * 1024, 'x')), ": the body is larger than limits::body_bytes"},
        {"nonsense\r\n\r\n", "GET of http://127.0.0.1:"}};
    for (const auto& each : all) {
        http_peer peer(http_peer::always(each.reply));
        const environment set{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", peer.url("/geheim")}};
        CHECK(says(given_by(http::aws_container()), each.says));
    }
    http_peer peer(http_peer::always(answer(with("00Z", "00.123Z"))));
    const environment set{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", peer.url("/")}};
    CHECK(given_by(http::aws_container()) == "ID geheim token 3600");
}

TEST_CASE("aws credentials: an instance's role is asked for with a token")
{
    std::string role = "my+role,=.@-_\nanother";
    int status = 200;
    http_peer peer([&](http_peer::caller& c) {
        for (auto text = c.read_request(); !text.empty(); text = c.read_request()) {
            c.peer().note(text);
            if (text.starts_with("PUT "))
                c.write(answer("token-1"));
            else if (text.find("security-credentials/ ") != std::string::npos)
                c.write("HTTP/1.1 " + std::to_string(status) + " Any\r\nContent-Length: " +
                        std::to_string(role.size()) + "\r\n\r\n" + role);
            else
                c.write(answer(good_json));
        }
    });
    const environment set{{"AWS_EC2_METADATA_SERVICE_ENDPOINT", peer.url("/")}};
    CHECK(given_by(http::aws_default()) == "ID geheim token 3600");
    const auto notes = peer.notes();
    REQUIRE(notes.size() == 3);
    CHECK(notes[0].starts_with("PUT /latest/api/token HTTP/1.1\r\n"));
    CHECK(notes[0].find("\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\n") !=
          std::string::npos);
    CHECK(notes[1].starts_with("GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\n"));
    CHECK(notes[2].starts_with(
        "GET /latest/meta-data/iam/security-credentials/my+role,=.@-_ HTTP/1.1\r\n"));
    for (const auto& each : {notes[1], notes[2]})
        CHECK(each.find("\r\nX-aws-ec2-metadata-token: token-1\r\n") != std::string::npos);
    for (const auto* wrong : {"", "\nx", "a/../b", "a?b", "a b"}) {
        role = wrong;
        CHECK(says(given_by(http::aws_instance()), "the instance has no role"));
    }
    status = 404;
    CHECK(says(given_by(http::aws_instance()), "credentials from the instance's metadata: GET of "
                                               "http://127.0.0.1:"));
}

TEST_CASE("aws credentials: a request that is cancelled while its container is asked is cancelled")
{
    http_peer peer([](http_peer::caller& c) {
        c.read_request();
        c.peer().note("asked");
        c.await_end();
    });
    const environment set{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", peer.url("/")}};
    signing s;
    const auto api = s.make(http::aws_container());
    begun first(*s.context, api);
    std::thread cancels([&] {
        peer.await_note("asked");
        asio::post(*s.context, [&] { first.cancel.emit(asio::cancellation_type::terminal); });
    });
    run_until(*s.context, [&] { return first.has_ended(); });
    cancels.join();
    CHECK(first.got->ec == asio::error::operation_aborted);
}

TEST_CASE("aws credentials: a metadata service that says nothing is given up within its limit")
{
    http_peer peer([](http_peer::caller& c) {
        c.read_request();
        c.await_end();
    });
    const environment set{{"AWS_EC2_METADATA_SERVICE_ENDPOINT", peer.url("")}};
    const auto text = given_by(http::aws_instance());
    CHECK(says(text, ": a deadline has passed: in a container, HttpPutResponseHopLimit of the "
                     "instance must be 2"));
}

} // namespace

} // namespace aws_credentials_tests
