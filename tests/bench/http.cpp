// SPDX-License-Identifier: BSL-1.0
// One GET on a kept connection, a response of 154 bytes: the client in all its combinations, plain
// and TLS, beside the loops that one would write by hand on Beast.
#include "../support/certificates.hpp"
#include "../support/heap.hpp"
#include "callgrind.hpp"
#include "http_peers.hpp"
#include "measure.hpp"
#include "stepping.hpp"

#include <loopsafe/http.hpp>
#include <loopsafe/http/layers/check_status.hpp>
#include <loopsafe/http/layers/on_request.hpp>
#include <loopsafe/http/layers/redirects.hpp>
#include <loopsafe/http/layers/retries.hpp>

#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <thread>
#include <valgrind/callgrind.h>

namespace {

using namespace bench;
namespace http = loopsafe::http;

constexpr int counted = 50;
constexpr int warm_up = 20;

// Where the server listens.
struct ports {
    unsigned short plain = 0;
    unsigned short secure = 0;

    std::string url(bool tls) const
    {
        return tls ? "https://127.0.0.1:" + std::to_string(secure) + '/'
                   : "http://127.0.0.1:" + std::to_string(plain) + '/';
    }
};

// A process of its own, so that what it does is not counted. Each caller has a thread.
class server {
public:
    server()
        : plain_(context_, {asio::ip::address_v4::loopback(), 0}),
          secure_(context_, {asio::ip::address_v4::loopback(), 0})
    {
        const auto who = certificates::make({});
        process_ = ::fork();
        if (process_ != 0)
            return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        std::signal(SIGPIPE, SIG_IGN);
        SSL_CTX* const tls = SSL_CTX_new(TLS_server_method());
        certificates::use(tls, who);
        std::thread([this] { accept(plain_, nullptr); }).detach();
        accept(secure_, tls);
    }
    ~server()
    {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }

    ports at() const { return {plain_.local_endpoint().port(), secure_.local_endpoint().port()}; }

private:
    static void accept(tcp::acceptor& at, SSL_CTX* tls)
    {
        for (;;) {
            std::thread([socket = at.accept(), tls]() mutable {
                socket.set_option(tcp::no_delay(true));
                SSL* ssl = nullptr;
                if (tls != nullptr) {
                    ssl = SSL_new(tls);
                    SSL_set_fd(ssl, socket.native_handle());
                    SSL_accept(ssl);
                }
                serve(socket.native_handle(), ssl);
                SSL_free(ssl);
            }).detach();
        }
    }

    static void serve(int fd, SSL* ssl)
    {
        std::string seen;
        std::array<char, 65536> some;
        for (;;) {
            const auto size = some.size();
            const auto got = ssl != nullptr ? SSL_read(ssl, some.data(), static_cast<int>(size))
                                            : static_cast<int>(::recv(fd, some.data(), size, 0));
            if (got <= 0)
                return;
            seen.append(some.data(), static_cast<std::size_t>(got));
            for (auto end = seen.find("\r\n\r\n"); end != std::string::npos;
                 end = seen.find("\r\n\r\n")) {
                seen.erase(0, end + 4);
                if (ssl != nullptr)
                    SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
                else if (::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0)
                    return;
            }
        }
    }

