// Structures of a data set with their labels, kept for the whole training.
#pragma once
#include <string>
#include <vector>

#include "state.hpp"

namespace painn::training {

enum Label { ENERGY, FORCES, STRESS, DIPOLE_MOMENT, POLARIZABILITY_TENSOR, LABELS };
constexpr int COMPONENTS[LABELS] = {1, 3, 9, 3, 9};

struct Sample {
    int64_t atoms = 0, pairs = 0;
    std::vector<int32_t> numbers, centers, neighbors;
    std::vector<int64_t> row;  // (atoms + 1)
    std::vector<double> vectors, positions, labels[LABELS];
    std::vector<double> base;                      // (atoms) energies that the network does not make
    std::vector<double> base_forces, base_virial;  // empty: there are none
    std::vector<Chunk> chunks;
    int64_t largest_chunk = 0;            // pairs
    std::vector<int32_t> fragment;        // (atoms) part that touches no other: what is centred and neutral
    std::vector<int64_t> fragment_atoms;  // (fragments)
    double volume = 0, charge = 0;

    // Returns what is wrong with the sample, or an empty string.
    std::string set(const PainnSample& given, int elements);
    int64_t rows(int label) const { return label == FORCES ? atoms : 1; }

  private:
    void make_chunks();
};

}  // namespace painn::training
