// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_HTTP_DETAIL_CONNECTION_ANSWER_FORECAST_HPP
#define LOOPSAFE_HTTP_DETAIL_CONNECTION_ANSWER_FORECAST_HPP

namespace loopsafe::http::detail {

// Predicts whether a response will have arrived by the time that everything else that is ready has
// had its turn. With many busy connections that is likely, and reading earlier would be a system
// call for nothing, followed by a wait. After wrong predictions, it is tried ever more rarely.
class answer_forecast {
public:
    bool is_soon() noexcept
    {
        if (trials_left_out_ == 0)
            return true;
        --trials_left_out_;
        return false;
    }

    // The outcome, after is_soon() was true.
    void came(bool in_time) noexcept
    {
        misses_ = in_time ? 0 : misses_ == most ? most : misses_ + 1;
        trials_left_out_ = misses_ == 0 ? 0 : (1u << misses_) - 2; // none for the first
    }

private:
    static constexpr unsigned most = 8;

    unsigned misses_ = 0; // in a row
    unsigned trials_left_out_ = 0;
};

} // namespace loopsafe::http::detail

#endif
