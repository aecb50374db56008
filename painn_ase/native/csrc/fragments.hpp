// Parts of molecules that do not touch: no chain of pairs within the cutoff joins an atom of one with an atom of another.
#pragma once
#include "topology.hpp"

namespace painn {

struct Fragments {
    std::vector<int32_t> of;      // (atoms) fragment of each, in the kernel's order
    std::vector<int32_t> owner;   // (fragments) structure
    std::vector<int64_t> counts;  // (fragments) atoms

    int64_t size() const { return (int64_t)owner.size(); }
};

// Those of molecules with positions (atoms, 3) in the caller's order.
Fragments fragments(const Topology& topology, const double* positions, double cutoff);

}  // namespace painn
