// SPDX-License-Identifier: BSL-1.0
// Whatever a server calls encoded content, however it is cut and however little room there is for
// what it stands for: no crash, no byte beyond the room, no more memory than the coding may take,
// and the same verdict for every cut. The first byte names the codings, the second says how it is
// cut.

#include "require.hpp"

#include <loopsafe/http/detail/coding/body_decoder.hpp>
#include <loopsafe/http/layers/brotli.hpp>
#include <loopsafe/http/layers/gzip.hpp>
#include <loopsafe/http/layers/zstd.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <sanitizer/allocator_interface.h>
#include <string>
#include <string_view>

namespace {

using namespace loopsafe::http;
using loopsafe::error_code;

constexpr std::size_t mib = 1024 * 1024;
constexpr std::size_t most_room = 16 * 1024;
constexpr std::size_t enough = 256 * 1024; // of what it stands for

constexpr std::array all_codings{&gzip, &loopsafe::http::deflate, &brotli, &zstd};
constexpr std::array<std::size_t, 4> memory{mib, mib, 20 * mib, 10 * mib};

struct verdict {
    error_code ec;
    std::string text;
    bool unfinished = false;
};

// Into `v`, which keeps its memory for the next time.
void decode(verdict& v, unsigned how, std::string_view body, std::size_t step, std::size_t room)
{
    detail::applied_codings applied;
    std::size_t most = 0;
    const auto add = [&](unsigned which) {
        applied.each[applied.size++] = all_codings[which];
        most += memory[which];
    };
    add(how & 3);
    if ((how & 4) != 0)
        add(how >> 3 & 3);
    static std::string part(most_room + 1, '\0');
    v.ec = {};
    v.text.clear();
    v.text.reserve(enough + most_room);
    v.unfinished = false;
    const auto before = __sanitizer_get_current_allocated_bytes();
    detail::body_decoder decoder(applied);
    for (bool last = false; !last && !v.ec && !v.unfinished;) {
        const auto next = body.substr(0, step);
        body.remove_prefix(next.size());
        last = next.empty();
        decoder.put(next);
        for (;;) {
            part[room] = '!';
            const auto n = decoder.take(boost::asio::buffer(part.data(), room), v.ec);
            require(n <= room && part[room] == '!');
            require(!v.ec || n == 0);
            require(__sanitizer_get_current_allocated_bytes() < before + most);
            v.text.append(part, 0, n);
            v.unfinished = v.text.size() >= enough;
            if ((n == 0 && !decoder.is_pausing()) || v.unfinished)
                break;
        }
    }
    if (v.ec) { // for good
        error_code again;
        require(decoder.take(boost::asio::buffer(part.data(), room), again) == 0 && again == v.ec);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size < 2)
        return 0;
    const std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
    const unsigned how = data[0];
    const std::size_t step = data[1] / 2 + 1;
    const std::size_t room = (data[1] & 1) != 0 ? step : 4096;
    static std::array<verdict, 3> all;
    const auto& whole = all[0];
    decode(all[0], how, body, std::max<std::size_t>(body.size(), 1), most_room);
    decode(all[1], how, body, step, room);
    decode(all[2], how, body, 1, 4096);
    for (const auto& other : all) {
        const auto common = std::min(whole.text.size(), other.text.size());
        require(whole.text.compare(0, common, other.text, 0, common) == 0);
        if (whole.unfinished || other.unfinished)
            continue;
        require(other.ec == whole.ec);
        require(whole.ec || other.text.size() == whole.text.size());
    }
    return 0;
}
