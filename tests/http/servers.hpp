// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_HTTP_SERVERS_HPP
#define LOOPSAFE_TESTS_HTTP_SERVERS_HPP

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

/// Servers that others wrote, which tests/tools/with_http_servers has started.
namespace http_test {

inline std::string variable(const char* name)
{
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0')
        throw std::runtime_error(std::string(name) +
                                 " is not set: run this through tests/tools/with_http_servers");
    return value;
}

/// Of a server by its name. The second of a proxy wants a user and a password: "ann", "secret".
inline std::string port_of(const std::string& server, bool second)
{
    std::ifstream lines(variable("LOOPSAFE_HTTP_SERVERS"));
    for (std::string name, one, other; lines >> name >> one >> other;) {
        if (name == server)
            return second ? other : one;
    }
    throw std::runtime_error("there is no server " + server);
}

inline std::string contents(const std::string& file)
{
    std::ifstream in(file, std::ios::binary);
    if (!in)
        throw std::runtime_error("there is no file " + file);
    std::ostringstream all;
    if (in.peek() != std::ifstream::traits_type::eof())
        all << in.rdbuf();
    return std::move(all).str();
}

} // namespace http_test

#endif
