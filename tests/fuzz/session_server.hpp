// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_FUZZ_SESSION_SERVER_HPP
#define LOOPSAFE_TESTS_FUZZ_SESSION_SERVER_HPP

// As much of a PostgreSQL server as libpq needs for statements of two words: `ask 7` is answered
// with a row, `fail 7` with an error, `die 7` with the end of the connection. It answers one
// message at a time, when it is told to.

#include "program.hpp"

#include <cerrno>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace sessions_fuzz {

// Linux finds its name outside of the file system.
class listener {
public:
    listener() : descriptor_(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
    {
        const auto path = host().substr(1) + "/.s.PGSQL.5432";
        sockaddr_un own{};
        own.sun_family = AF_UNIX;
        path.copy(own.sun_path + 1, path.size());
        const auto size = offsetof(sockaddr_un, sun_path) + 1 + path.size();
        require(::bind(descriptor_, reinterpret_cast<sockaddr*>(&own),
                       static_cast<socklen_t>(size)) == 0 &&
                    ::listen(descriptor_, 64) == 0,
                "a UNIX socket for the server");
    }

    static std::string host() { return "@loopsafe-fuzz-" + std::to_string(::getpid()); }
    int accept() const { return ::accept4(descriptor_, nullptr, nullptr, SOCK_NONBLOCK); }

private:
    int descriptor_;
};

// The server's side of one connection. `heard` is told of each statement that it carries out.
class side {
public:
    using listens = std::function<void(int backend, std::string_view sql)>;

    side(int descriptor, int backend, const listens& heard)
        : descriptor_(descriptor), backend_(backend), heard_(heard)
    {
    }
    side(const side&) = delete;
    ~side() { close(); }

    bool is_open() const { return descriptor_ != -1; }

    void close()
    {
        if (is_open())
            ::close(std::exchange(descriptor_, -1));
    }

    // Takes and answers one message. False if there is none.
    bool serve()
    {
        read();
        if (!is_open())
            return false;
        const std::size_t before = begun_ ? 1 : 0;
        if (in_.size() < before + 4)
            return false;
        const auto size = number(in_.data() + before);
        if (in_.size() < before + size)
            return false;
        const char kind = begun_ ? in_[0] : '\0';
        const auto body = in_.substr(before + 4, size - 4);
        in_.erase(0, before + size);
        take(kind, body);
        if (is_open() && !out_.empty())
            require(::send(descriptor_, out_.data(), out_.size(), MSG_NOSIGNAL) ==
                            static_cast<ssize_t>(out_.size()) ||
                        errno == EPIPE || errno == ECONNRESET,
                    "a socket that takes an answer");
        out_.clear();
        return true;
    }

private:
    void read()
    {
        char some[4096];
        while (is_open()) {
            const auto n = ::recv(descriptor_, some, sizeof some, 0);
            if (n > 0)
                in_.append(some, static_cast<std::size_t>(n));
            else if (n == 0 || errno != EAGAIN)
                close();
            else
                return;
        }
    }

    static std::uint32_t number(const char* at)
    {
        std::uint32_t n = 0;
        for (int i = 0; i != 4; ++i)
            n = n << 8 | static_cast<unsigned char>(at[i]);
        return n;
    }

    static std::string bytes(std::uint32_t n, int count = 4)
    {
        std::string made;
        while (count-- != 0)
            made += static_cast<char>(n >> count * 8);
        return made;
    }

    void say(char kind, const std::string& body)
    {
        out_ += kind + bytes(static_cast<std::uint32_t>(body.size() + 4)) + body;
    }

    static std::string word(std::string_view& from) // up to its NUL
    {
        const auto end = from.find('\0');
        require(end != std::string_view::npos, "a text of libpq's has an end");
        const std::string made(from.substr(0, end));
        from.remove_prefix(end + 1);
        return made;
    }

    void take(char kind, std::string_view body)
    {
        switch (kind) {
        case '\0': begin(); return;
        case 'Q':
            carry_out(word(body));
            ready();
            return;
        case 'S': ready(); return;
        case 'X': close(); return;
        default: break;
        }
        if (failed_) // until the next Sync
            return;
        if (kind == 'P') {
            const auto name = word(body);
            statements_[name] = word(body);
            say('1', "");
        } else if (kind == 'B') {
            word(body);
            current_ = statements_[word(body)];
            say('2', "");
        } else if (kind == 'D') {
            if (current_.starts_with("ask"))
                describe();
            else
                say('n', "");
        } else if (kind == 'E') {
            carry_out(current_, false);
        }
    }

    void begin()
    {
        begun_ = true;
        say('R', bytes(0));
        const auto set = [this](std::string name, std::string value) {
            say('S', name + '\0' + value + '\0');
        };
        set("server_version", "15.0");
        set("client_encoding", "UTF8");
        set("standard_conforming_strings", "on");
        set("integer_datetimes", "on");
        say('K', bytes(static_cast<std::uint32_t>(backend_)) + bytes(7));
        ready();
    }

    void describe()
    {
        say('T', bytes(1, 2) + 'v' + '\0' + bytes(0) + bytes(0, 2) + bytes(25) + bytes(0xffff, 2) +
                     bytes(0xffffffff) + bytes(0, 2));
    }

    void carry_out(const std::string& sql, bool simple = true)
    {
        heard_(backend_, sql);
        if (sql.starts_with("die")) {
            close();
        } else if (sql.starts_with("fail")) {
            failed_ = true;
            status_ = status_ == 'T' ? 'E' : status_;
            const auto field = [](char key, const char* text) {
                return key + (text + std::string(1, '\0'));
            };
            say('E', field('S', "ERROR") + field('V', "ERROR") + field('C', "23505") +
                         field('M', "scripted") + '\0');
        } else if (sql.starts_with("ask")) {
            if (simple)
                describe();
            say('D', bytes(1, 2) + bytes(static_cast<std::uint32_t>(sql.size())) + sql);
            say('C', std::string("SELECT 1") + '\0');
        } else {
            if (sql.starts_with("begin"))
                status_ = 'T';
            else if (sql.starts_with("commit") || sql.starts_with("rollback"))
                status_ = 'I';
            if (sql == "discard all" || sql == "DISCARD ALL")
                statements_.clear();
            say('C', sql + '\0');
        }
    }

    void ready()
    {
        failed_ = false;
        if (is_open())
            say('Z', std::string(1, status_));
    }

    int descriptor_;
    int backend_;
    const listens& heard_;
    std::string in_;
    std::string out_;
    std::map<std::string, std::string> statements_;
    std::string current_;
    char status_ = 'I';
    bool begun_ = false;
    bool failed_ = false;
};

} // namespace sessions_fuzz

#endif
