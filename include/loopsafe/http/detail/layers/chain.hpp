// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_LAYERS_CHAIN_HPP
#define LOOPSAFE_HTTP_DETAIL_LAYERS_CHAIN_HPP

#include <loopsafe/http/layers/layer.hpp>
#include <loopsafe/pool/detail/rules.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace loopsafe::http::detail {

namespace asio = boost::asio;

// A client and the layers around it. Never changed: each request holds the one it was sent by.
class chain {
public:
    explicit chain(std::shared_ptr<last_hop> client) : client_(std::move(client)) {}
    chain(const chain& inner, std::shared_ptr<const layer> added)
        : client_(inner.client_), layers_(inner.layers_)
    {
        check_order(added.get());
        layers_.push_back(std::move(added));
    }

    last_hop& client() const noexcept { return *client_; }
    next outermost() const noexcept { return {*client_, layers_.data(), layers_.size()}; }

private:
    void check_order(const layer* const which) const
    {
        if (which == nullptr)
            loopsafe::detail::refuse_option("http: the layer is a null pointer");
        const auto& added = *which;
        if (added.place() == place::anywhere)
            return;
        for (const auto& each : layers_) {
            if (each->place() == place::anywhere || each->place() < added.place() ||
                (each->place() == place::own && added.place() == place::own))
                continue;
            const std::string name(added.name());
            const std::string inner(each->name());
            loopsafe::detail::refuse_option(
                each->place() == added.place()
                    ? "http: a chain has the layer " + name + " once, not around " + inner
                    : "http: the layer " + name + " belongs inside of " + inner +
                          ": write client | " + name + " | " + inner);
        }
    }

    std::shared_ptr<last_hop> client_;
    std::vector<std::shared_ptr<const layer>> layers_; // the innermost first
};

} // namespace loopsafe::http::detail

#endif
