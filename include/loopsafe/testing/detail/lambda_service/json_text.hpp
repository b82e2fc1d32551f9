// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_JSON_TEXT_HPP
#define LOOPSAFE_TESTING_DETAIL_LAMBDA_SERVICE_JSON_TEXT_HPP

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// As much of JSON as a Runtime API looks at: is a text JSON, and what are the members of an object?
namespace loopsafe::testing::detail {

// Walks over values. A member or element is handed on as it is written.
class json_walker {
public:
    explicit json_walker(std::string_view text) noexcept : left_(text) {}

    // Calls `each(key, value)` for the members of an object, and with an empty key for the elements
    // of an array. False where the text is no JSON.
    template <class Each>
    bool walk(Each each)
    {
        const bool good = value(each, 0);
        skip_space();
        return good && left_.empty();
    }

private:
    static constexpr int deepest = 128;

    struct ignore_all {
        void operator()(std::string_view, std::string_view) const noexcept {}
    };

    template <class Each>
    bool value(Each& each, int depth)
    {
        skip_space();
        if (left_.empty() || depth == deepest)
            return false;
        switch (left_.front()) {
        case '{': return group('}', true, each, depth);
        case '[': return group(']', false, each, depth);
        case '"': return text();
        case 't': return word("true");
        case 'f': return word("false");
        case 'n': return word("null");
        default: return number();
        }
    }

    template <class Each>
    bool group(char end, bool has_keys, Each& each, int depth)
    {
        ignore_all ignore;
        left_.remove_prefix(1);
        skip_space();
        if (take(end))
            return true;
        do {
            skip_space();
            auto before = left_;
            std::string_view key;
            if (has_keys) {
                if (!text())
                    return false;
                key = before.substr(1, before.size() - left_.size() - 2);
                skip_space();
                if (!take(':'))
                    return false;
                skip_space();
                before = left_;
            }
            if (!value(ignore, depth + 1))
                return false;
            each(key, before.substr(0, before.size() - left_.size()));
            skip_space();
        } while (take(','));
        return take(end);
    }

    bool text()
    {
        if (!take('"'))
            return false;
        while (!left_.empty()) {
            const auto c = static_cast<unsigned char>(left_.front());
            left_.remove_prefix(1);
            if (c == '"')
                return true;
            if (c < 0x20)
                return false;
            if (c == '\\' && !escape())
                return false;
        }
        return false;
    }

    bool escape()
    {
        constexpr std::string_view simple = "\"\\/bfnrt";
        constexpr std::string_view hexadecimal = "0123456789abcdefABCDEF";
        if (left_.empty())
            return false;
        const bool is_code = left_.front() == 'u';
        const auto size = is_code ? std::size_t{5} : std::size_t{1};
        const bool good =
            is_code ? left_.size() >= size && left_.substr(1, 4).find_first_not_of(hexadecimal) ==
                                                  std::string_view::npos
                    : simple.find(left_.front()) != std::string_view::npos;
        left_.remove_prefix(good ? size : 0);
        return good;
    }

    bool number()
    {
        take('-');
        if (!take('0') && !digits())
            return false;
        if (take('.') && !digits())
            return false;
        if (take('e') || take('E')) {
            take('+') || take('-');
            return digits();
        }
        return true;
    }

    bool digits()
    {
        const auto before = left_.size();
        while (!left_.empty() && left_.front() >= '0' && left_.front() <= '9')
            left_.remove_prefix(1);
        return left_.size() != before;
    }

    bool word(std::string_view which)
    {
        if (!left_.starts_with(which))
            return false;
        left_.remove_prefix(which.size());
        return true;
    }

    bool take(char c)
    {
        if (left_.empty() || left_.front() != c)
            return false;
        left_.remove_prefix(1);
        return true;
    }

    void skip_space()
    {
        while (!left_.empty() && std::string_view(" \t\r\n").find(left_.front()) != left_.npos)
            left_.remove_prefix(1);
    }

    std::string_view left_;
};

inline bool is_json(std::string_view text)
{
    return json_walker(text).walk([](std::string_view, std::string_view) {});
}

// The text of a string as it is written; its escapes are left as they are.
inline std::optional<std::string_view> json_string(std::string_view value)
{
    if (value.size() < 2 || value.front() != '"')
        return std::nullopt;
    return value.substr(1, value.size() - 2);
}

// The string that an object has by this name; nothing where there is none.
inline std::optional<std::string> json_member(std::string_view object, std::string_view name)
{
    std::optional<std::string> found;
    const bool good = json_walker(object).walk([&](std::string_view key, std::string_view value) {
        if (const auto text = json_string(value); text && key == name)
            found = *text;
    });
    return good ? found : std::nullopt;
}

// The strings of an array that an object has by this name; nothing where it is no such object.
inline std::optional<std::vector<std::string>> json_strings(std::string_view object,
                                                            std::string_view name)
{
    std::vector<std::string> found;
    bool all_strings = true;
    const bool good = json_walker(object).walk([&](std::string_view key, std::string_view value) {
        if (key != name)
            return;
        json_walker(value).walk([&](std::string_view, std::string_view element) {
            const auto text = json_string(element);
            all_strings = all_strings && text.has_value();
            found.emplace_back(text.value_or(""));
        });
    });
    if (!good || !all_strings)
        return std::nullopt;
    return found;
}

inline std::string json_quoted(std::string_view text)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string quoted = "\"";
    for (const char c : text) {
        const auto code = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            quoted += '\\';
        if (code < 0x20)
            quoted.append("\\u00").append(1, digits[code >> 4]).append(1, digits[code & 15]);
        else
            quoted += c;
    }
    return quoted += '"';
}

} // namespace loopsafe::testing::detail

#endif
