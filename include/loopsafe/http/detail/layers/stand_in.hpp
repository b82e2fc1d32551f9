// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_STAND_IN_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_STAND_IN_HPP

#include <loopsafe/http/layers/exchange.hpp>

namespace loopsafe::http::detail {

// Takes what is lent in the place of another recipient. However it ends, that one is back then: a
// layer further out may send the request again.
class stand_in : public recipient {
public:
    // Before each request, since a layer further in may have left another one.
    void step_in() noexcept { x_.to = this; }

protected:
    explicit stand_in(exchange& x) noexcept : outer(x.to), x_(x) {}
    ~stand_in() { x_.to = outer; }

    recipient* const outer;

private:
    exchange& x_;
};

} // namespace loopsafe::http::detail

#endif
