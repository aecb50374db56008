#include "samples.hpp"

#include <algorithm>

#include "../joined.hpp"

namespace painn::training {

namespace {
constexpr int64_t CHUNK_PAIRS = 192;  // whose filters and gradients of filters stay in the cache
}

std::string Sample::set(const PainnSample& given, int elements) {
    atoms = given.atoms, pairs = given.pairs;
    volume = given.volume, charge = given.charge;
    if (atoms < 1 || pairs < 0) return "sample: expected at least one atom";
    for (int64_t i = 0; i < atoms; i++)
        if (given.numbers[i] < 0 || given.numbers[i] >= elements) return "sample: an atomic number is beyond the embedding";
    row.assign(atoms + 1, 0);
    for (int64_t k = 0; k < pairs; k++) {
        const int64_t i = given.centers[k], j = given.neighbors[k];
        if (i < 0 || i >= atoms || j < 0 || j >= atoms || (k && i < given.centers[k - 1]))
            return "sample: expected pairs of its own atoms, by ascending center";
        row[i + 1]++;
    }
    for (int64_t i = 0; i < atoms; i++) row[i + 1] += row[i];
    Joined joined(atoms);
    for (int64_t k = 0; k < pairs; k++) joined.join((int32_t)given.centers[k], (int32_t)given.neighbors[k]);
    fragment = joined.sets();
    fragment_atoms.assign(1 + *std::max_element(fragment.begin(), fragment.end()), 0);
    for (const int32_t f : fragment) fragment_atoms[f]++;
    numbers.assign(given.numbers, given.numbers + atoms);
    centers.assign(given.centers, given.centers + pairs);
    neighbors.assign(given.neighbors, given.neighbors + pairs);
    vectors.assign(given.vectors, given.vectors + 3 * pairs);
    positions.assign(given.positions, given.positions + 3 * atoms);
    for (int l = 0; l < LABELS; l++)
        if (given.labels[l]) labels[l].assign(given.labels[l], given.labels[l] + rows(l) * COMPONENTS[l]);
    base.assign(given.base, given.base + atoms);
    if (given.base_forces) base_forces.assign(given.base_forces, given.base_forces + 3 * atoms);
    if (given.base_virial) base_virial.assign(given.base_virial, given.base_virial + 9);
    make_chunks();
    return {};
}

void Sample::make_chunks() {
    for (int64_t first = 0; first < atoms;) {
        int64_t last = first + 1;
        while (last < atoms && row[last + 1] - row[first] <= CHUNK_PAIRS) last++;
        chunks.push_back({first, last, 0});
        largest_chunk = std::max(largest_chunk, row[last] - row[first]);
        first = last;
    }
}

}  // namespace painn::training