    asio::io_context context_{1};
    tcp::acceptor plain_;
    tcp::acceptor secure_;
    pid_t process_ = 0;
};

// Calls `begin` and `end` around the requests that count.
template <class Get, class Begin, class End>
asio::awaitable<void> requests(Get get, Begin begin, End end)
{
    for (int i = 0; i != warm_up; ++i)
        co_await get();
    begin();
    for (int i = 0; i != counted; ++i)
        co_await get();
    end();
}

template <class PoolPolicy, class ExecutionPolicy>
struct ours {
    template <class Begin, class End>
    static asio::awaitable<void> talk(const ports& s, bool secure, Begin begin, End end)
    {
        using client_type = http::basic_client<PoolPolicy, ExecutionPolicy>;
        typename client_type::options with;
        with.tls.verify = false;
        auto client = make<client_type>(co_await asio::this_coro::executor, with);
        const auto url = s.url(secure);
        co_await requests(
            [&]() -> asio::awaitable<void> {
                const auto response = co_await client.get(url);
                require(response.status == 200 && response.body.size() == 13);
            },
            begin, end);
    }

private:
    template <class Client>
    static Client make(const asio::any_io_executor& executor, const typename Client::options& with)
    {
        if constexpr (std::is_constructible_v<Client, asio::any_io_executor,
                                              typename Client::options>)
            return Client(executor, with);
        else
            return Client(with);
    }
};

// The same client, with layers around it.
template <http::any_sender (*Around)(const http::any_sender&)>
struct layered {
    template <class Begin, class End>
    static asio::awaitable<void> talk(const ports& s, bool secure, Begin begin, End end)
    {
        http::client_options with;
        with.tls.verify = false;
        http::client inner(co_await asio::this_coro::executor, with);
        const auto api = Around(http::any_sender(inner));
        const auto url = s.url(secure);
        co_await requests(
            [&]() -> asio::awaitable<void> {
                const auto response = co_await api.get(url);
                require(response.status == 200 && response.body.size() == 13);
            },
            begin, end);
    }
};

http::any_sender no_layer(const http::any_sender& inner)
{
    return inner;
}
http::any_sender a_hook(const http::any_sender& inner)
{
    return inner | http::on_request([](http::request&) {});
}
http::any_sender a_check(const http::any_sender& inner)
{
    return inner | http::check_status();
}
http::any_sender following(const http::any_sender& inner)
{
    return inner | http::redirects();
}
http::any_sender retrying(const http::any_sender& inner)
{
    return inner | http::retries();
}

template <class Peer>
struct by_hand {
    template <class Begin, class End>
    static awaitable_type talk(const ports& s, bool, Begin begin, End end)
    {
        const page wanted{.port = s.plain};
        Peer peer(co_await asio::this_coro::executor, wanted);
        int left = warm_up;
        co_await peer.requests(left);
        begin();
        left = counted;
        co_await peer.requests(left);
        end();
    }
};

template <class Subject, class Begin, class End>
void talk(const ports& s, bool secure, Begin begin, End end)
{
    asio::io_context context(1);
    auto work = Subject::talk(s, secure, begin, end);
    asio::co_spawn(context.get_executor(), std::move(work), [](const std::exception_ptr& error) {
        if (error != nullptr)
            std::rethrow_exception(error);
    });
    context.run();
}

// A way to ask, by a number that a second process of this program can be told.
struct subject {
    const char* name;
    void (*under_callgrind)(const ports&, bool secure);
    double (*system_calls)(const ports&, bool secure);
    double (*allocations)(const ports&, bool secure);
    bool one_thread;
};

void toggle()
{
    CALLGRIND_TOGGLE_COLLECT;
}

template <class Subject>
constexpr subject make(const char* name, bool one_thread = true)
{
    return {name, [](const ports& s, bool secure) { talk<Subject>(s, secure, toggle, toggle); },
            [](const ports& s, bool secure) {
                const auto seen =
                    count(event::system_calls, [&] { talk<Subject>(s, secure, mark, mark); });
                return static_cast<double>(seen) / counted;
            },
            [](const ports& s, bool secure) {
                std::optional<heap::watch> watching;
                long allocated = -1;
                talk<Subject>(
                    s, secure, [&] { watching.emplace(); },
                    [&] {
                        allocated = heap::allocations;
                        watching.reset();
                    });
                return static_cast<double>(allocated) / counted;
            },
            one_thread};
}

using namespace loopsafe;
constexpr std::array subjects{
    make<by_hand<by_messages>>("Beast's messages"),
    make<by_hand<by_parser>>("Beast's parser"),
    make<ours<keep_alive_pool, on_context>>("keep_alive_pool, on_context"),
    make<ours<null_pool, on_context>>("null_pool, on_context"),
    make<ours<per_context_pool, on_context>>("per_context_pool, on_context"),
    make<ours<keep_alive_pool, thread_offload>>("keep_alive_pool, thread_offload", false),
    make<ours<null_pool, thread_offload>>("null_pool, thread_offload", false),
    make<layered<no_layer>>("any_sender"),
    make<layered<a_hook>>("on_request"),
    make<layered<a_check>>("check_status"),
    make<layered<following>>("redirects"),
    make<layered<retrying>>("retries"),
};

constexpr std::size_t bare = 7; // of them; the others have layers

// In user space, as callgrind counts them, of the calling thread.
double instructions(std::size_t which, bool secure, const ports& s)
{
    return collected_by_callgrind(std::to_string(which) + (secure ? " 1 " : " 0 ") +
                                  std::to_string(s.plain) + ' ' + std::to_string(s.secure)) /
           counted;
}

} // namespace

int main(int words, char** word)
{
    const auto number = [&](int i) { return static_cast<unsigned short>(std::stoi(word[i])); };
    if (words == 5) {
        subjects.at(number(1)).under_callgrind({number(3), number(4)}, number(2) == 1);
        return 0;
    }
    const server running;
    const auto s = running.at();
    constexpr std::array researched{14000.0, 8800.0};
    for (std::size_t i = 0; i != researched.size(); ++i)
        row(std::string("a GET by ") + subjects[i].name + ", beside the research",
            instructions(i, false, s), "instructions", researched[i]);
    const auto by_hand = instructions(1, false, s);
    for (const bool secure : {false, true}) {
        for (std::size_t i = researched.size(); i != bare; ++i) {
            const auto& one = subjects[i];
            const bool limited = i == researched.size() && !secure;
            const std::string name =
                std::string("a GET, ") + one.name + (secure ? ", TLS" : ", plain");
            const auto most = [&](double limit) {
                return limited ? std::optional<double>(limit) : std::nullopt;
            };
            const auto used = instructions(i, secure, s);
            row(name + ", beside Beast's parser by hand", used, "instructions", by_hand);
            if (limited)
                row(name, used, "instructions", 0, 12500);
            if (one.one_thread) { // with workers, most of it happens elsewhere
                row(name, one.allocations(s, secure), "allocations", 0, most(6));
                row(name, one.system_calls(s, secure), "system calls", 0, most(5.1));
            }
        }
    }
    const auto& whole = subjects[bare];
    const auto plain = instructions(researched.size(), false, s);
    const auto entered = instructions(bare, false, s);
    const auto allocated = whole.allocations(s, false);
    row("what an any_sender adds to a GET", entered - plain, "instructions", 0, 3100);
    row("what an any_sender adds to a GET",
        allocated - subjects[researched.size()].allocations(s, false), "allocations", 0);
    for (std::size_t i = bare + 1; i != subjects.size(); ++i) {
        const auto name = std::string("what a layer adds, ") + subjects[i].name;
        row(name, instructions(i, false, s) - entered, "instructions", 0, 1500);
        row(name, subjects[i].allocations(s, false) - allocated, "allocations", 0, 1);
    }
    return 0;
}
