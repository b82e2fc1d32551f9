// SPDX-License-Identifier: BSL-1.0
//
// A small command-line HTTP client: fetch URL; --help lists its options.

#include <loopsafe.hpp>
#include <loopsafe/http.hpp>
#include <loopsafe/http/layers/check_status.hpp>
#include <loopsafe/http/layers/redirects.hpp>
#include <loopsafe/http/layers/retries.hpp>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace asio = boost::asio;
namespace http = loopsafe::http;

constexpr const char* usage =
    "fetch [OPTION...] URL\n"
    "  -X METHOD           the method; by default POST with a body, else GET\n"
    "  -H 'NAME: VALUE'    a header; may be repeated\n"
    "  -d FILE             sends this file as the body\n"
    "  -o FILE             writes the response body there, not to standard output\n"
    "  -i                  prints the status and the headers, too\n"
    "  -L                  follows redirects\n"
    "  --retry COUNT       sends it up to so many times more if that does no harm\n"
    "  --fail              takes a status of 400 or more for an error\n"
    "  -n COUNT            sends the request so many times\n"
    "  --pool POLICY       keep_alive (default), null or per_context\n"
    "  --offload           runs the requests on a worker thread\n"
    "  --cacert FILE       trusts these root certificates, not the system's\n"
    "  --insecure          does not verify the server\n"
    "  --timeout SECONDS   limits each request as a whole\n";

struct wanted {
    std::string url;
    std::string method;
    http::fields headers;
    std::optional<std::string> body;
    std::string output;
    std::string pool = "keep_alive";
    http::client_options options;
    bool offload = false;
    bool head = false;
    bool follow = false;
    bool fail = false;
    int retries = 0;
    int count = 1;
};

std::string read_file(const std::string& name)
{
    std::ifstream in(name, std::ios::binary);
    if (!in)
        throw std::runtime_error("cannot read " + name);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::optional<wanted> parse(const std::vector<std::string>& words)
{
    wanted w;
    for (std::size_t i = 0; i != words.size(); ++i) {
        const auto& word = words[i];
        const auto value = [&] {
            if (i + 1 == words.size())
                throw std::runtime_error(word + " needs a value");
            return words[++i];
        };
        if (word == "--help")
            return std::nullopt;
        if (word == "-X") {
            w.method = value();
        } else if (word == "-H") {
            const auto field = value();
            const auto colon = field.find(':');
            w.headers.add(field.substr(0, colon),
                          colon == std::string::npos ? "" : field.substr(colon + 1));
        } else if (word == "-d") {
            w.body = read_file(value());
        } else if (word == "-o") {
            w.output = value();
        } else if (word == "-i") {
            w.head = true;
        } else if (word == "-L") {
            w.follow = true;
        } else if (word == "--retry") {
            w.retries = std::stoi(value());
        } else if (word == "--fail") {
            w.fail = true;
        } else if (word == "-n") {
            w.count = std::stoi(value());
        } else if (word == "--pool") {
            w.pool = value();
        } else if (word == "--offload") {
            w.offload = true;
        } else if (word == "--cacert") {
            w.options.tls.trusted_file = value();
        } else if (word == "--insecure") {
            w.options.tls.verify = false;
        } else if (word == "--timeout") {
            w.options.timeouts.total = std::chrono::seconds(std::stoi(value()));
        } else if (word.starts_with("-") || !w.url.empty()) {
            throw std::runtime_error("unknown argument " + word + "; --help lists them");
        } else {
            w.url = word;
        }
    }
    if (w.url.empty())
        return std::nullopt;
    return w;
}

void show_progress(std::uint64_t got, std::optional<std::uint64_t> all)
{
    if (all && *all != 0)
        std::fprintf(stderr, "\r%3d %% of %.1f MB", static_cast<int>(100 * got / *all),
                     static_cast<double>(*all) / 1e6);
    else
        std::fprintf(stderr, "\r%.1f MB", static_cast<double>(got) / 1e6);
}

asio::awaitable<void> copy(const wanted& w, http::incoming_response& from, std::FILE* to)
{
    constexpr std::size_t worth_showing = 1'000'000;
    const bool terminal = ::isatty(STDERR_FILENO) != 0 && ::isatty(::fileno(to)) == 0;
    if (w.head) {
        std::printf("%d %s\n", from.head().status, from.head().reason.c_str());
        for (const auto [name, value] : from.head().headers)
            std::printf("%.*s: %.*s\n", static_cast<int>(name.size()), name.data(),
                        static_cast<int>(value.size()), value.data());
        std::printf("\n");
    }
    std::vector<char> some(64 * 1024);
    std::uint64_t total = 0;
    std::uint64_t shown = 0;
    while (const auto n = co_await from.read_some(asio::buffer(some))) {
        if (std::fwrite(some.data(), 1, n, to) != n)
            throw std::runtime_error("cannot write");
        total += n;
        if (terminal && total - shown >= worth_showing) {
            show_progress(total, from.length());
            shown = total;
        }
    }
    if (shown != 0)
        std::fprintf(stderr, "\n");
}

// The layers that were asked for, around whichever client.
http::any_sender with_layers(http::any_sender api, const wanted& w)
{
    if (w.retries != 0)
        api = api | http::retries(w.retries + 1);
    if (w.follow)
        api = api | http::redirects();
    if (w.fail)
        api = api | http::check_status();
    return api;
}

template <class Client>
http::any_sender made(const asio::any_io_executor& executor, const wanted& w)
{
    typename Client::options options;
    static_cast<http::single_use_client_options&>(options) = w.options;
    if constexpr (std::is_constructible_v<Client, asio::any_io_executor, typename Client::options>)
        return http::any_sender(Client(executor, options));
    else
        return http::any_sender(Client(options));
}

http::any_sender chosen_client(const asio::any_io_executor& executor, const wanted& w)
{
    using namespace loopsafe;
    if (w.pool == "keep_alive")
        return w.offload ? made<http::basic_client<keep_alive_pool, thread_offload>>(executor, w)
                         : made<http::client>(executor, w);
    if (w.pool == "null")
        return w.offload ? made<http::basic_client<null_pool, thread_offload>>(executor, w)
                         : made<http::basic_client<null_pool>>(executor, w);
    if (w.pool == "per_context" && !w.offload)
        return made<http::basic_client<per_context_pool>>(executor, w);
    throw std::runtime_error("--pool " + w.pool + (w.offload ? " --offload" : "") +
                             " is not supported");
}

asio::awaitable<void> fetch(const wanted& w, std::FILE* to)
{
    const auto client = chosen_client(co_await asio::this_coro::executor, w);
    const auto api = with_layers(client, w);
    for (int i = 0; i != w.count; ++i) {
        http::request ask(!w.method.empty() ? w.method : w.body ? "POST" : "GET", w.url);
        ask.headers = w.headers;
        if (w.body)
            ask.body = *w.body;
        const auto reader = [&](http::incoming_response& in) { return copy(w, in, to); };
        co_await api.with_response(std::move(ask), reader);
    }
}

int main(int count, char** words)
{
    try {
        const auto w = parse({words + 1, words + count});
        if (!w) {
            std::fputs(usage, stdout);
            return 0;
        }
        const auto close = [](std::FILE* f) { return f == stdout ? 0 : std::fclose(f); };
        const std::unique_ptr<std::FILE, decltype(close)> to(
            w->output.empty() ? stdout : std::fopen(w->output.c_str(), "wb"), close);
        if (to == nullptr)
            throw std::runtime_error("cannot write " + w->output);
        loopsafe::run([&] { return fetch(*w, to.get()); });
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
