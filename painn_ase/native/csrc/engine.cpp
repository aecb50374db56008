#include "engine.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace painn {

namespace {

constexpr int64_t TILE = 256;  // rows of pairs that stay in cache while all channel blocks pass over them

// Chunks of nearly equal size, at most CHUNK atoms each, dealt to the threads in turn.
template <class Work>
void chunks(int64_t atoms, int rank, int threads, Work work) {
    const int64_t count = std::min(std::max((atoms + CHUNK - 1) / CHUNK, (int64_t)threads), atoms);
    for (int64_t c = rank; c < count; c += threads) work(atoms * c / count, atoms * (c + 1) / count);
}

}  // namespace

void Engine::set_topology(const PainnTopology& given) {
    const std::string problem = topology_.set(given);
    if (!problem.empty()) {
        topology_ = Topology();
        throw std::runtime_error(problem);
    }
    for (int32_t z : topology_.number)
        if (z < 0 || z >= std::min(weights.net.elements, 100)) {
            topology_ = Topology();
            throw std::runtime_error("atomic numbers: expected rows of the embedding; got " + std::to_string(z));
        }
    first_ = weights.moments(topology_.elements);
    features_.grow((size_t)4 * weights.net.F * topology_.atoms);
    outputs_.grow(4 * topology_.atoms);
    energies_.resize(topology_.atoms);
    virial_.resize(9 * topology_.structures);
}

Pass Engine::features(const Group& group) {
    Pass p{};
    const int64_t F = weights.net.F;
    p.net = &weights.net;
    p.rows = topology_.rows(group);
    p.s = features_.data() + 4 * F * group.first_atom;
    p.v = p.s + F * group.atoms;
    p.outputs = outputs_.data() + 4 * group.first_atom;
    for (const Head& head : weights.heads) p.vectors_read |= head.blocks != nullptr;
    return p;
}

void Engine::run(const double* positions, const double* cells, const double* charges, int threads, const PainnOutputs& out) {
    positions_.assign(positions, positions + 3 * topology_.atoms);
    charges_.assign(charges, charges + topology_.structures);
    cells_.assign(cells, cells + 9 * topology_.structures);
    const bool gradient = out.forces || out.stress;
    const std::vector<Group>& groups = topology_.groups;
    const bool apart = (int64_t)groups.size() >= 2 * threads;  // every thread takes groups by itself
    scratch_.grow((size_t)threads * CHUNK * weights.scratch_per_atom());
    workspaces_.resize(std::max(workspaces_.size(), (size_t)(apart ? threads : 1)));
    int64_t atoms = 0, entries = 0;
    for (const Group& group : groups) {
        atoms = std::max(atoms, group.atoms);
        entries = std::max(entries, group.entries);
    }
    for (Workspace& workspace : workspaces_)
        workspace.reserve(weights.net, atoms, entries, first_ ? first_->size() : 0, gradient);
    if (out.forces) std::fill(out.forces, out.forces + 3 * topology_.atoms, 0.0);
    std::fill(virial_.begin(), virial_.end(), 0.0);

    const auto pass_of = [&](Workspace& workspace, const Group& group) {
        Pass pass = workspace.prepare(weights.net, topology_, group, positions_.data());
        const Pass own = features(group);
        pass.cells = cells_.data();
        pass.first = first_;
        pass.s = own.s;
        pass.v = own.v;
        pass.outputs = own.outputs;
        pass.vectors_read = own.vectors_read;
        return pass;
    };
    const auto scratch = [&](int rank) { return scratch_.data() + rank * CHUNK * weights.scratch_per_atom(); };
    if (apart) {
        std::atomic<size_t> next{0};
        pool_.run(threads, [&](int rank) {
            Barrier alone(1);
            for (size_t g; (g = next.fetch_add(1)) < groups.size();) {
                const Pass pass = pass_of(workspaces_[rank], groups[g]);
                evaluate({pass, 0, 1, alone, scratch(rank), gradient}, out);
            }
        });
    } else {
        for (const Group& group : groups) {
            const Pass pass = pass_of(workspaces_[0], group);
            Barrier barrier(threads);
            pool_.run(threads, [&](int rank) { evaluate({pass, rank, threads, barrier, scratch(rank), gradient}, out); });
        }
    }
    sum_energy(out);
    if (out.stress) sum_stress(out.stress);
    read(threads, out);
}

void Engine::evaluate(const Task& task, const PainnOutputs& out) {
    forward(task);
    const Head* energy = weights.head(PAINN_ENERGY);
    if (!energy) return;
    chunks(task.pass.rows.atoms, task.rank, task.threads, [&](int64_t first, int64_t last) {
        kernels_.energy(task.pass, *energy, task.gradient, first, last, task.scratch);
        collect_energies(task.pass, *energy, first, last);
    });
    if (!task.gradient) return;
    backward(task);
    if (task.rank == 0) collect_gradient(task.pass, *energy, out.forces);
}

