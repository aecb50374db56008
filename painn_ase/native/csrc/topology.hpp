// Atoms and half pair lists in the kernel's own layout: groups of whole structures that are evaluated together.
#pragma once
#include <string>
#include <vector>

#include "model.hpp"
#include "painn.h"

namespace painn {

struct Group {
    int64_t first_atom, atoms;     // in the kernel's order, which keeps groups contiguous
    int64_t first_entry, entries;  // of the half pair list
};

constexpr int64_t SORTED = 512;  // atoms from which neighbours in space become neighbours in memory

// order[first ... last - 1] = the atoms first ... last - 1 with positions r, those close in space close in memory.
void sort_in_space(const double* r, int64_t first, int64_t last, int64_t* order);

class Topology {
  public:
    // Returns what is wrong with the list, or an empty string.
    std::string set(const PainnTopology& given);

    Rows rows(const Group& group) const;

    int64_t atoms = 0, structures = 0;
    std::vector<Group> groups;
    std::vector<int64_t> order;  // place in the caller's arrays
    std::vector<int32_t> number, owner, species;
    std::vector<int32_t> elements;  // atomic numbers at hand, ascending
    std::vector<int64_t> counts;    // atoms of each structure

  private:
    void make_groups(const PainnTopology& given);
    std::string make_rows(const PainnTopology& given);

    std::vector<int64_t> start_;  // (atoms + number of groups) counted within each group
    std::vector<int32_t> neighbor_, shift_;
};

}  // namespace painn
