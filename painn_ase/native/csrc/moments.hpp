// The first message through radial sums, see Moments in model.hpp. One call handles one block of radial functions of
// all pairs in its rows; blocks can run in parallel.
#pragma once
#include "gemm.hpp"

namespace {

// Spline of 16 radial functions, or with `weight` = basis and no start of their slopes.
PAINN_INLINE vec radial_look_up(vec start, const float* row, const float* weight) {
#pragma GCC unroll 5
    for (int m = 0; m < ORDER; m++, row += BLOCK) start += all(weight[m]) * load(row);
    return start;
}

// Gradients of a ghost's moments: its owner counts them.
alignas(64) const float NOTHING[BLOCK] = {};

// The moments of one atom that belong to one element and strip: A, B_x, B_y, B_z lie `step` apart.
struct MomentPlace {
    float* data;
    ptrdiff_t atom, step;
    float* at(int64_t i, int64_t species) const { return data + i * atom + species * BLOCK; }
};

MomentPlace moment_place(const Pass& p, int block, int lane) {
    const ptrdiff_t step = (ptrdiff_t)p.first->elements * BLOCK;
    return {p.moments + block * p.rows.atoms * 4 * step + lane, 4 * step, step};
}

// Tables of one strip of radial functions.
struct RadialTable {
    const float *anchors, *slopes;
};

RadialTable radial_table(const Pass& p, int block, int lane) {
    const int n = p.net->intervals;
    return {p.first->anchors + (ptrdiff_t)block * n * BLOCK + lane,
            p.first->slopes + (ptrdiff_t)block * (n + ORDER - 1) * BLOCK + lane};
}

// Moments of atom i by pair ... end, and of their partners, but for GHOSTS.
template <bool GHOSTS>
PAINN_INLINE void add_moments(const Pass& p, const MomentPlace& place, const RadialTable& table, int64_t i, const Pair* pair,
                              const Pair* end) {
    for (; pair != end; pair++) {
        const ptrdiff_t row = (ptrdiff_t)pair->knot * BLOCK;
        const vec rho = radial_look_up(load(table.anchors + row), table.slopes + row, pair->rise);
        float* here = place.at(i, p.rows.species[pair->neighbor]);
        float* there = GHOSTS ? nullptr : place.at(pair->neighbor, p.rows.species[i]);
        store(here, load(here) + rho);
        if (!GHOSTS) store(there, load(there) + rho);
        for (int d = 0; d < 3; d++) {
            const vec along = rho * all(pair->unit[d]);
            float* a = here + (1 + d) * place.step;
            store(a, load(a) + along);
            if (GHOSTS) continue;
            float* b = there + (1 + d) * place.step;
            store(b, load(b) - along);
        }
    }
}

void moments_forward(const Pass& p, int block, int64_t first, int64_t last) {
    for (int lane = 0; lane < BLOCK; lane += LANES) {
        const MomentPlace place = moment_place(p, block, lane);
        const RadialTable table = radial_table(p, block, lane);
        for (int64_t i = first; i < last; i++) {
            const Pair *pair = p.pairs + p.rows.start[i], *ghosts = pair + p.inner[i];
            add_moments<false>(p, place, table, i, pair, ghosts);
            add_moments<true>(p, place, table, i, ghosts, pair + p.count[i]);
        }
    }
}

// dE/d|r| and dE/dr̂ of the pairs from the gradients of the moments.
void moments_backward(const Pass& p, int block, int64_t first, int64_t last) {
    const bool fresh = p.net->T == 1;  // nothing to add to yet
    float* gradients = p.gradient + block * p.entries * 4;
    for (int lane = 0; lane < BLOCK; lane += LANES) {
        const MomentPlace place = moment_place(p, block, lane);
        const RadialTable table = radial_table(p, block, lane);
        for (int64_t i = first; i < last; i++)
            for (int64_t e = p.rows.start[i]; e < p.rows.start[i] + p.count[i]; e++) {
                const Pair& pair = p.pairs[e];
                const ptrdiff_t row = (ptrdiff_t)pair.knot * BLOCK;
                const vec rho = radial_look_up(load(table.anchors + row), table.slopes + row, pair.rise);
                const vec slope = radial_look_up(vec{}, table.slopes + row, pair.basis);
                const float* here = place.at(i, p.rows.species[pair.neighbor]);
                const bool ghost = e - p.rows.start[i] >= p.inner[i];
                const float* there = ghost ? NOTHING : place.at(pair.neighbor, p.rows.species[i]);
                const ptrdiff_t step = ghost ? 0 : place.step;
                vec radial = load(here) + load(there), angular[3];
                for (int d = 0; d < 3; d++) {
                    const vec change = load(here + (1 + d) * place.step) - load(there + (1 + d) * step);
                    radial += change * all(pair.unit[d]);
                    angular[d] = rho * change;
                }
                add_sums(slope * radial, angular[0], angular[1], angular[2], gradients + e * 4, !fresh || lane > 0);
            }
    }
}

// A row of moments, element after element without the padding that pairs see between them.
// Whole blocks are copied in ascending order: what one writes beyond its element the next overwrites.
struct MomentRow {
    alignas(64) float value[256 + 2 * BLOCK];

    void gather(const Moments& m, const float* atom, ptrdiff_t block) {
        for (int e = 0; e < m.elements; e++)
            for (int b = 0; b < m.blocks; b++)
                memcpy(value + e * m.radial + b * BLOCK, atom + b * block + e * BLOCK, BLOCK * sizeof(float));
        memset(value + m.elements * m.radial, 0, BLOCK * sizeof(float));
    }
    // Padding receives what follows in the row; there the radial functions are zero, so it counts for nothing.
    void scatter(const Moments& m, float* atom, ptrdiff_t block) const {
        for (int e = 0; e < m.elements; e++)
            for (int b = 0; b < m.blocks; b++)
                memcpy(atom + b * block + e * BLOCK, value + e * m.radial + b * BLOCK, BLOCK * sizeof(float));
    }
};

// Blocked input of the dense maps from the moments of the rows: `count` components of each atom, beginning with `from`.
void gather_moments(const Pass& p, int64_t first, int rows, int from, int count, float* out) {
    const Moments& m = *p.first;
    const MomentPlace place = moment_place(p, 0, 0);
    const ptrdiff_t size = (ptrdiff_t)rows * count * BLOCK;
    MomentRow row;
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < count; c++, out += BLOCK) {
            row.gather(m, place.at(first + i, 0) + (from + c) * place.step, p.rows.atoms * place.atom);
            for (int b = 0; b < m.scalars.inputs / BLOCK; b++)
                memcpy(out + b * size, row.value + b * BLOCK, BLOCK * sizeof(float));
        }
}

// The reverse: gradients of the rows' moments go where the moments were.
void scatter_moments(const Pass& p, int64_t first, int rows, int from, int count, const float* in) {
    const Moments& m = *p.first;
    const MomentPlace place = moment_place(p, 0, 0);
    const ptrdiff_t size = (ptrdiff_t)rows * count * BLOCK;
    MomentRow row = {};
    for (int i = 0; i < rows; i++)
        for (int c = 0; c < count; c++, in += BLOCK) {
            for (int b = 0; b < m.scalars.inputs / BLOCK; b++)
                memcpy(row.value + b * BLOCK, in + b * size, BLOCK * sizeof(float));
            row.scatter(m, place.at(first + i, 0) + (from + c) * place.step, p.rows.atoms * place.atom);
        }
}

}  // namespace