// The paper's T rounds of message and update. Everything within an atom is done by one thread, chunk after chunk;
// a message needs all atoms to be ready, hence the barriers.
void Engine::forward(const Task& task) {
    const Pass& p = task.pass;
    const int64_t n = p.rows.atoms, entries = p.entries;
    const auto row_of = [&](int64_t share) {  // equal shares of pairs, not of atoms
        return std::lower_bound(p.rows.start, p.rows.start + n, entries * share / task.threads) - p.rows.start;
    };
    kernels_.geometry(p, task.rank ? row_of(task.rank) : 0, task.rank + 1 < task.threads ? row_of(task.rank + 1) : n);
    chunks(n, task.rank, task.threads, [&](int64_t first, int64_t last) { kernels_.embed(p, first, last); });
    for (int t = 0; t < p.net->T; t++) {
        task.barrier.wait();
        messages(task, t, false);
        task.barrier.wait();
        chunks(n, task.rank, task.threads, [&](int64_t first, int64_t last) {
            kernels_.update_forward(p, t, first, last, task.scratch);
            if (t + 1 < p.net->T) kernels_.context_forward(p, t + 1, first, last, task.scratch);
        });
    }
}

// The same rounds backwards, from ∂E/∂s of the final features to the gradient of every pair.
void Engine::backward(const Task& task) {
    const Pass& p = task.pass;
    for (int t = p.net->T - 1; t >= 0; t--) {
        chunks(p.rows.atoms, task.rank, task.threads, [&](int64_t first, int64_t last) {
            if (t + 1 < p.net->T) kernels_.context_backward(p, t + 1, first, last, task.scratch);
            kernels_.update_backward(p, t, first, last, task.scratch);
        });
        task.barrier.wait();
        messages(task, t, true);
        task.barrier.wait();
    }
}

// Channels never meet in a message: each thread takes some blocks of them over all pairs.
void Engine::messages(const Task& task, int t, bool reverse) const {
    const Pass& p = task.pass;
    const int B = t == 0 && p.first ? p.first->blocks : p.net->blocks;
    const auto message = reverse ? kernels_.message_backward : kernels_.message_forward;
    for (int64_t first = 0; first < p.rows.atoms; first += TILE)
        for (int b = B * task.rank / task.threads; b < B * (task.rank + 1) / task.threads; b++)
            message(p, t, b, first, std::min(first + TILE, p.rows.atoms));
}

void Engine::collect_energies(const Pass& p, const Head& head, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
        const double share = head.flag ? 1.0 / (double)topology_.counts[p.rows.owner[i]] : 1.0;
        energies_[p.rows.order[i]] = head.scale * share * p.outputs[4 * i] + head.references[p.rows.number[i]];
    }
}

// With d = |r|, u = r/d:  g = ∂E/∂r = E_d u + (E_u - (E_u·u) u)/d;  F_i += g, F_j -= g, virial += r ⊗ g.
void Engine::collect_gradient(const Pass& p, const Head& head, double* forces) {
    const int blocks = p.net->T == 1 && p.first ? p.first->blocks : p.net->blocks;  // those that messages filled
    for (int64_t i = 0; i < p.rows.atoms; i++) {
        const int64_t owner = p.rows.owner[i];
        const double scale = head.scale * (head.flag ? 1.0 / (double)topology_.counts[owner] : 1.0);
        double force[3] = {}, *virial = virial_.data() + 9 * owner;
        for (int64_t e = p.rows.start[i]; e < p.rows.start[i] + p.count[i]; e++) {
            double sum[4] = {}, r[3], g[3];
            for (int b = 0; b < blocks; b++)
                for (int k = 0; k < 4; k++) sum[k] += p.gradient[4 * (b * p.entries + e) + k];
            const double* shift_free = p.positions + 3 * (int64_t)p.pairs[e].neighbor;
            const int32_t* n = p.rows.shift + 3 * (p.rows.start[i] + p.pairs[e].entry);
            const double* h = p.cells + 9 * owner;
            double square = 0;
            for (int d = 0; d < 3; d++) {
                r[d] = shift_free[d] - p.positions[3 * i + d] + n[0] * h[d] + n[1] * h[3 + d] + n[2] * h[6 + d];
                square += r[d] * r[d];
            }
            const double inverse = 1.0 / std::sqrt(square);
            const double along = (sum[1] * r[0] + sum[2] * r[1] + sum[3] * r[2]) * inverse;
            for (int d = 0; d < 3; d++) {
                g[d] = scale * inverse * (sum[0] * r[d] + sum[1 + d] - along * r[d] * inverse);
                force[d] += g[d];
            }
            for (int d = 0; d < 3; d++)
                for (int c = 0; c < 3; c++) virial[3 * d + c] += r[d] * g[c];
            if (!forces) continue;
            double* other = forces + 3 * p.rows.order[p.pairs[e].neighbor];
            for (int d = 0; d < 3; d++) other[d] -= g[d];
        }
        for (int d = 0; d < 3 && forces; d++) forces[3 * p.rows.order[i] + d] += force[d];
    }
}

