// Distances and directions in double precision, the weights of the filter tables, and the first layer's input.
#pragma once
#include "vec.hpp"

namespace {

// Uniform B-splines on one interval of length h, 0 <= t < 1 (de Boor 1978): the quartic weights, and h times the tails
// N_m+1 + ... + N_5 of the quintic ones.
PAINN_INLINE void spline(float t, float h, float* rise, float* basis) {
    const float r = 1.0f - t, t2 = t * t, r2 = r * r;
    const float c = h / 120.0f;
    const float n1 = c * (26 + t * (-50 + t * (20 + t * (20 + t * (-20 + t * 5)))));
    const float n2 = c * (66 + t2 * (-60 + t2 * (30 - t * 10)));
    const float n3 = c * (66 + r2 * (-60 + r2 * (30 - r * 10)));
    const float n4 = c * (26 + r * (-50 + r * (20 + r * (20 + r * (-20 + r * 5)))));
    rise[4] = c * t2 * t2 * t;
    rise[3] = rise[4] + n4;
    rise[2] = rise[3] + n3;
    rise[1] = rise[2] + n2;
    rise[0] = rise[1] + n1;
    const float d = 1.0f / 24.0f;
    basis[0] = d * r2 * r2;
    basis[1] = d * (11 + t * (-12 + t * (-6 + t * (12 - t * 4))));
    basis[2] = d * (11 + t * (12 + t * (-6 + t * (-12 + t * 6))));
    basis[3] = d * (11 + r * (-12 + r * (-6 + r * (12 - r * 4))));
    basis[4] = d * t2 * t2;
}

// r_ij = R_j - R_i + S·h of entry e of row i.
PAINN_INLINE void pair_vector(const Pass& p, int64_t i, int64_t e, double* r) {
    const double* a = p.positions + 3 * i;
    const double* b = p.positions + 3 * (int64_t)p.rows.neighbor[e];
    for (int d = 0; d < 3; d++) r[d] = b[d] - a[d];
    if (!p.rows.shift) return;
    const int32_t* n = p.rows.shift + 3 * e;
    const double* h = p.cells + 9 * (int64_t)p.rows.owner[i];
    for (int d = 0; d < 3; d++) r[d] = r[d] + n[0] * h[d] + n[1] * h[3 + d] + n[2] * h[6 + d];
}

// Rows first ... last of the pair list: pairs of the skin beyond the cutoff are left out here, once for all layers.
void geometry(const Pass& p, int64_t first, int64_t last) {
    const double limit = p.net->cutoff * p.net->cutoff, per_length = p.net->intervals / p.net->cutoff;
    for (int64_t i = first; i < last; i++) {
        int64_t out = p.rows.start[i], inner = 0;
        for (int64_t e = p.rows.start[i]; e < p.rows.start[i + 1]; e++) {
            double r[3];
            pair_vector(p, i, e, r);
            const double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
            if (square >= limit) continue;  // a NaN stays and reaches the energy
            const double distance = __builtin_sqrt(square), inverse = 1.0 / distance, place = distance * per_length;
            const int knot = place < p.net->intervals ? (int)place : p.net->intervals - 1;
            Pair& pair = p.pairs[out++];
            spline((float)(place - knot), (float)(1.0 / per_length), pair.rise, pair.basis);
            for (int d = 0; d < 3; d++) pair.unit[d] = (float)(r[d] * inverse);
            pair.neighbor = p.rows.node ? p.rows.node[p.rows.neighbor[e]] : p.rows.neighbor[e];
            inner += pair.neighbor < p.rows.atoms;
            pair.knot = knot;
            pair.entry = (int32_t)(e - p.rows.start[i]);
        }
        p.count[i] = out - p.rows.start[i];
        p.inner[i] = inner;
    }
}

// s = embedding, v = 0, and the context of the first message from its table or empty moments. Of ghosts, the context alone.
void embed(const Pass& p, int64_t first, int64_t last) {
    const int64_t n = p.rows.atoms, all = p.rows.all(), own = last < n ? last : n;
    const int F = p.net->F;
    if (p.first)
        for (int b = 0; b < p.first->blocks && first < own; b++) {
            const int64_t size = 4 * p.first->elements * BLOCK;
            memset(p.moments + (b * n + first) * size, 0, (own - first) * size * sizeof(float));
        }
    for (int b = 0; b < p.net->blocks; b++)
        for (int64_t i = first; i < (p.first ? own : last); i++) {
            const int64_t z = p.rows.number[i];
            if (i < own) memcpy(p.s + (b * n + i) * BLOCK, p.net->embedding + z * F + b * BLOCK, BLOCK * sizeof(float));
            if (p.first) continue;
            if (i < own) memset(p.v + (b * n + i) * 3 * BLOCK, 0, 3 * BLOCK * sizeof(float));
            float* node = p.layers[0].node + (b * all + i) * 6 * BLOCK;
            for (int k = 0; k < FILTERS; k++)
                memcpy(node + k * BLOCK, p.net->context + (z * FILTERS + k) * F + b * BLOCK, BLOCK * sizeof(float));
        }
}

}  // namespace
