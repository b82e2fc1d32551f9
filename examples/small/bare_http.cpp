// SPDX-License-Identifier: BSL-1.0
//
// One HTTP GET on a bare socket, for `http` to be compared with: http://ADDRESS:PORT/
#include <arpa/inet.h>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

int main(int words, char** word)
{
    const std::string url = words > 1 ? word[1] : "";
    const auto colon = url.rfind(':');
    ::sockaddr_in server{};
    server.sin_family = AF_INET;
    if (url.rfind("http://", 0) != 0 || colon < 7 ||
        ::inet_pton(AF_INET, url.substr(7, colon - 7).c_str(), &server.sin_addr) != 1)
        return 2;
    server.sin_port = htons(static_cast<std::uint16_t>(std::atoi(url.c_str() + colon + 1)));

    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const std::string request =
        "GET / HTTP/1.1\r\nHost: " + url.substr(7, url.find('/', 7) - 7) + "\r\n\r\n";
    if (::connect(socket, reinterpret_cast<::sockaddr*>(&server), sizeof server) != 0 ||
        ::send(socket, request.data(), request.size(), MSG_NOSIGNAL) < 0)
        return 1;
    std::string answer;
    for (std::size_t all = std::string::npos; answer.size() < all;) {
        std::array<char, 4096> some;
        const auto got = ::recv(socket, some.data(), some.size(), 0);
        if (got <= 0)
            return 1;
        answer.append(some.data(), static_cast<std::size_t>(got));
        const auto end = answer.find("\r\n\r\n");
        const auto length = answer.find("Content-Length: ");
        if (end != std::string::npos && length < end)
            all = end + 4 + std::strtoul(answer.c_str() + length + 16, nullptr, 10);
    }
    ::close(socket);
    std::printf("%s %s\n", answer.substr(9, 3).c_str(),
                answer.c_str() + answer.find("\r\n\r\n") + 4);
    return answer.compare(9, 1, "2") == 0 ? 0 : 1;
}
