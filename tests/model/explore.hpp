// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_TESTS_MODEL_EXPLORE_HPP
#define LOOPSAFE_TESTS_MODEL_EXPLORE_HPP

#include "world.hpp"

#include <string>
#include <vector>

namespace model {

// A set of 128-bit fingerprints: of a hundred million states, two would share one with a
// probability of 10^-23.
class fingerprints {
public:
    struct key {
        std::uint64_t high = 0;
        std::uint64_t low = 0;
        friend bool operator==(const key&, const key&) = default;
    };

    static key of(const encoding& state)
    {
        std::uint64_t a = 0x9e3779b97f4a7c15u + state.size();
        std::uint64_t b = 0xc2b2ae3d27d4eb4fu;
        for (std::size_t i = 0; i < state.size(); i += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, state.data() + i, std::min<std::size_t>(8, state.size() - i));
            a = mix(a ^ word, 0xff51afd7ed558ccdu);
            b = mix(b + word, 0xc4ceb9fe1a85ec53u) ^ a;
        }
        a = mix(a, 0xff51afd7ed558ccdu);
        return {a, mix(b, 0xc4ceb9fe1a85ec53u) | 1};
    }

    void expect(const key& k) const
    {
        __builtin_prefetch(table_.data() + (k.high & (table_.size() - 1)));
    }
    bool insert(const key& k)
    {
        if (2 * (size_ + 1) > table_.size())
            grow();
        auto& place = find(k);
        if (place == k)
            return false;
        place = k;
        ++size_;
        return true;
    }

private:
    static std::uint64_t mix(std::uint64_t x, std::uint64_t factor)
    {
        x *= factor;
        x ^= x >> 32;
        x *= factor;
        return x ^ x >> 29;
    }
    key& find(const key& k)
    {
        auto i = static_cast<std::size_t>(k.high) & (table_.size() - 1);
        while (table_[i].low != 0 && !(table_[i] == k))
            i = (i + 1) & (table_.size() - 1);
        return table_[i];
    }
    void grow()
    {
        std::vector<key> old(std::max<std::size_t>(1024, 2 * table_.size()));
        old.swap(table_);
        for (const auto& k : old) {
            if (k.low != 0)
                find(k) = k;
        }
    }

    std::vector<key> table_;
    std::size_t size_ = 0;
};

struct outcome {
    std::uint64_t states = 0;
    std::uint64_t transitions = 0;
    int depth = 0;         // events in the longest history
    bool complete = false; // there are no other states, however long the history
    std::string violation; // with its history
    census seen;
};

// Every history, shortest first. A state is kept as the event that leads to it and its parent; to
// come back to it, the pool is driven there again, from the nearest state on the way whose bytes
// are still at hand.
class explorer {
public:
    explorer(const settings& s, int depth) : settings_(s), depth_(depth) {}

    outcome run()
    {
        std::construct_at(world_, settings_);
        save(0);
        path_.assign(1, 0);
        nodes_.push_back({});
        std::vector<std::uint32_t> layer{0};
        std::vector<std::uint32_t> next;
        seen_.insert(current());
        try {
            for (int depth = 0; depth <= depth_ && !layer.empty(); ++depth) {
                for (std::size_t i = 0; i < layer.size(); ++i)
                    expand(layer[i], false, layer);
                next.clear();
                if (depth < depth_) {
                    for (const auto from : layer)
                        expand(from, true, next);
                }
                result_.depth = depth;
                result_.complete = next.empty() && depth < depth_;
                layer.swap(next);
            }
        } catch (const violation& v) {
            result_.violation = std::string("violated: ") + v.what() + history();
        }
        result_.states = nodes_.size();
        world_->unpoison();
        return std::move(result_);
    }

private:
    struct node {
        std::uint32_t parent = 0;
        step by;
        std::uint8_t steps = 0; // from the start
    };

    void expand(std::uint32_t from, bool events, std::vector<std::uint32_t>& found)
    {
        go_to(from);
        few<step, 64> possible;
        world_->each_step([&](step s) {
            if (is_event(s.what) == events)
                possible.push_back(s);
        });
        const auto steps = nodes_[from].steps;
        few<fingerprints::key, 64> reached;
        for (const auto& s : possible) {
            if (&s != possible.begin())
                restore(steps);
            tried_ = s;
            at_ = from;
            world_->perform(s, result_.seen);
            reached.push_back(current());
            seen_.expect(reached[reached.size() - 1]);
        }
        result_.transitions += possible.size();
        for (std::size_t i = 0; i < possible.size(); ++i) {
            if (!seen_.insert(reached[i]))
                continue;
            expect(steps < 255, "the model can remember this history");
            found.push_back(static_cast<std::uint32_t>(nodes_.size()));
            nodes_.push_back({from, possible[i], static_cast<std::uint8_t>(steps + 1)});
        }
    }

    void go_to(std::uint32_t target)
    {
        way_.clear();
        auto n = target;
        while (nodes_[n].steps >= path_.size() || path_[nodes_[n].steps] != n) {
            way_.push_back(n);
            n = nodes_[n].parent;
        }
        path_.resize(nodes_[n].steps + 1u);
        restore(nodes_[n].steps);
        census nothing;
        for (; !way_.empty(); way_.pop_back()) {
            world_->perform(nodes_[way_.back()].by, nothing);
            path_.push_back(way_.back());
            save(nodes_[way_.back()].steps);
        }
    }

    fingerprints::key current() const
    {
        encoding state;
        world_->encode(state);
        return fingerprints::of(state);
    }

    void save(std::size_t step)
    {
        if (copies_.size() <= step)
            copies_.resize(step + 1);
        if (copies_[step] == nullptr)
            copies_[step] = std::make_unique<std::byte[]>(sizeof(world));
        world_->unpoison();
        std::memcpy(copies_[step].get(), memory_, sizeof(world));
        world_->poison();
    }
    void restore(std::size_t step)
    {
        world_->unpoison();
        std::memcpy(memory_, copies_[step].get(), sizeof(world));
        world_->poison();
    }

    std::string history() const
    {
        std::vector<step> way{tried_};
        for (auto n = at_; n != 0; n = nodes_[n].parent)
            way.push_back(nodes_[n].by);
        std::string text;
        for (auto s = way.rbegin(); s != way.rend(); ++s)
            text += "\n    " + to_string(*s);
        return text;
    }

    const settings& settings_;
    const int depth_;
    outcome result_;
    std::vector<node> nodes_;
    fingerprints seen_;
    std::vector<std::uint32_t> path_; // the nodes whose bytes are in copies_
    std::vector<std::uint32_t> way_;
    std::vector<std::unique_ptr<std::byte[]>> copies_;
    step tried_;
    std::uint32_t at_ = 0;
    alignas(world) std::byte memory_[sizeof(world)];
    world* const world_ = reinterpret_cast<world*>(memory_);
};

} // namespace model

#endif
