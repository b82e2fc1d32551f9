// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_MULTIPART_HPP
#define LOOPSAFE_HTTP_MULTIPART_HPP

#include <loopsafe/http/request.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace loopsafe::http {
namespace detail {

struct form_part {
    std::string head; // between the boundary and the content
    request_body content;
    std::string name; // for errors
};

} // namespace detail

/// The parts of a body of the type multipart/form-data, in the order in which they were added: how
/// files are uploaded as a browser does.
///
///     auto r = http::with_parts({"POST", url}, http::multipart{}
///                                                  .text("to", "ann")
///                                                  .file("photo", "me.png", "image/png", bytes));
///
/// No name can end its own: of names and file names, quotes, backslashes and control characters are
/// sent as %22, %5C, %0D, %0A and so on; all else as it is, so that a server expects UTF-8. Of
/// these, WHATWG encodes quotes and line ends; the others are what servers read in several ways.
/// Source: RFC 7578; WHATWG HTML, "multipart form data".
class multipart {
public:
    /// A field of a form.
    multipart& text(std::string_view name, std::string value) &;
    multipart text(std::string_view name, std::string value) &&;

    /// A file, as bytes, or as a function that writes it: `request_body::streamed(make, size)`. If
    /// that may be called a second time, say so there.
    ///
    /// Errors: `error` {`bad_field_value`} in the stage `prepare`, where `type` has a control
    /// character, or is empty.
    multipart& file(std::string_view name, std::string_view filename, std::string_view type,
                    request_body content) &;
    multipart file(std::string_view name, std::string_view filename, std::string_view type,
                   request_body content) &&;

private:
    friend request with_parts(request asked, multipart parts);

    std::vector<detail::form_part> parts_;
};

/// The request with these parts as its body, and `Content-Type: multipart/form-data` with a
/// boundary of 128 random bits in place of what it had. The method stays.
///
/// The body has a length if every file has, and may be sent a second time if every file may. It is
/// in memory where no file is larger than 64 KiB, nor streamed; copies of the request share what is
/// larger. A function that writes a file of a given size must write that much, otherwise the
/// request fails with `bad_length`, which names the file; its trailers are left out. Errors: what
/// `std::random_device` throws.
request with_parts(request asked, multipart parts);

} // namespace loopsafe::http

#include <loopsafe/http/impl/multipart.hpp>

#endif
