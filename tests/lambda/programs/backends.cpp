// SPDX-License-Identifier: BSL-1.0
// A function that asks PostgreSQL and a web server in each invocation, with pools of the policy
// that the handler's name says.

#include <loopsafe/http.hpp>
#include <loopsafe/lambda.hpp>
#include <loopsafe/postgres.hpp>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace lambda = loopsafe::lambda;
using namespace std::chrono_literals;

std::string variable(const char* name)
{
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}

template <class Policy>
class backends {
public:
    using pool = loopsafe::connection_pool<loopsafe::postgres::connector, Policy>;
    using client = loopsafe::http::basic_client<Policy>;

    template <class... Home>
    explicit backends(const Home&... home)
        : database_(home..., loopsafe::postgres::connector(variable("LOOPSAFE_POSTGRES"))),
          web_(home..., options())
    {
    }

    // The number of the server's process, so that the caller can count sessions.
    asio::awaitable<std::string> answer(lambda::invocation&)
    {
        std::string session;
        {
            auto lease = co_await database_.acquire();
            const auto rows = co_await lease->query("select pg_backend_pid()");
            session = std::to_string(rows[0][0].template as<int>());
        }
        const auto page = co_await web_.get(variable("LOOPSAFE_HTTPS"));
        if (page.body != "hello")
            throw std::runtime_error("the wrong page");
        co_return session;
    }

    asio::awaitable<void> close()
    {
        co_await database_.async_close(100ms);
        co_await web_.async_close(100ms);
    }

private:
    static typename client::options options()
    {
        typename client::options with;
        with.tls.trusted_file = variable("LOOPSAFE_HTTPS_ROOT");
        return with;
    }

    pool database_;
    client web_;
};

int serve_kept()
{
    loopsafe::lifespan app;
    lambda::runtime runtime({.lifespan = &app});
    backends<loopsafe::keep_alive_pool> all(runtime.get_executor());
    app.add("backends", {}, [&] { return all.close(); });
    return runtime.serve([&](lambda::invocation& in) { return all.answer(in); });
}

template <class Policy>
int serve_fresh()
{
    backends<Policy> all;
    return lambda::basic_runtime<lambda::context_per_invocation>().serve(
        [&](lambda::invocation& in) { return all.answer(in); });
}

} // namespace

int main()
{
    const auto policy = variable("_HANDLER");
    if (policy == "keep_alive")
        return serve_kept();
    if (policy == "null")
        return serve_fresh<loopsafe::null_pool>();
    if (policy == "per_context")
        return serve_fresh<loopsafe::per_context_pool>();
    if (policy == "carry_over")
        return serve_fresh<loopsafe::carry_over_pool>();
    return 2;
}
