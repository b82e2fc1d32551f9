// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_METADATA_CLIENT_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_METADATA_CLIENT_HPP

#include <loopsafe/http/client.hpp>
#include <loopsafe/http/detail/layers/no_credentials.hpp>
#include <loopsafe/http/detail/layers/utc_time.hpp>
#include <loopsafe/http/layers/aws_credentials.hpp>

#include <boost/asio/error.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/value.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http::detail {

// What asks the services that give credentials. It keeps no connection, so any context may.
class metadata_client {
public:
    explicit metadata_client(std::string source) : source_(std::move(source)), client_(options()) {}

    const std::string& source() const noexcept { return source_; }

    // The body of an answer with the status 200. `hint`: of what may be wrong.
    boost::asio::awaitable<std::string> ask(request what, std::string_view hint = {}) const
    {
        // A path may be all that it takes to get credentials.
        const auto url = parse_url(what.url);
        const auto title = what.method + " of " + url.origin.to_string() + ": ";
        std::string failed;
        response got;
        try {
            got = co_await client_.send(std::move(what));
        } catch (const error& e) {
            if (e.code() == boost::asio::error::operation_aborted)
                throw;
            failed = e.code().message();
            if (e.code() == errc::timed_out)
                failed.append(hint);
        }
        if (failed.empty() && got.status != 200)
            failed = "status " + std::to_string(got.status);
        if (!failed.empty())
            refuse(title + failed);
        co_return std::move(got.body);
    }

    // Of the JSON that both services answer.
    aws_credentials read(std::string_view text) const
    {
        boost::json::parse_options with;
        with.max_depth = 8;
        boost::json::parser parser({}, with);
        boost::system::error_code ec;
        parser.write(text.data(), text.size(), ec);
        if (ec)
            refuse("the answer is no JSON");
        const auto all = parser.release();
        const auto* object = all.if_object();
        if (object == nullptr)
            refuse("the answer is no JSON object");
        const auto member = [&](const char* name) {
            const auto* found = object->if_contains(name);
            const auto* found_text = found == nullptr ? nullptr : found->if_string();
            if (found_text == nullptr || found_text->empty())
                refuse("the answer has no string " + std::string(name));
            return std::string(found_text->data(), found_text->size());
        };
        if (object->contains("Code") && member("Code") != "Success")
            refuse("the answer has the code " + printable(member("Code")));
        aws_credentials got(member("AccessKeyId"), member("SecretAccessKey"), member("Token"));
        const auto expires = parse_utc_time(member("Expiration"));
        if (!expires)
            refuse("the answer has an Expiration that is no time");
        got.expires = *expires;
        return got;
    }

    [[noreturn]] void refuse(std::string_view why) const { refuse_credentials(source_, why); }

private:
    static single_use_client_options options()
    {
        single_use_client_options with;
        with.timeouts.total = std::chrono::seconds(1);
        with.limits.body_bytes = 64 * 1024;
        return with;
    }

    const std::string source_;
    mutable basic_client<null_pool> client_;
};

} // namespace loopsafe::http::detail

#endif
