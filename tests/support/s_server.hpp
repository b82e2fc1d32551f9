// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_SUPPORT_S_SERVER_HPP
#define LOOPSAFE_TESTS_SUPPORT_S_SERVER_HPP

#include <loopsafe/tls/options.hpp>

#include <doctest/doctest.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <memory>
#include <spawn.h>
#include <string>
#include <string_view>
#include <support/certificates.hpp>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

/// The TLS of another program.
namespace s_server_test {

using arguments = std::vector<std::string>;

/// One `openssl s_server` for one connection, which ends with that, or at the latest with this
/// object. Unless told otherwise it sends what it is told, and shows what it gets.
class s_server {
public:
    explicit s_server(const arguments& how)
    {
        arguments words{"openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1"};
        words.insert(words.end(), how.begin(), how.end());
        std::vector<char*> argv;
        for (auto& word : words)
            argv.push_back(word.data());
        argv.push_back(nullptr);
        std::array<int, 2> in{};
        std::array<int, 2> out{};
        REQUIRE(::pipe2(in.data(), O_CLOEXEC) == 0);
        REQUIRE(::pipe2(out.data(), O_CLOEXEC) == 0);
        posix_spawn_file_actions_t files;
        ::posix_spawn_file_actions_init(&files);
        ::posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO);
        ::posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
        ::posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        const int spawned =
            ::posix_spawnp(&process_, "openssl", &files, nullptr, argv.data(), environ);
        ::posix_spawn_file_actions_destroy(&files);
        ::close(in[0]);
        ::close(out[1]);
        input_ = in[1];
        output_.reset(::fdopen(out[0], "r"));
        REQUIRE(spawned == 0);
        const auto text = await_line("ACCEPT ");
        port_ = text.substr(text.rfind(':') + 1, text.find_last_not_of("\r\n") - text.rfind(':'));
    }
    s_server(const s_server&) = delete;
    s_server& operator=(const s_server&) = delete;
    ~s_server()
    {
        kill();
        ::close(input_);
    }

    const std::string& port() const noexcept { return port_; }

    void say(std::string_view text) const
    {
        REQUIRE(::write(input_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }

    /// The next line it prints that begins so.
    std::string await_line(std::string_view beginning) const
    {
        std::array<char, 256> line{};
        for (;;) {
            REQUIRE(std::fgets(line.data(), line.size(), output_.get()) != nullptr);
            if (std::string_view(line.data()).starts_with(beginning))
                return line.data();
        }
    }

    /// It says no good-bye.
    void kill() noexcept
    {
        if (process_ > 0) {
            ::kill(process_, SIGKILL);
            ::waitpid(process_, nullptr, 0);
        }
        process_ = 0;
    }

private:
    struct closer {
        void operator()(std::FILE* file) const noexcept { std::fclose(file); }
    };

    pid_t process_ = 0;
    int input_ = -1;
    std::unique_ptr<std::FILE, closer> output_;
    std::string port_;
};

/// A root, and what it signs.
struct authority {
    certificates::directory directory;
    certificates::identity root = certificates::make({.alternative = "", .authority = true});

    authority() { root.save(file("root.pem")); }

    std::string file(const char* name) const { return directory.file(name); }

    /// What s_server is told to present itself with.
    arguments presents(const certificates::identity& who, const char* name = "server",
                       const arguments& more = {}) const
    {
        const auto certificate = directory.file(std::string(name) + ".pem");
        const auto key = directory.file(std::string(name) + ".key");
        who.save(certificate, key);
        arguments all{"-cert", certificate, "-key", key};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    certificates::identity issue(const certificates::wanted& what) const
    {
        return certificates::make(what, &root);
    }
    loopsafe::tls_options trusted() const
    {
        loopsafe::tls_options options;
        options.trusted_file = file("root.pem");
        return options;
    }
};

/// A certificate as it goes wrong in life, and what is said of it.
struct certificate_case {
    std::string what;
    certificates::identity who;
    std::string name;     ///< of the server, for the client
    std::string expected; ///< empty: it serves
};

inline std::vector<certificate_case> certificate_cases(const authority& a)
{
    const certificates::wanted localhost;
    const std::string where = "; see tls_options::server_name, and the names in the certificate "
                              "(openssl s_client -showcerts)";
    const std::string trust =
        "; if the certificate is right, set tls_options::trusted_file to its root";
    const auto between = a.issue({.alternative = "", .authority = true});
    const auto other = certificates::make({.alternative = "", .authority = true});
    std::vector<certificate_case> all;
    const auto add = [&](const char* what, certificates::identity who, const char* name,
                         std::string expected) {
        all.push_back({what, std::move(who), name, std::move(expected)});
    };
    add("as it should be", a.issue(localhost), "localhost", "");
    add("expired", a.issue({.starts_in = -120, .ends_in = -60}), "localhost",
        "certificate has expired");
    add("not yet valid", a.issue({.starts_in = 60}), "localhost", "certificate is not yet valid");
    add("wrong host", a.issue({.alternative = "DNS:other.example"}), "localhost",
        "hostname mismatch" + where);
    add("common name only", a.issue({.alternative = "", .common_name = "localhost"}), "localhost",
        "hostname mismatch" + where);
    add("address", a.issue({.alternative = "IP:127.0.0.1"}), "127.0.0.1", "");
    add("address as a name", a.issue({.alternative = "DNS:127.0.0.1"}), "127.0.0.1",
        "IP address mismatch" + where);
    add("wildcard", a.issue({.alternative = "DNS:*.example.org"}), "a.example.org", "");
    add("wildcard too deep", a.issue({.alternative = "DNS:*.example.org"}), "a.b.example.org",
        "hostname mismatch" + where);
    add("self-signed", certificates::make(localhost), "localhost",
        "self-signed certificate" + trust);
    add("unknown root", certificates::make(localhost, &other), "localhost",
        "unable to get local issuer certificate" + trust);
    add("missing intermediate", certificates::make(localhost, &between), "localhost",
        "unable to get local issuer certificate" + trust);
    return all;
}

} // namespace s_server_test

#endif
