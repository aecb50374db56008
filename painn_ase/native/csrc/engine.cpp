#include "engine.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace painn {

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
        workspace.reserve(weights.net, {atoms, 0, 0, entries}, first_ ? first_->size() : 0, gradient);
    if (out.forces) std::fill(out.forces, out.forces + 3 * topology_.atoms, 0.0);
    std::fill(virial_.begin(), virial_.end(), 0.0);

    const auto pass_of = [&](Workspace& workspace, const Group& group) {
        Pass pass = workspace.prepare(weights.net, topology_.rows(group), group.entries, positions_.data());
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
                evaluate({pass, 0, 1, alone, scratch(rank)}, gradient, out);
            }
        });
    } else {
        for (const Group& group : groups) {
            const Pass pass = pass_of(workspaces_[0], group);
            Barrier barrier(threads);
            pool_.run(threads, [&](int rank) { evaluate({pass, rank, threads, barrier, scratch(rank)}, gradient, out); });
        }
    }
    sum_energy(out);
    if (out.stress) sum_stress(out.stress);
    read(threads, out);
}

void Engine::evaluate(const Task& task, bool gradient, const PainnOutputs& out) {
    const int T = weights.net.T;
    rounds_.begin(task);
    for (int t = 0; t < T; t++) rounds_.forward(task, t);
    const Head* energy = weights.head(PAINN_ENERGY);
    if (!energy) return;
    rounds_.energies(task, *energy, gradient);
    collect_energies(task, *energy);
    if (!gradient) return;
    for (int t = T - 1; t >= 0; t--) rounds_.backward(task, t);
    if (task.rank > 0) return;
    const auto scale = [&](int64_t owner) { return energy->scale * share(*energy, owner); };
    collect_gradient(task.pass, scale, {out.forces, virial_.data(), nullptr});
}

// What an atom's energy counts in that of its structure.
double Engine::share(const Head& head, int64_t owner) const { return head.flag ? 1.0 / (double)topology_.counts[owner] : 1.0; }

void Engine::collect_energies(const Task& task, const Head& head) {
    const Pass& p = task.pass;
    chunks(p.rows.atoms, task.rank, task.threads, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++)
            energies_[p.rows.order[i]] =
                head.scale * share(head, p.rows.owner[i]) * p.outputs[4 * i] + head.references[p.rows.number[i]];
    });
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

// R_i - R_com of each fragment, (atoms, 3), in the kernel's order.
std::vector<double> Engine::from_center(const Fragments& parts, const double* masses) const {
    std::vector<double> centers(4 * parts.size(), 0.0), r(3 * topology_.atoms);
    for (int64_t i = 0; i < topology_.atoms; i++) {
        const double mass = masses[topology_.number[i]];
        double* center = centers.data() + 4 * parts.of[i];
        for (int d = 0; d < 3; d++) center[d] += mass * positions_[3 * topology_.order[i] + d];
        center[3] += mass;
    }
    for (int64_t i = 0; i < topology_.atoms; i++) {
        const double* center = centers.data() + 4 * parts.of[i];
        for (int d = 0; d < 3; d++) r[3 * i + d] = positions_[3 * topology_.order[i] + d] - center[d] / center[3];
    }
    return r;
}

// μ = Σ_i [q_i r_i + μ_i]; if the head says so, the charges of each fragment are shifted to sum to zero, or to the charge of
// a structure that is one fragment.
void Engine::sum_dipole(const Head& head, double* dipole, double* charges) const {
    const Fragments parts = fragments(topology_, positions_.data(), weights.net.cutoff);
    for (int64_t f = 0; f < parts.size(); f++)
        if (charges_[parts.owner[f]] != 0 && parts.counts[f] != topology_.counts[parts.owner[f]])
            throw std::domain_error("a charged structure in fragments that do not touch");
    const std::vector<double> r = from_center(parts, head.masses);
    std::vector<double> q(topology_.atoms), excess(parts.size(), 0.0);
    for (int64_t i = 0; i < topology_.atoms; i++) {
        q[i] = head.scale * outputs_[4 * i] + head.references[topology_.number[i]];
        excess[parts.of[i]] += q[i];
    }
    if (dipole) std::fill(dipole, dipole + 3 * topology_.structures, 0.0);
    for (int64_t i = 0; i < topology_.atoms; i++) {
        const int64_t s = topology_.owner[i], f = parts.of[i];
        if (head.flag) q[i] -= (excess[f] - charges_[s]) / (double)parts.counts[f];
        if (charges) charges[topology_.order[i]] = q[i];
        for (int d = 0; d < 3 && dipole; d++) {
            const double own = head.blocks ? head.scale * outputs_[4 * i + 1 + d] : 0.0;
            dipole[3 * s + d] += q[i] * r[3 * i + d] + own;
        }
    }
}

// α = Σ_i [α₀ I + ν⊗r + r⊗ν]
void Engine::sum_polarizability(const Head& head, double* polarizability) const {
    const std::vector<double> r = from_center(fragments(topology_, positions_.data(), weights.net.cutoff), head.masses);
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
