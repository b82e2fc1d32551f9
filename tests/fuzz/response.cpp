// SPDX-License-Identifier: BSL-1.0
// Whatever a server sends, however it is cut: no crash, no byte read twice or lost, no more kept
// than the limits allow, and the same verdict for every cut, errors included. The first byte says
// how it is cut.

#include "require.hpp"

#include <loopsafe/http/detail/wire/response_decoder.hpp>

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
    bool kept = false;
    std::string left;
    std::string shown; // all that the caller gets to see

    bool operator==(const verdict&) const = default;
};

verdict decode(std::string_view text, bool to_head, std::size_t step_size)
{
    limits most;
    most.head_bytes = 2000;
    most.fields = 20;
    most.chunk_extension_bytes = 100;
    most.trailer_bytes = 200;
    response answer;
    detail::response_decoder decoder(most, to_head, answer, answer.trailers);
    verdict v;
    std::string buffered;
    error_code ec;
    while (!text.empty() && !decoder.done() && !ec) {
        const auto size = std::min(step_size, text.size());
        buffered.append(text.substr(0, size));
        text.remove_prefix(size);
        while (!buffered.empty() && !decoder.done() && !ec) {
            const bool in_head = !decoder.head_done();
            const auto step = decoder.put(buffered, ec);
            require(step.used <= buffered.size());
            require(step.body.size() <= step.used);
            answer.body.append(step.body);
            buffered.erase(0, step.used);
            if (in_head && !decoder.head_done())
                break;
            require(ec || step.used != 0 || in_head);
        }
        require(decoder.head_done() || buffered.size() < most.head_bytes + step_size + 1);
    }
    if (!ec && !decoder.done())
        decoder.end_of_stream(ec);
    v.ec = ec;
    v.done = decoder.done() && !ec;
    v.kept = v.done && decoder.keeps_alive();
    if (!v.done)
        return v;
    require(answer.status >= 0 && answer.status <= 999 && answer.status / 100 != 1);
    require(answer.headers.size() <= most.fields && answer.trailers.size() <= most.fields);
    require(!to_head || answer.body.empty());
    v.left = buffered + std::string(text);
    v.shown = std::to_string(answer.status) + ' ' + answer.reason + '\n';
    for (const auto* some : {&answer.headers, &answer.trailers})
        for (const auto [name, value] : *some) {
            require(detail::is_token(name) && detail::all_are(detail::field_char, value));
            v.shown += std::string(name) + ':' + std::string(value) + '\n';
        }
    v.shown += answer.body;
    return v;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const bool to_head = (data[0] & 1) != 0;
    const auto whole = decode(text, to_head, text.size() + 1);
    for (const std::size_t step : {std::size_t(1), std::size_t(data[0] / 2 + 2)})
        require(decode(text, to_head, step) == whole);
    return 0;
}
