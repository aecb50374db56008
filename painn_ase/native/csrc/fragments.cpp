#include "fragments.hpp"

#include "joined.hpp"

namespace painn {

Fragments fragments(const Topology& topology, const double* positions, double cutoff) {
    Joined atoms(topology.atoms);
    for (const Group& group : topology.groups) {
        const Rows rows = topology.rows(group);
        for (int64_t i = 0; i < rows.atoms; i++) {
            const double* a = positions + 3 * rows.order[i];
            for (int64_t e = rows.start[i]; e < rows.start[i + 1]; e++) {
                const double* b = positions + 3 * rows.order[rows.neighbor[e]];
                double square = 0;
                for (int d = 0; d < 3; d++) square += (b[d] - a[d]) * (b[d] - a[d]);
                if (square >= cutoff * cutoff) continue;  // of the skin
                atoms.join((int32_t)(group.first_atom + i), (int32_t)(group.first_atom + rows.neighbor[e]));
            }
        }
    }
    Fragments found;
    found.of = atoms.sets();
    for (int64_t i = 0; i < topology.atoms; i++) {
        if (found.of[i] == found.size()) {
            found.owner.push_back(topology.owner[i]);
            found.counts.push_back(0);
        }
        found.counts[found.of[i]]++;
    }
    return found;
}

}  // namespace painn
