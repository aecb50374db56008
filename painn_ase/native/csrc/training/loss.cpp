#include "loss.hpp"

#include <cmath>
#include <cstring>
#include <vector>

namespace painn::training {

namespace {

constexpr double ROUNDED = 1e-3;  // in units of a label's size, as in painn_ase/training/loss.py

template <class T>
double energy_of(const Pass<T>& p, int s, const Sample& sample) {
    double sum = 0, base = 0;
    for (int64_t i = p.first_atom[s]; i < p.first_atom[s + 1]; i++) sum += (double)p.atomic[i];
    for (const double e : sample.base) base += e;
    return base + p.share[s] * sum;
}

template <class T>
void atomic_energies(const Pass<T>& p, int s, const Sample& sample, double* energies) {
    for (int64_t i = 0; i < sample.atoms; i++)
        energies[i] = sample.base[i] + p.share[s] * (double)p.atomic[p.first_atom[s] + i];
}

// sym(Σ r ⊗ g)/V
template <class T>
void stress_of(const Pass<T>& p, int s, const Sample& sample, double* stress) {
    const double* virial = p.virial + 9 * s;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) stress[3 * a + b] = (virial[3 * a + b] + virial[3 * b + a]) / (2 * sample.volume);
}

template <class T>
class Molecule {  // one structure as a head beside the energy sees it
  public:
    Molecule(const Pass<T>& p, int head, int s, const Sample& sample)
        : head_(p.net->heads[head]),
          sample_(sample),
          read_(p.heads[head].read + 4 * p.first_atom[s]),
          seed_(p.heads[head].seed + 4 * p.first_atom[s]),
          centers_(4 * sample.fragment_atoms.size(), 0.0) {
        for (int64_t i = 0; i < sample.atoms; i++) {
            const double m = head_.masses[sample.numbers[i]];
            double* center = centers_.data() + 4 * sample.fragment[i];
            for (int d = 0; d < 3; d++) center[d] += m * sample.positions[3 * i + d];
            center[3] += m;
        }
        for (size_t f = 0; f < sample.fragment_atoms.size(); f++)
            for (int d = 0; d < 3; d++) centers_[4 * f + d] /= centers_[4 * f + 3];
    }

    void dipole(double* mu) const {
        std::memset(mu, 0, 3 * sizeof(double));
        std::vector<double> excess = means([&](int64_t i) { return charge(i); });
        // several fragments of an ion are refused with the data
        if (head_.correct) excess[0] -= sample_.charge / (double)sample_.fragment_atoms[0];
        for (int64_t i = 0; i < sample_.atoms; i++)
            for (int d = 0; d < 3; d++) {
                if (head_.kind != CELL_DIPOLE) mu[d] += (charge(i) - excess[sample_.fragment[i]]) * arm(i, d);
                if (head_.kind != CHARGES) mu[d] += head_.scale * (double)read_[4 * i + 1 + d];
            }
    }

    void polarizability(double* alpha) const {
        std::memset(alpha, 0, 9 * sizeof(double));
        for (int64_t i = 0; i < sample_.atoms; i++)
            for (int a = 0; a < 3; a++) {
                alpha[4 * a] += charge(i);
                for (int b = 0; b < 3; b++)
                    alpha[3 * a + b] +=
                        head_.scale * ((double)read_[4 * i + 1 + a] * arm(i, b) + (double)read_[4 * i + 1 + b] * arm(i, a));
            }
    }

    void seed_dipole(const double* lambda) const {
        const std::vector<double> mean = means([&](int64_t i) { return along(i, lambda); });
        for (int64_t i = 0; i < sample_.atoms; i++) {
            seed_[4 * i] = head_.kind == CELL_DIPOLE ? 0 : (T)(head_.scale * (along(i, lambda) - mean[sample_.fragment[i]]));
            for (int d = 0; d < 3; d++) seed_[4 * i + 1 + d] = (T)(head_.scale * lambda[d]);
        }
    }

    void seed_polarizability(const double* lambda) const {
        for (int64_t i = 0; i < sample_.atoms; i++) {
            seed_[4 * i] = (T)(head_.scale * (lambda[0] + lambda[4] + lambda[8]));
            for (int a = 0; a < 3; a++) {
                double sum = 0;
                for (int b = 0; b < 3; b++) sum += (lambda[3 * a + b] + lambda[3 * b + a]) * arm(i, b);
                seed_[4 * i + 1 + a] = (T)(head_.scale * sum);
            }
        }
    }

  private:
    double charge(int64_t i) const { return head_.scale * (double)read_[4 * i] + head_.references[sample_.numbers[i]]; }
    double arm(int64_t i, int d) const { return sample_.positions[3 * i + d] - centers_[4 * sample_.fragment[i] + d]; }
    double along(int64_t i, const double* lambda) const {
        return lambda[0] * arm(i, 0) + lambda[1] * arm(i, 1) + lambda[2] * arm(i, 2);
    }

    // Of each fragment the mean over its atoms, if the head conserves charges; else zeros.
    template <class Value>
    std::vector<double> means(Value value) const {
        std::vector<double> found(sample_.fragment_atoms.size(), 0.0);
        for (int64_t i = 0; i < sample_.atoms && head_.correct; i++)
            found[sample_.fragment[i]] += value(i) / (double)sample_.fragment_atoms[sample_.fragment[i]];
        return found;
    }

