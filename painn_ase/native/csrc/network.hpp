// The network's weights, packed for one set of kernels, and the memory that holds them.
#pragma once
#include <deque>
#include <map>
#include <vector>

#include "memory.hpp"
#include "model.hpp"
#include "painn.h"

namespace painn {

enum Direction { FORWARD = 1, REVERSE = 2, BOTH = 3 };

// A matrix axis made of pieces, each of which is padded to whole blocks of channels.
using Axis = std::vector<int>;

class Weights {
  public:
    Weights(const PainnSizes& sizes, const Kernels* kernels);

    Network net{};
    std::vector<Head> heads;

    bool set_linear(int which, int set, const float* weight, const float* bias);
    void set_filter(int set, const double* coefficients);
    void set_embedding(const float* embedding, const float* context);
    void set_radial(int radial, const double* coefficients, const double* weights);
    // The first message for structures of these elements, or null where the general form is cheaper.
    const Moments* moments(const std::vector<int32_t>& elements);
    void add_head(const PainnHeadSpec& spec);
    const Head* head(int kind) const;
    int64_t scratch_per_atom() const;  // floats that the largest kernel needs for each atom of a chunk

  private:
    Linear linear(const float* weight, const float* bias, const Axis& outputs, const Axis& inputs, int directions);
    void tabulate(const double* coefficients, int filters, int width, const float** anchors, const float** slopes);
    const float* copy(const float* values, size_t count, size_t padded_count);

    const Kernels* kernels_;
    std::deque<Buffer<float>> floats_;
    std::deque<std::vector<double>> doubles_;
    std::deque<std::vector<Linear>> layers_;
    std::deque<std::vector<Gated>> gated_;
    std::vector<Interaction> sets_;
    std::vector<const float*> anchors_, slopes_;
    Moments radial_;                      // what does not depend on the elements
    std::vector<double> radial_weights_;  // (radial, 2, F)
    std::vector<float> first_mix_;        // (2F, F)
    std::map<std::vector<int32_t>, Moments> moments_;
};

}  // namespace painn
