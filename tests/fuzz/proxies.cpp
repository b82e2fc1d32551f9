// SPDX-License-Identifier: BSL-1.0
// Whatever a proxy answers to CONNECT, however it is cut, and whatever is given as its URL and as
// the list of its exceptions: no crash, the same verdict for every cut, no line ended by a secret.
// The first byte says which, and how the answer is cut.

#include "require.hpp"

#include <loopsafe/http/detail/wire/connect.hpp>
#include <loopsafe/http/proxies.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using namespace loopsafe::http;
using loopsafe::error_code;

struct verdict {
    error_code ec;
    bool done = false;
    int status = 0;

    bool operator==(const verdict&) const = default;
};

verdict read_answer(std::string_view text, std::size_t step_size)
{
    limits most;
    most.head_bytes = 2000;
    most.fields = 20;
    detail::connect_answer answer(most);
    std::string kept;
    error_code ec;
    while (!text.empty() && !answer.done() && !ec) {
        const auto size = std::min(step_size, text.size());
        kept.append(text.substr(0, size));
        text.remove_prefix(size);
        const auto used = answer.put(kept, ec);
        require(used <= kept.size());
        kept.erase(0, used);
        require(answer.done() || ec || kept.size() <= most.head_bytes);
    }
    if (ec == errc::proxy_sent_more) { // a cut at the end of the head hides it
        require(answer.done() && answer.opens_tunnel() && !kept.empty());
        ec = {};
    }
    if (!answer.done())
        return {ec, false, 0};
    require(answer.status() / 100 != 1);
    return {ec, true, answer.status()};
}

void read_settings(std::string_view text)
{
    const auto line = [&text] {
        const auto size = std::min(text.find('\n'), text.size());
        const auto found = text.substr(0, size);
        text.remove_prefix(std::min(size + 1, text.size()));
        return found;
    };
    origin to{true, "example.org", 443};
    const auto url = line();
    const auto list = line();
    try {
        to = parse_url(line()).origin;
    } catch (const error&) {
    }
    proxies known;
    try {
        known = proxies::all(url);
    } catch (const error& e) {
        require(e.code() == errc::bad_url && e.stage() == stage::prepare);
        return;
    }
    const auto* const found = known.find(to);
    require(found != nullptr && !found->host.empty() && found->port != 0);
    require(detail::all_are(detail::field_char, found->authorization));
    const auto again = proxies::all(found->to_string());
    require(again.find(to)->host == found->host && again.find(to)->port == found->port);
    const auto asked = detail::connect_request(to, *found);
    require(std::count(asked.begin(), asked.end(), '\n') == (found->authorization.empty() ? 3 : 4));
    known.except(list);
    const bool direct = known.find(to) == nullptr;
    known.except(std::string(list) + ",*");
    require(known.find(to) == nullptr);
    known.except("x.invalid " + std::string(list));
    require((known.find(to) == nullptr) == direct || to.host.ends_with("x.invalid"));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    if (data[0] % 2 == 0) {
        read_settings(text);
        return 0;
    }
    const auto whole = read_answer(text, text.size() + 1);
    for (const std::size_t step : {std::size_t(1), std::size_t(data[0] / 2 + 2)})
        require(read_answer(text, step) == whole);
    return 0;
}
