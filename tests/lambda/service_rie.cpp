// SPDX-License-Identifier: BSL-1.0
// Not compiled for ThreadSanitizer: what it does is done by the other tests of the service, too.
#include "raw_runtime.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace service_rie_tests {

namespace {

using namespace lambda_support;
using loopsafe::testing::at;

// Replays the transcript beside this file, which says what its lines mean.
class replay {
public:
    explicit replay(lambda_service& service) : service_(service) {}

    void run()
    {
        std::ifstream file(std::filesystem::path(__FILE__).parent_path() / "rie.txt");
        REQUIRE(file.good());
        std::vector<std::string> block;
        for (std::string line; std::getline(file, line);) {
            if (line.empty() && !block.empty())
                play(std::exchange(block, {}));
            else if (!line.empty() && line.front() != '#')
                block.push_back(line);
        }
        play(block);
    }

    int blocks() const noexcept { return blocks_; }

private:
    static std::string rest(const std::string& line) { return line.substr(line.find(' ') + 1); }

    static std::string trimmed(std::string text)
    {
        while (!text.empty() && text.back() == '\n')
            text.pop_back();
        return text;
    }

    std::string filled(std::string text) const
    {
        for (const auto& [name, value] : names_) {
            for (auto place = text.find(name); place != text.npos; place = text.find(name))
                text.replace(place, name.size(), value);
        }
        return text;
    }

    void play(const std::vector<std::string>& block)
    {
        ++blocks_;
        CAPTURE(block[0]);
        if (block[0].starts_with("> "))
            request(block);
        else if (block[0].starts_with("next "))
            next(rest(block[0]));
        else if (block[0].starts_with("reply "))
            CHECK(block_on(previous_->reply()).body == rest(block[0]));
        else
            listen();
    }

    void request(const std::vector<std::string>& block)
    {
        std::istringstream first(filled(rest(block[0])));
        std::string method;
        std::string path;
        first >> method >> path;
        std::string fields;
        std::string body;
        for (std::size_t i = 1; i + 1 < block.size(); ++i) {
            if (block[i].starts_with("= "))
                body = rest(block[i]);
            else if (block[i].starts_with("* "))
                body.assign(std::stoul(rest(block[i])), 'x');
            else
                fields += filled(block[i]) + "\r\n";
        }
        const auto answer = runtime_.call(method, path, fields, body);
        if (answer.fields.count("Lambda-Extension-Identifier") != 0)
            names_["{extension}"] = answer.field("Lambda-Extension-Identifier");
        const auto expected = filled(rest(block.back()));
        const bool any_body = expected.find(' ') == expected.npos;
        CHECK(std::to_string(answer.status) + (any_body ? "" : " " + trimmed(answer.body)) ==
              expected);
    }

    void next(const std::string& event)
    {
        runtime_.ask_next();
        previous_ =
            std::exchange(current_, std::make_unique<lambda_invocation>(service_.begin(event)));
        const auto answer = runtime_.listen();
        CHECK(answer.body == event);
        names_["{old}"] = std::exchange(names_["{id}"], answer.id());
        if (extension_)
            listen_again();
    }

    void listen()
    {
        extension_.emplace(service_);
        extension_->ask("GET", std::string(extension_path) + "event/next",
                        "Lambda-Extension-Identifier: " + names_["{extension}"] + "\r\n");
        while (service_.requests(at::extension_next) < 4) // before it: three in vain
            std::this_thread::yield();
    }
    void listen_again()
    {
        CHECK(extension_->listen().body.starts_with("{\"eventType\":\"INVOKE\",\"deadlineMs\":"));
        extension_->ask("GET", std::string(extension_path) + "event/next",
                        "Lambda-Extension-Identifier: " + names_["{extension}"] + "\r\n");
    }

    lambda_service& service_;
    raw_runtime runtime_{service_};
    std::optional<raw_runtime> extension_;
    std::map<std::string, std::string> names_;
    std::unique_ptr<lambda_invocation> current_;
    std::unique_ptr<lambda_invocation> previous_;
    int blocks_ = 0;
};

TEST_CASE("each request of a transcript gets the status and the body that AWS's emulator gives")
{
    lambda_service service;
    replay said(service);
    said.run();
    CHECK(said.blocks() > 40);
}

} // namespace

} // namespace service_rie_tests
