// The arrays of one pass, kept between calls.
#pragma once
#include <vector>

#include "memory.hpp"
#include "model.hpp"

namespace painn {

struct Extent {
    int64_t atoms, ghosts, images, entries;
};

class Workspace {
  public:
    // Memory for up to so many atoms and pairs, and so many floats of moments per atom.
    void reserve(const Network& net, const Extent& extent, int64_t moments, bool gradient);
    // A pass over `rows` at `positions` (all atoms, caller's order); features and outputs are the caller's to add.
    Pass prepare(const Network& net, const Rows& rows, int64_t entries, const double* positions);

  private:
    Buffer<float> layer_floats_, adjoints_, gradient_, moments_;
    Buffer<double> positions_;
    Buffer<Pair> pairs_;
    Buffer<int64_t> count_, inner_;
    std::vector<LayerState> layers_;
};

}  // namespace painn