void Engine::sum_energy(const PainnOutputs& out) const {
    if (out.energies) std::copy(energies_.begin(), energies_.end(), out.energies);
    if (!out.energy) return;
    int64_t i = 0;
    for (int64_t s = 0; s < topology_.structures; s++) {
        double sum = 0;
        for (int64_t k = 0; k < topology_.counts[s]; k++) sum += energies_[i++];
        out.energy[s] = sum;
    }
}

// Virial per volume, symmetrised against rounding.
void Engine::sum_stress(double* stress) const {
    for (int64_t s = 0; s < topology_.structures; s++) {
        const double *h = cells_.data() + 9 * s, *w = virial_.data() + 9 * s;
        const double volume =
            h[0] * (h[4] * h[8] - h[5] * h[7]) - h[1] * (h[3] * h[8] - h[5] * h[6]) + h[2] * (h[3] * h[7] - h[4] * h[6]);
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++) stress[9 * s + 3 * a + b] = 0.5 * (w[3 * a + b] + w[3 * b + a]) / std::fabs(volume);
    }
}

void Engine::read(int threads, const PainnOutputs& out) {
    const Head* dipole = weights.head(PAINN_DIPOLE) ? weights.head(PAINN_DIPOLE) : weights.head(PAINN_CHARGES);
    const Head* polarizability = weights.head(PAINN_POLARIZABILITY);
    if (dipole && (out.dipole || out.charges)) {
        run_head(*dipole, threads);
        sum_dipole(*dipole, out.dipole, out.charges);
    }
    if (polarizability && out.polarizability) {
        run_head(*polarizability, threads);
        sum_polarizability(*polarizability, out.polarizability);
    }
}

// Values and vectors of all atoms by one head, from the features of the last pass.
void Engine::run_head(const Head& head, int threads) {
    scratch_.grow((size_t)threads * CHUNK * weights.scratch_per_atom());
    pool_.run(threads, [&](int rank) {
        float* scratch = scratch_.data() + rank * CHUNK * weights.scratch_per_atom();
        for (const Group& group : topology_.groups)
            chunks(group.atoms, rank, threads, [&, pass = features(group)](int64_t first, int64_t last) {
                kernels_.read(pass, head, first, last, scratch);
            });
    });
}

// R_i - R_com of each structure, (atoms, 3), in the kernel's order.
std::vector<double> Engine::from_center(const double* masses) const {
    std::vector<double> centers(4 * topology_.structures, 0.0), r(3 * topology_.atoms);
    for (int64_t i = 0; i < topology_.atoms; i++) {
        const double mass = masses[topology_.number[i]];
        double* center = centers.data() + 4 * topology_.owner[i];
        for (int d = 0; d < 3; d++) center[d] += mass * positions_[3 * topology_.order[i] + d];
        center[3] += mass;
    }
    for (int64_t i = 0; i < topology_.atoms; i++) {
        const double* center = centers.data() + 4 * topology_.owner[i];
        for (int d = 0; d < 3; d++) r[3 * i + d] = positions_[3 * topology_.order[i] + d] - center[d] / center[3];
    }
    return r;
}

// μ = Σ_i [q_i r_i + μ_i]; the charges are shifted to sum to the structure's charge if the head says so.
void Engine::sum_dipole(const Head& head, double* dipole, double* charges) const {
    const std::vector<double> r = from_center(head.masses);
    std::vector<double> q(topology_.atoms), excess(topology_.structures, 0.0);
    for (int64_t i = 0; i < topology_.atoms; i++) {
        q[i] = head.scale * outputs_[4 * i] + head.references[topology_.number[i]];
        excess[topology_.owner[i]] += q[i];
    }
    if (dipole) std::fill(dipole, dipole + 3 * topology_.structures, 0.0);
    for (int64_t i = 0; i < topology_.atoms; i++) {
        const int64_t s = topology_.owner[i];
        if (head.flag) q[i] -= (excess[s] - charges_[s]) / (double)topology_.counts[s];
        if (charges) charges[topology_.order[i]] = q[i];
        for (int d = 0; d < 3 && dipole; d++) {
            const double own = head.blocks ? head.scale * outputs_[4 * i + 1 + d] : 0.0;
            dipole[3 * s + d] += q[i] * r[3 * i + d] + own;
        }
    }
}

// α = Σ_i [α₀ I + ν⊗r + r⊗ν]
void Engine::sum_polarizability(const Head& head, double* polarizability) const {
    const std::vector<double> r = from_center(head.masses);
    std::fill(polarizability, polarizability + 9 * topology_.structures, 0.0);
    for (int64_t i = 0; i < topology_.atoms; i++) {
        double* alpha = polarizability + 9 * (int64_t)topology_.owner[i];
        const double isotropic = head.scale * outputs_[4 * i] + head.references[topology_.number[i]];
        for (int a = 0; a < 3; a++) {
            alpha[4 * a] += isotropic;
            for (int b = 0; b < 3; b++)
                alpha[3 * a + b] +=
                    head.scale * (outputs_[4 * i + 1 + a] * r[3 * i + b] + outputs_[4 * i + 1 + b] * r[3 * i + a]);
        }
    }
}

}  // namespace painn
