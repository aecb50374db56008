// One pass through the network, round after round: what an engine, which has all atoms, and a domain, which has ghosts,
// have in common.
#pragma once
#include <algorithm>
#include <cmath>

#include "model.hpp"
#include "threads.hpp"

namespace painn {

// Chunks of nearly equal size, at most CHUNK atoms each, dealt to the threads in turn.
template <class Work>
void chunks(int64_t atoms, int rank, int threads, Work work) {
    const int64_t count = std::min(std::max((atoms + CHUNK - 1) / CHUNK, (int64_t)threads), atoms);
    for (int64_t c = rank; c < count; c += threads) work(atoms * c / count, atoms * (c + 1) / count);
}

struct Task {  // one thread's share of a pass
    const Pass& pass;
    int rank, threads;
    Barrier& barrier;
    float* scratch;
};

// The paper's T rounds of message and update. Everything within an atom is done by one thread, chunk after chunk; a message
// needs all atoms to be ready, hence the barriers. A domain's ghosts must be ready too: it exchanges features before every
// forward message but the first, and what neighbours answered before every backward update but the first.
class Rounds {
  public:
    explicit Rounds(const Kernels& kernels) : kernels_(kernels) {}

    void begin(const Task& task) const;           // distances, and the first features
    void forward(const Task& task, int t) const;  // message and update t, and what atoms say in message t + 1
    void energies(const Task& task, const Head& head, bool gradient) const;
    void backward(const Task& task, int t) const;  // the same reversed, from ∂E/∂s to the gradients of the pairs

  private:
    void messages(const Task& task, int t, bool reverse) const;

    const Kernels& kernels_;
};

// Where forces and virials of a pass are added, in the caller's order; null is not wanted.
struct Strains {
    double* forces;   // (places, 3)
    double* virial;   // (structures, 3, 3): Σ r_ij ⊗ ∂E/∂r_ij
    double* virials;  // (places, 3, 3): half of it to either atom
};

// Adds up the gradients of the pairs, times `scale(structure)`.
// With d = |r|, u = r/d:  g = ∂E/∂r = E_d u + (E_u - (E_u·u) u)/d;  F_i += g, F_j -= g, virial += r ⊗ g.
template <class Scale>
void collect_gradient(const Pass& p, Scale scale_of, const Strains& out) {
    const int blocks = p.net->T == 1 && p.first ? p.first->blocks : p.net->blocks;  // those that messages filled
    for (int64_t i = 0; i < p.rows.atoms; i++) {
        const int64_t owner = p.rows.owner[i];
        const double scale = scale_of(owner);
        double force[3] = {}, *virial = out.virial + 9 * owner;
        for (int64_t e = p.rows.start[i]; e < p.rows.start[i] + p.count[i]; e++) {
            double sum[4] = {}, r[3], g[3];
            for (int b = 0; b < blocks; b++)
                for (int k = 0; k < 4; k++) sum[k] += p.gradient[4 * (b * p.entries + e) + k];
            const int64_t j = p.rows.neighbor[p.rows.start[i] + p.pairs[e].entry];
            for (int d = 0; d < 3; d++) r[d] = p.positions[3 * j + d] - p.positions[3 * i + d];
            if (p.rows.shift) {
                const int32_t* n = p.rows.shift + 3 * (p.rows.start[i] + p.pairs[e].entry);
                const double* h = p.cells + 9 * owner;
                for (int d = 0; d < 3; d++) r[d] = r[d] + n[0] * h[d] + n[1] * h[3 + d] + n[2] * h[6 + d];
            }
            const double inverse = 1.0 / std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
            const double along = (sum[1] * r[0] + sum[2] * r[1] + sum[3] * r[2]) * inverse;
            for (int d = 0; d < 3; d++) {
                g[d] = scale * inverse * (sum[0] * r[d] + sum[1 + d] - along * r[d] * inverse);
                force[d] += g[d];
            }
            for (int d = 0; d < 3; d++)
                for (int c = 0; c < 3; c++) virial[3 * d + c] += r[d] * g[c];
            for (int k = 0; k < 9 && out.virials; k++) {
                const double half = 0.5 * r[k / 3] * g[k % 3];
                out.virials[9 * p.rows.order[i] + k] += half;
                out.virials[9 * p.rows.order[j] + k] += half;
            }
            if (!out.forces) continue;
            double* other = out.forces + 3 * p.rows.order[j];
            for (int d = 0; d < 3; d++) other[d] -= g[d];
        }
        for (int d = 0; d < 3 && out.forces; d++) out.forces[3 * p.rows.order[i] + d] += force[d];
    }
}

}  // namespace painn