    const OtherHead<T>& head_;
    const Sample& sample_;
    const T* read_;
    T* seed_;
    std::vector<double> centers_;  // (fragments, 4), the mass last
};

}  // namespace

double Criterion::row(int label, double* error) const {
    const int components = COMPONENTS[label];
    const double weight = given.weights[label] / (double)rows[label], size = given.sizes[label];
    double square = 0;
    for (int c = 0; c < components; c++) square += error[c] * error[c];
    square /= components * size * size;
    double slope = 2;
    double value = square;
    if (given.absolute) {
        const double length = std::sqrt(square + ROUNDED * ROUNDED);
        value = length - ROUNDED, slope = 1 / length;
    }
    for (int c = 0; c < components; c++) error[c] *= weight * slope / (components * size * size);
    return weight * value;
}

template <class T>
void add_base(const Pass<T>& p, const Sample* const* samples) {
    for (int s = 0; s < p.structures; s++) {
        double *forces = p.forces + 3 * p.first_atom[s], *virial = p.virial + 9 * s;
        for (const double f : samples[s]->base_forces) *forces++ += f;
        for (const double w : samples[s]->base_virial) *virial++ += w;
    }
}

template <class T>
void predict(const Pass<T>& p, const Mode& mode, const Sample* const* samples, int64_t structure, int64_t atom,
             const PainnOutputs& out) {
    if (mode.derived && out.forces) std::memcpy(out.forces + 3 * atom, p.forces, 3 * p.atoms * sizeof(double));
    for (int s = 0; s < p.structures; s++) {
        const int64_t k = structure + s;
        if (out.energies) atomic_energies(p, s, *samples[s], out.energies + atom + p.first_atom[s]);
        if (mode.energy && out.energy) out.energy[k] = energy_of(p, s, *samples[s]);
        if (mode.derived && out.stress) stress_of(p, s, *samples[s], out.stress + 9 * k);
        for (int h = 0; h < p.net->n_heads; h++) {
            if (!mode.heads[h]) continue;
            const Molecule<T> molecule(p, h, s, *samples[s]);
            if (p.net->heads[h].kind == POLARIZABILITY)
                molecule.polarizability(out.polarizability + 9 * k);
            else
                molecule.dipole(out.dipole + 3 * k);
        }
    }
}

template <class T>
void seed(const Pass<T>& p, const Mode& mode, const Criterion& criterion, const Sample* const* samples, double* losses) {
    for (int s = 0; s < p.structures; s++) {
        const Sample& sample = *samples[s];
        const int64_t first = p.first_atom[s];
        const auto wanted = [&](int label) { return criterion.counts(label) && !sample.labels[label].empty(); };
        double &loss = losses[s], error[9];
        loss = 0;
        p.factor[s] = 0;
        if (wanted(ENERGY)) {
            error[0] = (energy_of(p, s, sample) - sample.labels[ENERGY][0]) / (double)sample.atoms;
            loss += criterion.row(ENERGY, error);
            p.factor[s] = (T)(error[0] / (double)sample.atoms * p.share[s]);
        }
        if (mode.tangents) {
            double* u = p.forces + 3 * first;
            for (int64_t i = 0; i < sample.atoms; i++) {
                for (int d = 0; d < 3; d++) u[3 * i + d] = wanted(FORCES) ? u[3 * i + d] - sample.labels[FORCES][3 * i + d] : 0;
                if (wanted(FORCES)) loss += criterion.row(FORCES, u + 3 * i);
            }
            double* G = p.virial + 9 * s;
            if (wanted(STRESS)) {
                stress_of(p, s, sample, error);
                for (int c = 0; c < 9; c++) error[c] -= sample.labels[STRESS][c];
                loss += criterion.row(STRESS, error);
                for (int a = 0; a < 3; a++)
                    for (int b = 0; b < 3; b++) G[3 * a + b] = (error[3 * a + b] + error[3 * b + a]) / (2 * sample.volume);
            } else {
                std::memset(G, 0, 9 * sizeof(double));
            }
        }
        for (int h = 0; h < p.net->n_heads; h++) {
            if (!mode.heads[h]) continue;
            const bool tensor = p.net->heads[h].kind == POLARIZABILITY;
            const int label = tensor ? POLARIZABILITY_TENSOR : DIPOLE_MOMENT;
            if (!wanted(label)) {
                std::memset(p.heads[h].seed + 4 * first, 0, 4 * sample.atoms * sizeof(T));
                continue;
            }
            const Molecule<T> molecule(p, h, s, sample);
            tensor ? molecule.polarizability(error) : molecule.dipole(error);
            for (int c = 0; c < COMPONENTS[label]; c++) error[c] -= sample.labels[label][c];
            loss += criterion.row(label, error);
            tensor ? molecule.seed_polarizability(error) : molecule.seed_dipole(error);
        }
    }
}

template void add_base(const Pass<float>&, const Sample* const*);
template void add_base(const Pass<double>&, const Sample* const*);
template void predict(const Pass<float>&, const Mode&, const Sample* const*, int64_t, int64_t, const PainnOutputs&);
template void predict(const Pass<double>&, const Mode&, const Sample* const*, int64_t, int64_t, const PainnOutputs&);
template void seed(const Pass<float>&, const Mode&, const Criterion&, const Sample* const*, double*);
template void seed(const Pass<double>&, const Mode&, const Criterion&, const Sample* const*, double*);

}  // namespace painn::training
