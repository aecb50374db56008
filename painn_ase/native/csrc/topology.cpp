#include "topology.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace painn {

namespace {

constexpr int64_t GROUP = 24;  // atoms: small structures share the streaming of the weights

// Interleaved bits of the cell coordinates (Morton order): atoms close in memory are close in space.
uint64_t morton(const double* r, const double* low) {
    uint64_t code = 0;
    for (int d = 0; d < 3; d++) {
        const double place = (r[d] - low[d]) / 4.0;  // Å, about the edge of what one atom sees
        uint64_t cell = place > 0 ? (uint64_t)std::min(place, 1048575.0) : 0;
        for (int bit = 0; bit < 20; bit++) code |= (cell >> bit & 1) << (3 * bit + d);
    }
    return code;
}

bool kept(int64_t i, int64_t j, const double* shift) {  // one of the two directions of a pair
    if (i != j) return j > i;
    for (int d = 0; d < 3; d++)
        if (shift[d] != 0) return shift[d] > 0;
    return false;
}

}  // namespace

void sort_in_space(const double* r, int64_t first, int64_t last, int64_t* order) {
    if (first == last) return;
    double low[3] = {r[3 * first], r[3 * first + 1], r[3 * first + 2]};
    for (int64_t i = first; i < last; i++)
        for (int d = 0; d < 3; d++) low[d] = std::min(low[d], r[3 * i + d]);
    std::vector<std::pair<uint64_t, int64_t>> codes;
    for (int64_t i = first; i < last; i++) codes.emplace_back(morton(r + 3 * i, low), i);
    std::sort(codes.begin(), codes.end());
    for (int64_t k = first; k < last; k++) order[k] = codes[k - first].second;
}

std::string Topology::set(const PainnTopology& given) {
    atoms = given.atoms;
    structures = given.structures;
    counts.assign(structures, 0);
    for (int64_t i = 0; i < atoms; i++) {
        if (given.owner[i] < 0 || given.owner[i] >= structures || (i && given.owner[i] < given.owner[i - 1]))
            return "structures of atoms: expected ascending indices below the number of structures";
        counts[given.owner[i]]++;
    }
    make_groups(given);
    number.resize(atoms);
    owner.resize(atoms);
    for (int64_t i = 0; i < atoms; i++) {
        number[i] = (int32_t)given.numbers[order[i]];
        owner[i] = (int32_t)given.owner[order[i]];
    }
    elements = number;
    std::sort(elements.begin(), elements.end());
    elements.erase(std::unique(elements.begin(), elements.end()), elements.end());
    species.resize(atoms);
    for (int64_t i = 0; i < atoms; i++)
        species[i] = (int32_t)(std::lower_bound(elements.begin(), elements.end(), number[i]) - elements.begin());
    return make_rows(given);
}

void Topology::make_groups(const PainnTopology& given) {
    groups.clear();
    order.resize(atoms);
    std::iota(order.begin(), order.end(), (int64_t)0);
    int64_t first = 0, end = 0;
    for (int64_t s = 0; s < structures; s++) {
        if (end > first && end - first + counts[s] > GROUP) {
            groups.push_back({first, end - first, 0, 0});
            first = end;
        }
        end += counts[s];
    }
    if (end > first) groups.push_back({first, end - first, 0, 0});

    for (const Group& group : groups) {
        if (group.atoms < SORTED) continue;
        sort_in_space(given.positions, group.first_atom, group.first_atom + group.atoms, order.data());
    }
}

std::string Topology::make_rows(const PainnTopology& given) {
    std::vector<int64_t> place(atoms), group_of(atoms);  // of the caller's atoms
    for (size_t g = 0; g < groups.size(); g++)
        for (int64_t k = 0; k < groups[g].atoms; k++) {
            place[order[groups[g].first_atom + k]] = k;
            group_of[order[groups[g].first_atom + k]] = (int64_t)g;
        }
    start_.assign(atoms + groups.size(), 0);
    const auto row = [&](int64_t i) { return groups[group_of[i]].first_atom + group_of[i] + place[i]; };
    int64_t kept_pairs = 0;
    for (int64_t p = 0; p < given.pairs; p++) {
        const int64_t i = given.centers[p], j = given.neighbors[p];
        if (i < 0 || i >= atoms || j < 0 || j >= atoms || given.owner[i] != given.owner[j])
            return "pairs: expected indices of two atoms of the same structure";
        if (!kept(place[i], place[j], given.shifts + 3 * p)) continue;
        start_[row(i) + 1]++;
        kept_pairs++;
    }
    if (2 * kept_pairs != given.pairs)
        return "pairs: expected a full list, both directions of every pair and no atom paired with itself";

    int64_t entries = 0;
    for (size_t g = 0; g < groups.size(); g++) {
        int64_t* start = start_.data() + groups[g].first_atom + g;
        start[0] = 0;
        for (int64_t k = 0; k < groups[g].atoms; k++) start[k + 1] += start[k];
        groups[g].first_entry = entries;
        groups[g].entries = start[groups[g].atoms];
        entries += groups[g].entries;
    }
    neighbor_.resize(entries);
    shift_.resize(3 * entries);
    std::vector<int64_t> next(start_);
    for (int64_t p = 0; p < given.pairs; p++) {
        const int64_t i = given.centers[p], j = given.neighbors[p];
        if (!kept(place[i], place[j], given.shifts + 3 * p)) continue;
        const int64_t e = groups[group_of[i]].first_entry + next[row(i)]++;
        neighbor_[e] = (int32_t)place[j];
        for (int d = 0; d < 3; d++) shift_[3 * e + d] = (int32_t)given.shifts[3 * p + d];
    }
    return {};
}

Rows Topology::rows(const Group& group) const {
    const int64_t g = &group - groups.data();
    return {group.atoms,
            0,
            0,
            start_.data() + group.first_atom + g,
            neighbor_.data() + group.first_entry,
            nullptr,
            shift_.data() + 3 * group.first_entry,
            owner.data() + group.first_atom,
            number.data() + group.first_atom,
            species.data() + group.first_atom,
            order.data() + group.first_atom};
}

}  // namespace painn
