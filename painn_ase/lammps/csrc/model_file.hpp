// A model as `painn-ase lammps pack` writes it: one file, checked before a byte of it is believed.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "painn_domain.h"

namespace painn {

class PackedModel {
  public:
    // Reads the bytes of a file; throws std::runtime_error that says what is wrong with it.
    explicit PackedModel(const std::string& bytes);
    PackedModel(const PackedModel&) = delete;
    PackedModel& operator=(const PackedModel&) = delete;
    ~PackedModel();

    // The atomic number of a chemical symbol, or 0 if the model was not trained on it.
    int32_t number(const std::string& symbol) const;

    PainnModel* model = nullptr;
    PainnSizes sizes{};
    std::string name;
    std::vector<std::string> symbols;  // of the elements it was trained on
    std::vector<int32_t> numbers;      // their atomic numbers
};

}  // namespace painn
