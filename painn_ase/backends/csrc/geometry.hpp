// Distances and directions in double precision, the weights of the filter tables, and the first layer's input.
#pragma once
#include "vec.hpp"

namespace {

// Uniform quintic B-spline on one interval, 0 <= t < 1 (de Boor 1978): weights and their derivatives per interval.
PAINN_INLINE void spline(float t, float per_length, float* basis, float* slope) {
    const float c = 1.0f / 120.0f, r = 1.0f - t, t2 = t * t, r2 = r * r;
    basis[0] = c * r2 * r2 * r;
    basis[1] = c * (26 + t * (-50 + t * (20 + t * (20 + t * (-20 + t * 5)))));
    basis[2] = c * (66 + t2 * (-60 + t2 * (30 - t * 10)));
    basis[3] = c * (66 + r2 * (-60 + r2 * (30 - r * 10)));
    basis[4] = c * (26 + r * (-50 + r * (20 + r * (20 + r * (-20 + r * 5)))));
    basis[5] = c * t2 * t2 * t;
    const float d = per_length / 24.0f;
    slope[0] = -d * r2 * r2;
    slope[1] = d * (-10 + t * (8 + t * (12 + t * (-16 + t * 5))));
    slope[2] = d * t * (-24 + t2 * (24 - t * 10));
    slope[3] = -d * r * (-24 + r2 * (24 - r * 10));
    slope[4] = -d * (-10 + r * (8 + r * (12 + r * (-16 + r * 5))));
    slope[5] = d * t2 * t2;
}

// r_ij = R_j - R_i + S·h of entry e of row i.
PAINN_INLINE void pair_vector(const Pass& p, int64_t i, int64_t e, double* r) {
    const double* a = p.positions + 3 * i;
    const double* b = p.positions + 3 * (int64_t)p.rows.neighbor[e];
    const int32_t* n = p.rows.shift + 3 * e;
    const double* h = p.cells + 9 * (int64_t)p.rows.owner[i];
    for (int d = 0; d < 3; d++) r[d] = b[d] - a[d] + n[0] * h[d] + n[1] * h[3 + d] + n[2] * h[6 + d];
}

// Rows first ... last of the pair list: pairs of the skin beyond the cutoff are left out here, once for all layers.
void geometry(const Pass& p, int64_t first, int64_t last) {
    const double limit = p.net->cutoff * p.net->cutoff, per_length = p.net->intervals / p.net->cutoff;
    for (int64_t i = first; i < last; i++) {
        int64_t out = p.rows.start[i];
        for (int64_t e = p.rows.start[i]; e < p.rows.start[i + 1]; e++) {
            double r[3];
            pair_vector(p, i, e, r);
            const double square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
            if (square >= limit) continue;  // a NaN stays and reaches the energy
            const double distance = __builtin_sqrt(square), inverse = 1.0 / distance, place = distance * per_length;
            const int knot = place < p.net->intervals ? (int)place : p.net->intervals - 1;
            Pair& pair = p.pairs[out];
            spline((float)(place - knot), (float)per_length, pair.basis, p.slopes[out].basis);
            for (int d = 0; d < 3; d++) pair.unit[d] = (float)(r[d] * inverse);
            pair.neighbor = p.rows.neighbor[e];
            pair.knot = knot;
            p.origin[out++] = (int32_t)(e - p.rows.start[i]);
        }
        p.count[i] = out - p.rows.start[i];
    }
}

// s = embedding, v = 0, and the context of the first message from its table.
void embed(const Pass& p, int64_t first, int64_t last) {
    const int64_t n = p.rows.atoms;
    const int F = p.net->F;
    for (int b = 0; b < p.net->blocks; b++)
        for (int64_t i = first; i < last; i++) {
            const int64_t z = p.rows.number[i];
            float* node = p.layers[0].node + (b * n + i) * 6 * BLOCK;
            memcpy(p.s + (b * n + i) * BLOCK, p.net->embedding + z * F + b * BLOCK, BLOCK * sizeof(float));
            memset(p.v + (b * n + i) * 3 * BLOCK, 0, 3 * BLOCK * sizeof(float));
            for (int k = 0; k < FILTERS; k++)
                memcpy(node + k * BLOCK, p.net->context + (z * FILTERS + k) * F + b * BLOCK, BLOCK * sizeof(float));
        }
}

}  // namespace
