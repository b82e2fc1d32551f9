// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_AWS_SIGNATURE_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_AWS_SIGNATURE_HPP

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <new>
#include <string>
#include <string_view>

namespace loopsafe::http::detail {

using sha256_hash = std::array<unsigned char, 32>;

inline std::string_view bytes_of(const sha256_hash& hash) noexcept
{
    return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

inline std::string hex_of(const sha256_hash& hash)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const auto byte : hash)
        text.append({digits[byte / 16], digits[byte % 16]});
    return text;
}

inline sha256_hash sha256(std::string_view text)
{
    sha256_hash hash{};
    if (EVP_Digest(text.data(), text.size(), hash.data(), nullptr, EVP_sha256(), nullptr) != 1)
        throw std::bad_alloc(); // nothing else can be wrong
    return hash;
}

inline sha256_hash hmac_sha256(std::string_view key, std::string_view text)
{
    sha256_hash hash{};
    if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data(),
             nullptr) == nullptr)
        throw std::bad_alloc();
    return hash;
}

// Such as "20150830T123600Z".
inline std::string aws_time(std::chrono::system_clock::time_point now)
{
    const auto day = std::chrono::floor<std::chrono::days>(now);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(now - day));
    std::string text;
    const auto add = [&text](long number, std::size_t digits) {
        const auto all = std::to_string(number);
        text.append(digits - all.size(), '0').append(all);
    };
    add(static_cast<int>(date.year()), 4);
    add(static_cast<unsigned>(date.month()), 2);
    add(static_cast<unsigned>(date.day()), 2);
    text += 'T';
    add(time.hours().count(), 2);
    add(time.minutes().count(), 2);
    add(time.seconds().count(), 2);
    return text += 'Z';
}

// For what a signature holds.
struct aws_scope {
    std::string_view time; // see aws_time()
    std::string_view region;
    std::string_view service;

    std::string_view date() const noexcept { return time.substr(0, time.find('T')); }
    std::string text() const
    {
        std::string all(date());
        for (const auto part : {region, service, std::string_view("aws4_request")})
            all.append("/").append(part);
        return all;
    }
};

// The same for all requests of a day.
inline sha256_hash aws_key(const aws_scope& scope, std::string_view secret)
{
    auto key = hmac_sha256(std::string("AWS4").append(secret), scope.date());
    for (const auto part : {scope.region, scope.service, std::string_view("aws4_request")})
        key = hmac_sha256(bytes_of(key), part);
    return key;
}

inline std::string aws_signature(const aws_scope& scope, const sha256_hash& key,
                                 std::string_view canonical_request)
{
    const auto signed_text = std::string("AWS4-HMAC-SHA256\n")
                                 .append(scope.time)
                                 .append("\n")
                                 .append(scope.text())
                                 .append("\n")
                                 .append(hex_of(sha256(canonical_request)));
    return hex_of(hmac_sha256(bytes_of(key), signed_text));
}

// The value of the field Authorization.
inline std::string aws_authorization(const aws_scope& scope, std::string_view key_id,
                                     std::string_view signed_names, std::string_view signature)
{
    return std::string("AWS4-HMAC-SHA256 Credential=")
        .append(key_id)
        .append("/")
        .append(scope.text())
        .append(", SignedHeaders=")
        .append(signed_names)
        .append(", Signature=")
        .append(signature);
}

} // namespace loopsafe::http::detail

#endif
