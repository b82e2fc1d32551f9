// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CODING_CODINGS_HPP
#define LOOPSAFE_HTTP_DETAIL_CODING_CODINGS_HPP

#include <loopsafe/http/content_coding.hpp>
#include <loopsafe/http/error.hpp>
#include <loopsafe/http/response.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace loopsafe::http::detail {

// The codings of a body, in the order in which they were applied.
struct applied_codings {
    static constexpr std::size_t most = 2;

    std::array<const content_coding*, most> each{};
    std::size_t size = 0;
    bool too_many = false;
};

// The codings that a client understands.
class known_codings {
public:
    explicit known_codings(std::vector<content_coding> all) : all_(std::move(all))
    {
        for (const auto& coding : all_)
            names_.append(names_.empty() ? "" : ", ").append(coding.name());
    }

    // For Accept-Encoding.
    const std::string& names() const noexcept { return names_; }

    // What is to be undone in the response to a request of that method: nothing where it has no
    // body, or one of which a coding is unknown.
    applied_codings of(const response_head& head, std::string_view method) const noexcept
    {
        constexpr int no_content = 204;
        constexpr int a_part = 206; // of the encoded content
        constexpr int not_modified = 304;
        if (!head.headers.contains("Content-Encoding") || method == "HEAD" ||
            head.status == no_content || head.status == a_part || head.status == not_modified ||
            head.headers["Content-Length"] == "0")
            return {};
        applied_codings found;
        bool all_known = true;
        for (const auto [name, value] : head.headers) {
            if (!equal_ignoring_case(name, "Content-Encoding"))
                continue;
            for_each_member(value, [&](std::string_view member) {
                if (equal_ignoring_case(member, "identity"))
                    return;
                const auto* const coding = find(member);
                all_known = all_known && coding != nullptr;
                if (found.size == found.most)
                    found.too_many = true;
                else
                    found.each[found.size++] = coding;
            });
        }
        return all_known ? found : applied_codings();
    }

private:
    const content_coding* find(std::string_view name) const noexcept
    {
        const auto at = std::find_if(all_.begin(), all_.end(), [&](const content_coding& coding) {
            return coding.is_called(name);
        });
        return at == all_.end() ? nullptr : &*at;
    }

    std::vector<content_coding> all_;
    std::string names_;
};

} // namespace loopsafe::http::detail

#endif
