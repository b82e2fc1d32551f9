// SPDX-License-Identifier: BSL-1.0
//
// Talks to a language model, and prints its answer while it is still being made: chat [URL
// [MODEL]].

#include "../support/http_server.hpp"

#include <loopsafe.hpp>
#include <loopsafe/http.hpp>
#include <loopsafe/http/credentials.hpp>
#include <loopsafe/http/events.hpp>
#include <loopsafe/http/json.hpp>
#include <loopsafe/http/layers/check_status.hpp>

#include <boost/json/src.hpp>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace asio = boost::asio;
namespace http = loopsafe::http;
namespace json = boost::json;

constexpr const char* usage =
    "chat [URL [MODEL]]\n"
    "  URL     of an API as OpenAI's, such as http://127.0.0.1:8080/v1; a key for it is taken "
    "from\n"
    "          OPENAI_API_KEY. Without one a server of this program answers, which knows one "
    "answer.\n";

// What a model says must not command the terminal.
void print(std::string_view text)
{
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        std::putchar((byte >= 0x20 && byte != 0x7f) || c == '\n' || c == '\t' ? c : '?');
    }
    std::fflush(stdout);
}

// The part of the answer in one event: {"choices": [{"delta": {"content": "..."}}]}.
std::string part_of(const json::value& event)
{
    const auto* choices = event.is_object() ? event.as_object().if_contains("choices") : nullptr;
    if (choices == nullptr || !choices->is_array() || choices->as_array().empty())
        return {};
    const auto& first = choices->as_array().front();
    const auto* delta = first.is_object() ? first.as_object().if_contains("delta") : nullptr;
    const auto* content = delta != nullptr && delta->is_object()
                              ? delta->as_object().if_contains("content")
                              : nullptr;
    return content != nullptr && content->is_string() ? std::string(content->as_string())
                                                      : std::string();
}

class conversation {
public:
    conversation(http::any_sender api, std::string model)
        : api_(std::move(api)), model_(std::move(model))
    {
    }

    asio::awaitable<void> ask(std::string question)
    {
        messages_.push_back({{"role", "user"}, {"content", question}});
        const json::value wanted{{"model", model_}, {"messages", messages_}, {"stream", true}};
        auto request = http::with_json({"POST", "/chat/completions"}, wanted);
        std::string answer;
        const auto prints = [&answer](http::incoming_response& in) -> asio::awaitable<void> {
            http::event_reader events(in);
            while (const auto event = co_await events.next()) {
                if (event->data == "[DONE]")
                    break;
                const auto part = part_of(http::as_json(event->data));
                print(part);
                answer += part;
            }
        };
        co_await api_.with_response(std::move(request), prints);
        print("\n");
        messages_.push_back({{"role", "assistant"}, {"content", answer}});
    }

private:
    http::any_sender api_;
    std::string model_;
    json::array messages_;
};

std::optional<std::string> read_line()
{
    std::string line;
    return std::getline(std::cin, line) ? std::optional(std::move(line)) : std::nullopt;
}

asio::awaitable<void> talk(std::string url, std::string model, std::optional<std::string> only)
{
    http::client_options with;
    with.base_url = url;
    if (const char* const key = std::getenv("OPENAI_API_KEY"); key != nullptr)
        with.authorization = http::only_for(url, http::bearer(key));
    const auto api = http::client(co_await asio::this_coro::executor, with) | http::check_status();
    conversation with_it(api, std::move(model));
    if (only) {
        std::printf("> %s\n", only->c_str());
        co_await with_it.ask(*only);
        co_return;
    }
    for (;;) {
        print("> ");
        auto line = co_await loopsafe::offload(read_line); // the loop goes on meanwhile
        if (!line)
            break;
        if (!line->empty())
            co_await with_it.ask(std::move(*line));
    }
}

// Stands in for a model where no URL is given.
void answer_as_a_model_would(const http_server::request&, http_server::response& answer)
{
    answer.set("Content-Type", "text/event-stream");
    for (const std::string word :
         {"I", " am", " no", " model", ",", " only", " its", " server", "."}) {
        const json::value event{
            {"choices", json::array{json::object{{"delta", json::object{{"content", word}}}}}}};
        answer.body() += "data: " + json::serialize(event) + "\n\n";
    }
    answer.body() += "data: [DONE]\n\n";
}

int main(int count, char** words)
{
    const std::string first = count > 1 ? words[1] : "";
    if (first == "--help") {
        std::fputs(usage, stdout);
        return 0;
    }
    try {
        if (!first.empty()) {
            loopsafe::run([&] { return talk(first, count > 2 ? words[2] : "default", {}); });
            return 0;
        }
        const http_server server(answer_as_a_model_would);
        loopsafe::run([&] { return talk(server.url(), "none", "Who are you?"); });
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
