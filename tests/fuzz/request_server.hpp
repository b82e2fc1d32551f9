// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_REQUEST_SERVER_HPP
#define LOOPSAFE_TESTS_FUZZ_REQUEST_SERVER_HPP

// What a request of a program is to be, and a server that checks every byte of it: what comes on a
// connection is requests as they were asked for, one after the other, and nothing after one that
// was not sent to its end.

#include "program.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace requests_fuzz {

inline constexpr int most_descriptors = 128;
inline constexpr std::size_t everything = 1'000'000;

// A part of the body of request `id`. Every place looks different, so that it shows what is sent
// twice or left out.
inline std::string_view noise(int id, std::size_t at, std::size_t size)
{
    static const std::string all = [] {
        std::string made(500'000, '\0');
        std::uint32_t x = 1;
        for (auto& c : made) {
            x = x * 1664525 + 1013904223;
            c = static_cast<char>(x >> 24);
        }
        return made;
    }();
    return std::string_view(all).substr(static_cast<std::size_t>(id) * 1000 + at, size);
}

// One step of who makes a body or reads one.
struct step {
    enum class kind {
        transfer,
        cancelled_transfer, // as long as a timer lets it
        nothing,            // an empty part
        wait,
        post,
        fail,
        stop,
        ignore_cancellation,
        trailer,
        last = trailer
    };

    kind what;
    std::size_t size;
};

// What the server does with a request.
struct script {
    enum class when { whole, head, middle, never };
    enum class form { length, chunks, until_close, no_body };
    enum class end { keep, announced_close, close, cut, junk, no_answer };

    when at = when::whole;
    form as = form::length;
    end then = end::keep;
    std::size_t middle = 0; // so much of the body is enough for an answer
    bool stalls = false;    // once it has answered, it reads no more
    unsigned interim = 0;
    int status = 200;
    std::string body;
    std::string text; // head and body
};

// One call of the function that makes a body.
struct making {
    std::size_t next = 0;    // where the next part begins
    std::size_t offered = 0; // so much may be sent
    bool broken = false;     // a write was not finished
    bool refused = false;
    bool finished = false; // it returned
    std::string trailers;
};

struct asked {
    int id = 0;
    std::string method;
    std::string head; // as the server must get it
    bool present = false;
    bool streamed = false;
    std::optional<std::uint64_t> length;
    std::vector<step> steps; // of the body
    std::vector<step> reads; // of the answer, if it is streamed
    bool goes_on = false;    // after an error
    int most_heads = 1;      // more than that would be a replay that does harm
    script answer;
    boost::asio::cancellation_signal signal;

    std::deque<making> made;
    int heads = 0;             // that the server has got
    bool cancelled = false;    // or a part of it was
    bool wrong_length = false; // of what was made
    bool answered = false;
    bool early = false; // before the server had all of the body
    bool whole = false; // the server had all of the body
    bool lost = false;  // the server broke the connection off
    bool ended = false;
    std::string read; // of the answer

    // A request with no reason to wait for a deadline ends without.
    bool waits() const
    {
        const auto takes_time = [](const step& s) {
            return s.what == step::kind::wait || s.what == step::kind::cancelled_transfer;
        };
        return answer.at == script::when::never || answer.stalls ||
               std::any_of(steps.begin(), steps.end(), takes_time) ||
               std::any_of(reads.begin(), reads.end(), takes_time);
    }
    std::size_t offered() const
    {
        std::size_t most = streamed ? 0 : length.value_or(0);
        for (const auto& each : made)
            most = std::max(most, each.offered);
        return most;
    }
};

// The address that all clients of this process connect to.
class listener {
public:
    listener() : descriptor_(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
    {
        sockaddr_un own{};
        own.sun_family = AF_UNIX; // Linux finds a name, outside of the file system
        require(::bind(descriptor_, reinterpret_cast<sockaddr*>(&own), sizeof(sa_family_t)) == 0 &&
                    ::listen(descriptor_, 64) == 0,
                "a UNIX socket for the server");
        name_ = name_of(descriptor_, ::getsockname);
    }

    const std::string& name() const { return name_; }
    int accept() const { return ::accept4(descriptor_, nullptr, nullptr, SOCK_NONBLOCK); }

    // So that a write waits for the server soon.
    void narrow_clients() const
    {
        for (int d = 0; d != most_descriptors; ++d) {
            if (name_of(d, ::getpeername) == name_)
                narrow(d);
        }
    }
    static void narrow(int descriptor)
    {
        const int least = 1;
        ::setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
    }

private:
    template <class F>
    static std::string name_of(int descriptor, F get)
    {
        sockaddr_un found{};
        socklen_t size = sizeof(found);
        constexpr auto before = offsetof(sockaddr_un, sun_path);
        if (get(descriptor, reinterpret_cast<sockaddr*>(&found), &size) != 0 ||
            found.sun_family != AF_UNIX || size <= before)
            return {};
        return std::string(found.sun_path, size - before);
    }

    int descriptor_;
    std::string name_;
};

// The server's side of one connection. It takes and gives no more at once than it is told to.
class side {
public:
    side(int descriptor, std::deque<asked>& all) : descriptor_(descriptor), all_(all) {}
    side(const side&) = delete;
    ~side() { close(); }

    bool is_open() const { return descriptor_ != -1; }

    // True if something has happened.
    bool serve(std::size_t most)
    {
        if (!is_open())
            return false;
        bool moved = receive(most);
        if (!is_open())
            return true;
        answer();
        moved |= send(most);
        if (now_ != nullptr && answered_ && out_.empty())
            moved |= finish();
        return moved;
    }

    // Only idle ones: who is about to use it is told too late.
    void close_idle()
    {
        if (is_open() && now_ == nullptr)
            break_off();
    }

    bool stalls() const { return is_open() && stalls_; }
    void read_on() { stalls_ = false; }

private:
    bool receive(std::size_t most)
    {
        if (stalls_)
            return false;
        std::string some(std::min<std::size_t>(most, 65536), '\0');
        const auto got = ::recv(descriptor_, some.data(), some.size(), MSG_DONTWAIT);
        if (got > 0) {
            in_.append(some, 0, static_cast<std::size_t>(got));
            while (parse()) {}
            return true;
        }
        if (got < 0 && errno == EAGAIN) {
            require(now_ == nullptr || body_done_ || !now_->ended,
                    "a request has ended without its whole body, and its connection is open");
            require(now_ != nullptr || in_.empty() || anything_asked(),
                    "half a head was sent, and the connection is open");
            return false;
        }
        close(); // the client has gone
        return true;
    }

    bool anything_asked() const
    {
        return std::any_of(all_.begin(), all_.end(), [](const asked& r) { return !r.ended; });
    }

    // False where it needs more.
    bool parse()
    {
        if (now_ != nullptr && !body_done_)
            return now_->length || !now_->present ? take_body() : take_chunk();
        if (in_.empty())
            return false;
        if (answered_ && out_.empty())
            now_ = nullptr; // before it had all of the body
        require(now_ == nullptr, "bytes behind a request that was not answered yet");
        require(!last_, "a request on a connection that takes no other");
        const auto end = in_.find("\r\n\r\n");
        if (end == in_.npos) {
            require(std::any_of(all_.begin(), all_.end(),
                                [this](const asked& r) { return r.head.starts_with(in_); }),
                    "half a head that nobody asked for");
            return false;
        }
        const auto head = take(end + 4);
        const auto found = std::find_if(all_.begin(), all_.end(),
                                        [&head](const asked& r) { return r.head == head; });
        require(found != all_.end(), "a head that nobody asked for");
        now_ = &*found;
        require(++now_->heads <= now_->most_heads, "a replay that may do harm");
        got_ = 0;
        left_ = 0;
        interim_ = now_->answer.interim;
        in_chunk_ = answered_ = false;
        junk_.clear();
        body_done_ = !now_->present;
        return true;
    }

    bool take_body()
    {
        const auto size = static_cast<std::size_t>(*now_->length);
        take_bytes(std::min(in_.size(), size - got_));
        body_done_ = got_ == size;
        now_->whole |= body_done_;
        return body_done_;
    }

    bool take_chunk()
    {
        if (left_ != 0) {
            const auto n = std::min(in_.size(), left_);
            take_bytes(n);
            left_ -= n;
            return n != 0;
        }
        if (in_chunk_) {
            if (in_.size() < 2)
                return false;
            require(take(2) == "\r\n", "a chunk does not end where it should");
            in_chunk_ = false;
        }
        const auto end = in_.find("\r\n");
        const auto line = std::string_view(in_).substr(0, end);
        require(line.find_first_not_of("0123456789abcdef") ==
                    (end == line.npos && line.ends_with('\r') ? line.size() - 1 : line.npos),
                "the size of a chunk");
        if (end == in_.npos)
            return false;
        const auto read = std::from_chars(line.data(), line.data() + line.size(), left_, 16);
        require(read.ec == std::errc() && (left_ == 0) == (line == "0"), "the size of a chunk");
        if (left_ == 0)
            return take_trailers();
        take(end + 2);
        in_chunk_ = true;
        return true;
    }

    bool take_trailers()
    {
        const auto end = in_.find("\r\n\r\n"); // begins behind the 0, or behind the last trailer
        if (end == in_.npos)
            return false;
        const auto text = take(end + 4).substr(3);
        require(std::any_of(now_->made.begin(), now_->made.end(),
                            [&](const making& m) {
                                return m.finished && !m.broken && !m.refused && m.offered == got_ &&
                                       m.trailers + "\r\n" == text;
                            }),
                "a body has ended that was not made to its end");
        body_done_ = now_->whole = true;
        return true;
    }

    void take_bytes(std::size_t n)
    {
        require(got_ + n <= now_->offered(), "more of a body than was written");
        require(take(n) == noise(now_->id, got_, n), "a body that nobody wrote");
        got_ += n;
    }

    std::string take(std::size_t n)
    {
        auto taken = in_.substr(0, n);
        in_.erase(0, n);
        return taken;
    }

    void answer()
    {
        if (now_ == nullptr || answered_)
            return;
        const auto& a = now_->answer;
        using when = script::when;
        const bool due = body_done_
                             ? a.at != when::never
                             : a.at == when::head || (a.at == when::middle && got_ >= a.middle);
        while (interim_ != 0) {
            out_ += interim_-- % 2 != 0 ? "HTTP/1.1 100 Continue\r\n\r\n"
                                        : "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
            if (!due)
                return;
        }
        if (!due)
            return;
        answered_ = true;
        if (a.then == script::end::no_answer)
            return;
        now_->answered = true;
        now_->early |= !body_done_;
        stalls_ = a.stalls && !body_done_;
        last_ = a.then != script::end::keep;
        out_ += a.then == script::end::cut ? a.text.substr(0, a.text.size() / 2) : a.text;
        if (a.then == script::end::junk)
            junk_ = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\njunk";
    }

    // The end of an answer and what is no part of it come together, so that the client can know
    // before it uses the connection again.
    bool send(std::size_t most)
    {
        if (out_.empty())
            return false;
        const auto size = std::min(out_.size(), most);
        const auto some = out_.substr(0, size) + (size == out_.size() ? junk_ : std::string());
        const auto sent = ::send(descriptor_, some.data(), some.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN)
                out_.clear(); // the client has gone, which is noticed when it is read from
            return errno != EAGAIN;
        }
        const auto n = static_cast<std::size_t>(sent);
        if (!junk_.empty() && n >= out_.size())
            last_ = n > out_.size(); // or there was no room for it
        out_.erase(0, n);
        return n != 0;
    }

    // The answer is on its way.
    bool finish()
    {
        using end = script::end;
        const auto then = now_->answer.then;
        if (then == end::close || then == end::cut || then == end::no_answer) {
            break_off();
            return true;
        }
        if (!body_done_)
            return false;
        now_ = nullptr;
        return true;
    }

    void break_off()
    {
        if (now_ == nullptr) {
            for (auto& r : all_)
                r.lost |= !r.ended;
        } else {
            const auto then = now_->answer.then;
            now_->lost |= !body_done_ || then == script::end::cut || then == script::end::no_answer;
        }
        close();
    }

    void close()
    {
        if (is_open())
            ::close(std::exchange(descriptor_, -1));
    }

    int descriptor_;
    std::deque<asked>& all_;
    std::string in_;
    std::string out_;
    std::string junk_;
    asked* now_ = nullptr; // its request is here, or its answer not yet
    std::size_t got_ = 0;  // of its body
    std::size_t left_ = 0; // of a chunk
    unsigned interim_ = 0; // to be sent
    bool in_chunk_ = false;
    bool body_done_ = false;
    bool answered_ = false;
    bool stalls_ = false;
    bool last_ = false; // no other request may come
};

} // namespace requests_fuzz

#endif
