// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_LAMBDA_DETAIL_RESPONSE_STREAM_HPP
#define LOOPSAFE_LAMBDA_DETAIL_RESPONSE_STREAM_HPP

#include <loopsafe/detail/base64.hpp>
#include <loopsafe/lambda/detail/http_normal.hpp>
#include <loopsafe/lambda/detail/json_text.hpp>
#include <loopsafe/lambda/detail/runtime_api.hpp>

#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::lambda::detail {

struct response_writer_access;

// A response that is sent while it is made, in chunks (RFC 9112, 7.1).
class response_stream {
public:
    // It uses the connection of `api` until it ends.
    response_stream(runtime_api& api, invocation of) : api_(&api), of_(std::move(of)) {}

    bool has_begun() const noexcept { return begun_; }
    bool is_broken() const noexcept { return broken_; }

    void content_type(std::string_view type)
    {
        if (!is_open() || type.empty() || !http::detail::all_are(http::detail::field_char, type))
            refuse("content_type()");
        type_ = type;
    }

    void http_response(int status, const http::fields& headers,
                       const std::vector<std::string>& cookies)
    {
        if (!is_open())
            refuse("http_response(): the response has begun");
        std::string wrong;
        try {
            http_ = frame({.status = status, .headers = headers, .cookies = cookies});
        } catch (const marshal_error& e) {
            wrong = e.what();
        }
        if (!wrong.empty())
            refuse("http_response(): " + wrong);
    }

    // Keeps the stream, since the writer may be gone before it ends. It looks only when it begins
    // whether it may: others may be made, and begin, before it.
    static asio::awaitable<void> write(std::shared_ptr<response_stream> self,
                                       std::string_view bytes, bool at_the_end = false)
    {
        if (!at_the_end)
            self->check();
        const using_it now(*self);
        if (!self->begun_)
            co_await self->begin();
        const auto channel = self->channel_; // the response may end meanwhile
        if (!self->prelude_.empty()) {
            const auto prelude = std::exchange(self->prelude_, {});
            co_await self->write_chunk(*channel, prelude);
        }
        if (!bytes.empty()) // an empty chunk would be the last
            co_await self->write_chunk(*channel, bytes);
        now.succeeded();
    }

    // The handler has ended, or is left to itself: it writes no more, and what it still writes is
    // cut off.
    void close() noexcept
    {
        ended_ = true;
        broken_ = broken_ || writing_;
    }

    // Begins a response that nothing was written of.
    static asio::awaitable<void> write_nothing(std::shared_ptr<response_stream> self)
    {
        return write(std::move(self), {}, true);
    }

    // Null: well. Preconditions: it is closed.
    asio::awaitable<void> end(const error_report* failed)
    {
        const auto channel = std::exchange(channel_, nullptr);
        if (begun_) // until the service has answered
            api_->response_was_cut(true);
        if (channel == nullptr)
            co_return;
        if (broken_) { // which the service must know before it is asked for more
            co_await channel->break_off();
            co_return;
        }
        std::string last = std::exchange(pending_, {}) + "0\r\n";
        if (failed != nullptr) {
            last.append(header::error_type).append(": ").append(failed->type).append("\r\n");
            last.append(header::error_body)
                .append(": ")
                .append(loopsafe::detail::to_base64(failed->body));
            last.append("\r\n");
        }
        last += "\r\n";
        const bool whole = co_await channel->write(last, {});
        const auto answer = co_await channel->read(channel->patience(), whole);
        api_->response_was_cut(false);
        api_->note(of_, answer);
        api_->client().give_back(channel);
    }

    // Its connection between two contexts. Preconditions: no write is under way.
    std::shared_ptr<api_channel>& channel() noexcept { return channel_; }

private:
    // What goes before the response can still be said.
    bool is_open() const noexcept { return !begun_ && !writing_ && !ended_; }

    // A write that does not succeed leaves half a chunk behind, or nothing at all.
    class using_it {
    public:
        explicit using_it(response_stream& s) noexcept : of_(s) { of_.writing_ = true; }
        using_it(const using_it&) = delete;
        ~using_it()
        {
            of_.writing_ = false;
            if (succeeded_)
                return;
            of_.broken_ = true;
            if (of_.ended_ || of_.channel_ == nullptr || of_.channel_->has_sent())
                return;
            of_.begun_ = false;
            of_.channel_.reset();
        }
        void succeeded() const noexcept { succeeded_ = true; }

