// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_INVOCATION_SERVICE_HPP
#define LOOPSAFE_TESTS_FUZZ_INVOCATION_SERVICE_HPP

// A Runtime API that checks what it is asked, and what has been answered already.

#include "machine.hpp"
#include "program.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace invocations_fuzz {

/// What the handler makes of an event.
inline std::string response_to(std::string_view id, std::string_view event)
{
    std::string text(id);
    text.append(":").append(event);
    if (event.starts_with('b'))
        text.append(20'000, 'x');
    return text;
}

enum class call { next, response, error, start, extension };

/// A request, as far as it has come.
struct request {
    call what = call::next;
    std::string key; // id and nonce of the invocation that it is about
    std::size_t head = 0;
    std::size_t length = 0;
    bool chunked = false;
    bool whole = false;
    std::size_t size = 0; // of all of it, when it is whole
    std::string body;
    bool has_error = false; // behind its chunks

    bool is_answer() const { return what == call::response || what == call::error; }
};

/// The invocations of one key that the handler was called for.
struct known {
    std::vector<std::string> responses;
    unsigned tries = 0;
    unsigned finals = 0; // answers that the service took, and said so
};

class service {
public:
    service(program& steps, unsigned pollers) : steps_(steps), pollers_(pollers) {}
    service(const service&) = delete;
    ~service()
    {
        for (auto& each : sides_)
            ::close(each.descriptor);
        machine::forget_unconnected();
    }

    // What the handler is called with.
    void taken(std::string_view id, std::string_view nonce, std::string_view event)
    {
        steps_.tell("the handler gets ", id, ": ", event.substr(0, 40));
        require(++taken_ <= events_, "a handler is called without an event");
        require(said_.find(id) != said_.npos, "nobody has said this id");
        if (const auto own = own_.find(id); own != own_.end()) {
            require(own->second == event, "a handler gets the event of another");
            own_.erase(own);
        } else {
            require(!id.starts_with("own-event-"), "an event is handled twice");
        }
        last_ = key_of(id, nonce);
        known_[last_].responses.push_back(response_to(id, event));
        answered_last_ = false;
    }

    void stopped()
    {
        for (auto& each : sides_) { // what was asked before
            each.paused = false;
            read(each);
        }
        stopped_ = true;
    }
    void starts_fail() { starts_fail_ = true; } // around each invocation
    bool is_stopped() const { return stopped_; }

    bool connected(int descriptor)
    {
        if (refusals_ != 0) {
            --refusals_;
            answered_last_ = true; // perhaps it was tried
            return false;
        }
        if (narrow_) {
            const int small = 1;
            ::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        }
        sides_.push_back({.descriptor = descriptor, .number = ++connections_});
        steps_.tell("connection ", connections_);
        return true;
    }

    void read_all()
    {
        for (auto& each : sides_) {
            if (!each.paused)
                read(each);
        }
        sides_.remove_if([](const side& s) {
            if (s.gone)
                ::close(s.descriptor);
            return s.gone;
        });
    }

    /// False if nobody waits for an answer.
    bool act(unsigned what, int timeout)
    {
        switch (what) {
        case 0:
        case 1:
        case 2: return answer(200);
        case 3: {
            constexpr int all[] = {200, 202, 204, 301, 400, 403, 410, 413, 418, 429, 500, 503};
            return answer(all[steps_.below(std::size(all))]);
        }
        case 4:
        case 5:
        case 6: return say_anything();
        case 7: field_ = steps_.next(); break;
        case 8: cut_ = steps_.next() + 1; break;
        case 9:
            if (auto* const one = some())
                flush(*one, steps_.next());
            break;
        case 10:
            if (auto* const one = some()) {
                steps_.tell("close ", one->number);
                one->gone = true;
            }
            break;
        case 11:
            if (auto* const one = some()) {
                steps_.tell("end ", one->number);
                ::shutdown(one->descriptor, SHUT_WR);
                one->ended = true;
            }
            break;
        case 12:
            refusals_ = steps_.below(4);
            steps_.tell("refuse ", refusals_, " connections");
            break;
        case 13: pass(timeout, steps_.next()); break;
        case 14: pass(timeout, 0); break;
        default:
            narrow_ = steps_.below(2) != 0;
            if (auto* const one = some())
                one->paused = true;
        }
        return true;
    }

    void pass(int timeout, unsigned how)
    {
        constexpr int all[] = {0, 1, 60, 150, 1000, 31'000, 1'000'000};
        const auto ms = std::max(timeout, all[how % std::size(all)]);
        steps_.tell("pass ", ms, " ms");
        machine::pass(ms);
    }

    /// At the end: all is read, and answered.
    bool finish()
    {
        for (auto& each : sides_) {
            each.paused = false;
            read(each);
            if (!each.out.empty() && !each.gone)
                flush(each, 0);
        }
        return answer(200);
    }

private:
    struct side {
        int descriptor;
        int number;
        std::string in;
        std::string out;
        request now{};
        bool begun = false;  // a head has come
        bool paused = false; // it reads nothing
        bool ended = false;  // it writes nothing more
        bool gone = false;
        std::size_t said = 0;    // bytes, to this request
        int status = 0;          // of a good answer
        bool is_final = false;   // what is in `out` is a good answer to a whole request
        bool is_clean = false;   // between two exchanges
        bool is_spoiled = false; // something was said when nothing was asked
        bool is_last = false;    // the answer said that it closes
    };

    static std::string key_of(std::string_view id, std::string_view nonce)
    {
        return std::string(id).append("\n").append(nonce);
    }

    void read(side& from)
    {
        char some[4096];
        for (;;) {
            const auto n = ::recv(from.descriptor, some, sizeof some, MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN)
                break;
            if (n <= 0) {
                from.gone = true;
                break;
            }
            from.in.append(some, static_cast<std::size_t>(n));
        }
        look(from);
    }

    void look(side& at)
    {
        for (;;) {
            if (!at.begun && !begin(at))
                return;
            if (!at.now.whole && !complete(at))
                return;
            if (at.in.size() == at.now.size)
                return;
            require(at.said != 0 && (!at.is_final || at.out.empty()),
                    "a request before the last was answered");
            at.in.erase(0, at.now.size);
            at.begun = false;
        }
    }

    static std::string field(std::string_view head, std::string_view name)
    {
        const auto line = std::string("\r\n").append(name).append(": ");
        const auto at = head.find(line);
        if (at == head.npos)
            return {};
        const auto from = at + line.size();
        return std::string(head.substr(from, head.find("\r\n", from) - from));
    }

    bool begin(side& at)
    {
        const auto end = at.in.find("\r\n\r\n");
        if (end == at.in.npos)
            return false;
        require(!at.is_spoiled, "a request on a connection on which something is left");
        require(!at.is_last, "a request on a connection that was to be closed");
        const auto head = std::string_view(at.in).substr(0, end + 2);
        at.paused = false;
        for (auto& each : sides_) { // what was asked before
            if (std::exchange(each.paused, false))
                read(each);
        }
        at.now = {};
        at.now.head = end + 4;
        at.begun = true;
        at.said = 0;
        at.is_final = at.is_clean = false;
        const auto line = head.substr(0, head.find("\r\n"));
        steps_.tell("on ", at.number, ": ", line);
        require(field(head, "Host") == "127.0.0.1:1", "a request without its host");
        at.now.chunked = field(head, "Transfer-Encoding") == "chunked";
        const auto length = field(head, "Content-Length");
        at.now.length = static_cast<std::size_t>(std::atol(length.c_str()));
        const bool posts = line.starts_with("POST ");
        require(posts || line.starts_with("GET "), "a method that nobody knows");
        require(line.ends_with(" HTTP/1.1"), "a request line that nobody knows");
        require(at.now.chunked + !length.empty() == posts, "a body without its length");
        auto path = line.substr(posts ? 5 : 4);
        path.remove_suffix(9);
        judge(at.now, path, head, posts);
        return true;
    }

    void judge(request& r, std::string_view path, std::string_view head, bool posts)
    {
        constexpr std::string_view about = "/2018-06-01/runtime/invocation/";
        if (path == "/2018-06-01/runtime/invocation/next") {
            require(!posts && !stopped_, "an event is asked for after stop()");
            require(pollers_ != 1 || answered_last_, "an event is asked for before an answer");
            r.what = call::next;
        } else if (path.starts_with(about)) {
            path.remove_prefix(about.size());
            const auto slash = path.rfind('/');
            const auto what = path.substr(slash);
            require(posts && (what == "/response" || what == "/error"), "an unknown call");
            r.what = what == "/response" ? call::response : call::error;
            r.key = key_of(path.substr(0, slash), field(head, "Lambda-Runtime-Invocation-Id"));
            judge_answer(r, path.substr(0, slash));
        } else if (path.starts_with("/2020-01-01/extension/")) {
            r.what = call::extension;
        } else {
            r.what = call::start;
            require(path == "/2018-06-01/runtime/init/error" ||
                        path == "/2018-06-01/runtime/restore/next" ||
                        path == "/2018-06-01/runtime/restore/error",
                    "an unknown path");
            require(taken_ == 0, "a start when events have come");
        }
    }

    void judge_answer(const request& r, std::string_view id)
    {
        const auto found = known_.find(r.key);
        if (found == known_.end()) { // its handler was not even called
            answered_last_ = true;
            require((stopped_ || starts_fail_) && r.what == call::error &&
                        said_.find(id) != said_.npos,
                    "an answer to what nobody has asked");
            return;
        }
        require(pollers_ != 1 || r.key == last_, "an answer to an earlier invocation");
        auto& all = found->second;
        require(all.finals < all.responses.size(), "an invocation is answered twice");
        require(++all.tries <= 4 * all.responses.size(), "an answer is tried too often");
        answered_last_ = true;
    }

    bool complete(side& at)
    {
        auto& r = at.now;
        const auto rest = std::string_view(at.in).substr(r.head);
        if (!r.chunked) {
            if (rest.size() < r.length)
                return false;
            r.body = rest.substr(0, r.length);
            r.size = r.head + r.length;
        } else if (!read_chunks(r, rest)) {
            return false;
        }
        r.whole = true;
        const auto found = known_.find(r.key);
        if (r.what != call::response || found == known_.end())
            return true;
        const auto& all = found->second.responses;
        require(std::any_of(all.begin(), all.end(),
                            [&](const std::string& one) {
                                return r.has_error ? one.starts_with(r.body) : one == r.body;
                            }),
                "a response that the handler has not made");
        return true;
    }

    static bool read_chunks(request& r, std::string_view rest)
    {
        std::string body;
        for (std::size_t at = 0;;) {
            const auto line = rest.find("\r\n", at);
            if (line == rest.npos)
                return false;
            const std::string digits(rest.substr(at, line - at));
            require(!digits.empty() && digits.find_first_not_of("0123456789abcdef") == digits.npos,
                    "a chunk without its size");
            const auto size = std::strtoul(digits.c_str(), nullptr, 16);
            at = line + 2;
            if (size == 0) {
                const auto end = rest.find("\r\n\r\n", line);
                if (end == rest.npos)
                    return false;
                r.has_error = end != line;
                r.body = std::move(body);
                r.size = r.head + end + 4;
                return true;
            }
            if (rest.size() < at + size + 2)
                return false;
            require(rest.substr(at + size, 2) == "\r\n", "a chunk without its end");
            body.append(rest.substr(at, size));
            at += size + 2;
        }
    }

    // One that waits for an answer, if there is any.
    side* some()
    {
        if (sides_.empty())
            return nullptr;
        const auto waits = [](const side& s) { return s.begun && s.said == 0 && s.out.empty(); };
        const auto count =
            static_cast<unsigned>(std::count_if(sides_.begin(), sides_.end(), waits));
        auto n = steps_.below(static_cast<unsigned>(count != 0 ? count : sides_.size()));
        for (auto& each : sides_) {
            if ((count != 0 && !waits(each)) || n-- != 0)
                continue;
            if (std::exchange(each.paused, false))
                read(each);
            return &each;
        }
        return nullptr;
    }

    bool answer(int status)
    {
        auto* const to = some();
        if (to == nullptr || !to->begun || to->said != 0 || !to->out.empty() || to->ended)
            return false;
        if (to->now.what == call::extension && to->now.length == 0)
            return false; // it stays pending
        std::string text = "HTTP/1.1 " + std::to_string(status) + " Said\r\n";
        std::string body;
        if (to->now.what == call::next && status == 200)
            make_event(text, body);
        else if (status != 200)
            body = "{\"s\":\"no\"}";
        if (const auto how = std::exchange(field_, 0); how == 1) {
            text += "Connection: close\r\n";
            to->is_last = true;
        }
        if (status == 204)
            body.clear();
        else
            text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
        text.append("\r\n").append(body);
        to->out = std::move(text);
        to->status = status;
        to->is_final = to->now.whole;
        steps_.tell("answer on ", to->number, ": ", status);
        note_event(*to, to->out);
        flush(*to, std::exchange(cut_, 0));
        return true;
    }

    void make_event(std::string& text, std::string& body)
    {
        constexpr std::string_view kinds = "etpwibs";
        const auto id = "own-event-" + std::to_string(++made_);
        body.assign(1, kinds[steps_.below(kinds.size())]);
        body += id;
        text += "Lambda-Runtime-Aws-Request-Id: " + id + "\r\n";
        if (field_ % 3 == 2)
            text += "Lambda-Runtime-Invocation-Id: n" + id + "\r\n";
        if (field_ % 4 == 3)
            text += "Lambda-Runtime-Deadline-Ms: 200\r\n";
        own_[id] = body;
    }

    // What it may be taken for.
    void note_event(const side& to, std::string_view bytes)
    {
        if (to.now.what != call::next)
            return;
        if (to.said == 0)
            ++events_;
        said_.append(bytes);
    }

    bool say_anything()
    {
        auto* const to = some();
        std::string bytes;
        for (auto n = steps_.next(); n != 0 && steps_.more(); --n)
            bytes += static_cast<char>(steps_.next());
        if (to == nullptr || to->ended || bytes.empty())
            return to != nullptr;
        steps_.tell("say on ", to->number, ": ", bytes);
        note_event(*to, bytes);
        to->is_spoiled = to->is_spoiled || to->is_clean;
        to->is_final = false;
        to->out += bytes;
        flush(*to, std::exchange(cut_, 0));
        return true;
    }

    // So many bytes; 0: all.
    void flush(side& to, std::size_t most)
    {
        const auto size = most == 0 ? to.out.size() : std::min(most, to.out.size());
        if (size == 0 || to.ended)
            return;
        const auto n = ::send(to.descriptor, to.out.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0) {
            to.gone = n == 0 || errno != EAGAIN;
            return;
        }
        to.said += static_cast<std::size_t>(n);
        to.out.erase(0, static_cast<std::size_t>(n));
        if (!to.is_final || !to.out.empty())
            return;
        to.is_clean = true;
        const auto found = known_.find(to.now.key);
        const bool goes_on = to.now.what == call::response && to.status == 413;
        if (to.now.is_answer() && found != known_.end() && !goes_on)
            ++found->second.finals;
    }

    program& steps_;
    const unsigned pollers_;
    std::list<side> sides_;
    std::map<std::string, known> known_;
    std::map<std::string, std::string, std::less<>> own_; // events that nobody has got
    std::string said_;                                    // for events
    std::string last_;
    int connections_ = 0;
    unsigned made_ = 0;
    unsigned events_ = 0;
    unsigned taken_ = 0;
    unsigned refusals_ = 0;
    unsigned field_ = 0;
    std::size_t cut_ = 0;
    bool answered_last_ = true;
    bool narrow_ = false;
    bool stopped_ = false;
    bool starts_fail_ = false;
};

} // namespace invocations_fuzz

#endif
