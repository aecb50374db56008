// The arrays of one pass, kept between calls.
#pragma once
#include <vector>

#include "memory.hpp"
#include "topology.hpp"

namespace painn {

class Workspace {
  public:
    // Memory for groups of up to so many atoms and pairs, and so many floats of moments per atom.
    void reserve(const Network& net, int64_t atoms, int64_t entries, int64_t moments, bool gradient);
    // A pass over `group` at `positions` (all atoms, caller's order).
    Pass prepare(const Network& net, const Topology& topology, const Group& group, const double* positions);

  private:
    Buffer<float> layer_floats_, adjoints_, gradient_, moments_;
    Buffer<double> positions_;
    Buffer<Pair> pairs_;
    Buffer<int64_t> count_;
    std::vector<LayerState> layers_;
};

}  // namespace painn