    private:
        response_stream& of_;
        mutable bool succeeded_ = false;
    };

    [[noreturn]] static void refuse(const std::string& what)
    {
        throw boost::system::system_error(make_error_code(errc::bad_response), what);
    }

    // What goes before the body of an HTTP response.
    std::string prelude() const
    {
        auto fields = http_->headers;
        if (!type_.empty() && !fields.contains("content-type"))
            fields.add("content-type", type_);
        std::string head = R"({"statusCode":)" + std::to_string(http_->status) + R"(,"headers":{)";
        for (std::string_view separator; const auto& each : fields) {
            head.append(separator);
            append(head, each.name);
            head += ':';
            append(head, each.value);
            separator = ",";
        }
        head += R"(},"cookies":[)";
        for (std::string_view separator; const auto& each : http_->cookies) {
            head.append(separator);
            append(head, each);
            separator = ",";
        }
        head += "]}";
        head.append(8, '\0'); // ends it
        return head;
    }

    std::string_view sent_type() const noexcept
    {
        if (http_)
            return "application/vnd.awslambda.http-integration-response";
        return type_.empty() ? std::string_view("application/octet-stream") : type_;
    }

    static void append(std::string& to, std::string_view text)
    {
        append_json_string(to, text, text.size() * 6, charset::utf8);
    }

    void check() const
    {
        if (ended_)
            throw boost::system::system_error(make_error_code(errc::stream_ended));
        if (broken_ || writing_)
            throw boost::system::system_error(make_error_code(errc::stream_broken));
    }

    // The runtime may go on meanwhile, and be gone, so nothing of it is used after a wait.
    asio::awaitable<void> begin()
    {
        const bool had_ended = ended_;
        auto prelude = http_ ? this->prelude() : std::string();
        const std::array<api_field, 4> fields{{{header::nonce, runtime_api::nonce_of(of_)},
                                               {header::response_mode, "streaming"},
                                               {"Content-Type", sent_type()},
                                               {"Transfer-Encoding", "chunked"}}};
        auto head =
            api_head(api_->client().to(), "POST", runtime_api::path_of(of_, "/response"), fields);
        head.append("Trailer: ").append(header::error_type).append(", ");
        head.append(header::error_body).append("\r\n\r\n");
        auto channel = api_->client().take_usable();
        if (channel == nullptr)
            channel = co_await api_channel::connect(api_->client().to(), api_->client().patience());
        if (ended_ && !had_ended)
            throw boost::system::system_error(make_error_code(errc::stream_ended));
        pending_ = std::move(head);
        prelude_ = std::move(prelude);
        channel_ = std::move(channel);
        channel_->begin();
        begun_ = true;
    }

    asio::awaitable<void> write_chunk(api_channel& channel, std::string_view bytes)
    {
        std::array<char, 20> size{};
        const auto end =
            std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16).ptr;
        auto head = std::exchange(pending_, {});
        head.append(size.data(), end).append("\r\n");
        constexpr std::size_t small = 16 * 1024;
        bool taken = false;
        if (bytes.size() <= small) {
            head.append(bytes).append("\r\n");
            taken = co_await channel.write(head, {});
        } else {
            taken = co_await channel.write(head, bytes);
            if (taken)
                taken = co_await channel.write("\r\n", {});
        }
        if (!taken)
            throw boost::system::system_error(make_error_code(errc::stream_broken),
                                              "the service takes no more");
    }

    runtime_api* api_;
    const invocation of_;
    std::shared_ptr<api_channel> channel_; // once it has begun
    std::string type_;                     // that of the content, if anybody has said
    std::optional<framed_response> http_;
    std::string prelude_;
    std::string pending_; // what goes before the next chunk
    bool begun_ = false;
    bool writing_ = false;
    bool broken_ = false;
    bool ended_ = false;
};

} // namespace loopsafe::lambda::detail

#endif
