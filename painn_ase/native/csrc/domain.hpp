// One domain of a structure at work: the engine's rounds on atoms with ghosts, stopped where features must be exchanged.
#pragma once
#include <string>
#include <vector>

#include "network.hpp"
#include "painn_domain.h"
#include "rounds.hpp"
#include "workspace.hpp"

namespace painn {

class Domain {
  public:
    Domain(Weights& weights, const Kernels& kernels, std::vector<int32_t> elements, int threads);

    std::string error;

    void set(const PainnDomainAtoms& given);
    void forward(int t, const double* positions);
    void backward(int t);
    void read(double* energies, double* forces, double* virial, double* virials);

    // Calls work(floats of one atom and block of channels, their place in the buffer, how many they are, whether they are
    // seen as an image).
    template <class Work>
    void border(int kind, int64_t count, const int32_t* atoms, int64_t first, Work work) const {
        const int blocks = weights_.net.blocks, width = painn_border_width(weights_.net.F, kind), unit = width / blocks;
        float* array = kind == PAINN_NODES ? pass_.layers[said_].node : pass_.heard;
        for (int64_t k = 0; k < count; k++) {
            const int64_t place = place_[atoms ? atoms[k] : first + k], node = node_[place];
            for (int b = 0; b < blocks; b++)
                work(array + (b * pass_.rows.all() + node) * unit, k * width + b * unit, unit, node != place);
        }
    }

  private:
    void order_atoms(const PainnDomainAtoms& given);
    void number_atoms(const PainnDomainAtoms& given);
    void make_rows(const PainnDomainAtoms& given);
    template <class Work>
    void run(Work work);

    Weights& weights_;
    const Rounds rounds_;
    const Head* energy_ = nullptr;
    std::vector<int32_t> elements_, number_, species_, owner_, neighbor_, node_;
    std::vector<int64_t> start_, order_, place_;  // order_: place in the caller's arrays; place_: of the caller's atoms
    const int threads_;
    int64_t owned_ = 0, ghosts_ = 0, images_ = 0;  // ghosts_: of others
    int said_ = 0;                                 // the layer whose messages atoms have ready
    Pool pool_;
    Workspace workspace_;
    Buffer<float> features_, outputs_, scratch_;
    Pass pass_{};
};

}  // namespace painn

struct PainnDomain {
    painn::Domain domain;
};
