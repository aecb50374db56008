// The network of a training step: where its parameters lie in the flat array, and their packs.
#pragma once
#include <deque>
#include <vector>

#include "../memory.hpp"
#include "state.hpp"

namespace painn::training {

template <class T>
class Weights {
  public:
    Weights(const PainnTrainingSizes& sizes, const PainnHeadSpec* heads);
    Weights(const Weights&) = delete;

    // Packs the parameters that `flat` holds now; a layer alone after it has changed.
    void pack(const Kernels<T>& kernels, const T* flat);

    Network<T> net;
    std::vector<Dense<T>*> layers;  // all, in the order of their parameters

  private:
    int64_t next();
    void dense(Dense<T>& layer, int in_1, int in_2, int out_1, int out_2, bool bias = true);
    void readout(Readout<T>& readout, const PainnHeadSpec& head);
    void other(OtherHead<T>& head, const PainnHeadSpec& given);
    void reserve();

    const PainnTrainingSizes& sizes_;
    int64_t used_ = 0;
    std::vector<Interaction<T>> sets_;
    std::vector<Filter<T>> filters_;
    std::vector<OtherHead<T>> heads_;
    std::deque<std::vector<Dense<T>>> hidden_;
    std::deque<std::vector<GatedBlock<T>>> blocks_;
    std::deque<std::vector<double>> tables_;
    Buffer<T> packs_;
};

}  // namespace painn::training
