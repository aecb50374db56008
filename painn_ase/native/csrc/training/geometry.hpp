// Between the passes, in float64: forces and virials from the gradients of pairs, and the displacement of pairs from the
// seeds u = ∂L/∂F and G = sym(∂L/∂σ)/V.
#pragma once
#include "rows.hpp"

namespace painn::training {
namespace {

// With d = |r|: g = ∂E/∂r = E_d r̂ + (E_r̂ - (E_r̂·r̂) r̂)/d;  F_i += g, F_j -= g, virial += r ⊗ g.
template <class T>
void collect_gradients(const Pass<T>& p) {
    memset(p.forces, 0, 3 * p.atoms * sizeof(double));
    memset(p.virial, 0, 9 * p.structures * sizeof(double));
    for (int s = 0; s < p.structures; s++) {
        double virial[9] = {};
        for (int64_t k = p.first_pair[s]; k < p.first_pair[s + 1]; k++) {
            double sum[4] = {};
            for (int b = 0; b < p.net->blocks; b++)
                for (int d = 0; d < 4; d++) sum[d] += (double)p.gradient[4 * (b * p.pairs + k) + d];
            const double *u = p.exact_unit + 3 * k, *r = p.vectors[s] + 3 * (k - p.first_pair[s]);
            const double along = sum[1] * u[0] + sum[2] * u[1] + sum[3] * u[2], inverse = 1 / p.distance[k];
            double* a = p.forces + 3 * p.center[k];
            double* b = p.forces + 3 * p.neighbor[k];
            for (int d = 0; d < 3; d++) {
                const double g = p.share[s] * (sum[0] * u[d] + (sum[1 + d] - along * u[d]) * inverse);
                a[d] += g, b[d] -= g;
                for (int c = 0; c < 3; c++) virial[3 * c + d] += r[c] * g;
            }
        }
        memcpy(p.virial + 9 * s, virial, sizeof(virial));
    }
}

// w = u_i - u_j + G r, times the energy's scale;  ḋ = r̂·w,  r̂̇ = (w - r̂ ḋ)/d.
template <class T>
void displace_pairs(const Pass<T>& p) {
    for (int s = 0; s < p.structures; s++) {
        const double* G = p.virial + 9 * s;
        for (int64_t k = p.first_pair[s]; k < p.first_pair[s + 1]; k++) {
            const double *u = p.exact_unit + 3 * k, *r = p.vectors[s] + 3 * (k - p.first_pair[s]);
            const double *a = p.forces + 3 * p.center[k], *b = p.forces + 3 * p.neighbor[k];
            double w[3], rate = 0;
            for (int d = 0; d < 3; d++) {
                w[d] = p.share[s] * (a[d] - b[d] + G[3 * d] * r[0] + G[3 * d + 1] * r[1] + G[3 * d + 2] * r[2]);
                rate += u[d] * w[d];
            }
            p.rate[k] = (T)rate;
            for (int d = 0; d < 3; d++) p.turn[4 * k + d] = (T)((w[d] - u[d] * rate) / p.distance[k]);
        }
    }
}

}  // namespace
}  // namespace painn::training
