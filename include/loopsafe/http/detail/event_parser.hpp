// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_EVENT_PARSER_HPP
#define LOOPSAFE_HTTP_DETAIL_EVENT_PARSER_HPP

#include <loopsafe/http/detail/text.hpp>
#include <loopsafe/http/server_sent_event.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace loopsafe::http::detail {

// Takes the bytes of an event stream, in parts of any size, and gives events. It reads nothing
// itself. Each byte is looked at a bounded number of times.
class event_parser {
public:
    explicit event_parser(std::size_t most, std::string last_id = {})
        : most_(most), id_(last_id), last_id_(std::move(last_id))
    {
    }

    // Takes bytes, up to the end of an event, and returns their number.
    std::size_t put(std::string_view bytes)
    {
        const auto whole = bytes.size();
        while (!bytes.empty() && !is_ready_ && !is_too_large_) {
            if (!begun_) {
                take_mark(bytes);
                continue;
            }
            if (std::exchange(after_cr_, false) && bytes.front() == '\n') {
                bytes.remove_prefix(1);
                continue;
            }
            const auto end = bytes.find_first_of("\r\n");
            const bool ends = end != std::string_view::npos;
            const auto part = bytes.substr(0, end);
            take_part(part);
            if (is_too_large_)
                break;
            bytes.remove_prefix(part.size());
            if (!ends)
                break;
            after_cr_ = bytes.front() == '\r';
            bytes.remove_prefix(1);
            end_line();
        }
        return whole - bytes.size();
    }

    bool is_ready() const noexcept { return is_ready_; }
    bool is_too_large() const noexcept { return is_too_large_; }

    // Precondition: is_ready().
    server_sent_event take()
    {
        is_ready_ = false;
        return std::move(event_);
    }

    const std::string& last_id() const noexcept { return last_id_; }
    std::optional<std::chrono::milliseconds> retry() const noexcept { return retry_; }

private:
    static constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    static constexpr std::chrono::milliseconds most_retry = std::chrono::hours(24);

    // At the very beginning only. What looks like one, and is none, belongs to the first line.
    void take_mark(std::string_view& bytes)
    {
        while (!bytes.empty() && mark_ != byte_order_mark.size()) {
            if (bytes.front() != byte_order_mark[mark_]) {
                begun_ = true;
                take_part(byte_order_mark.substr(0, mark_));
                return;
            }
            ++mark_;
            bytes.remove_prefix(1);
        }
        begun_ = mark_ == byte_order_mark.size();
    }

    // A part of a line. Comments are not kept, so that a stream may consist of them.
    void take_part(std::string_view part)
    {
        if (part.empty())
            return;
        if (line_.empty())
            in_comment_ = in_comment_ || part.front() == ':';
        if (in_comment_)
            return;
        if (part.size() > most_ - used_) {
            is_too_large_ = true;
            return;
        }
        used_ += part.size();
        line_ += part;
    }

    void end_line()
    {
        if (in_comment_)
            in_comment_ = false;
        else if (line_.empty())
            end_event();
        else
            take_field(line_);
        line_.clear();
    }

    void take_field(std::string_view line)
    {
        const auto colon = std::min(line.find(':'), line.size());
        const auto name = line.substr(0, colon);
        auto value = line.substr(std::min(colon + 1, line.size()));
        if (value.starts_with(' '))
            value.remove_prefix(1);
        if (name == "data") {
            data_ += value;
            data_ += '\n';
        } else if (name == "event") {
            type_ = value;
        } else if (name == "id") {
            if (value.find('\0') == std::string_view::npos)
                id_ = value;
        } else if (name == "retry") {
            if (!value.empty() && all_are(digit_char, value))
                retry_ = retry_of(value);
        }
    }

    static std::chrono::milliseconds retry_of(std::string_view digits)
    {
        std::chrono::milliseconds time{0};
        for (const char c : digits)
            time = std::min(10 * time + std::chrono::milliseconds(c - '0'), most_retry);
        return time;
    }

    void end_event()
    {
        used_ = 0;
        last_id_ = id_;
        if (!data_.empty()) {
            data_.pop_back();
            if (type_.empty())
                type_ = "message";
            event_ = {last_id_, std::move(type_), std::move(data_), retry_};
            is_ready_ = true;
        }
        type_.clear();
        data_.clear();
    }

    std::size_t most_;
    std::string line_; // that has begun
    bool in_comment_ = false;
    bool after_cr_ = false;
    bool begun_ = false;
    std::size_t mark_ = 0; // of the byte order mark
    std::size_t used_ = 0; // by the lines of this event

    std::string id_;
    std::string type_;
    std::string data_;
    std::string last_id_;
    std::optional<std::chrono::milliseconds> retry_;

    server_sent_event event_;
    bool is_ready_ = false;
    bool is_too_large_ = false;
};

} // namespace loopsafe::http::detail

#endif
