// Sets of atoms that are joined pair by pair, numbered by their first atom.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace painn {

class Joined {
  public:
    explicit Joined(int64_t atoms) : parent_(atoms) { std::iota(parent_.begin(), parent_.end(), 0); }

    void join(int32_t i, int32_t j) {
        const int32_t one = root(i), other = root(j);
        parent_[std::max(one, other)] = std::min(one, other);
    }

    // (atoms) the set of each, counted in the order of their first atoms.
    std::vector<int32_t> sets() {
        std::vector<int32_t> of(parent_.size());
        int32_t count = 0;
        for (int32_t i = 0; i < (int32_t)of.size(); i++) {
            const int32_t first = root(i);  // no root comes after one of its atoms
            of[i] = first == i ? count++ : of[first];
        }
        return of;
    }

  private:
    int32_t root(int32_t i) {
        while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
        return i;
    }

    std::vector<int32_t> parent_;  // of a tree of joined atoms; a root is its own
};

}  // namespace painn
