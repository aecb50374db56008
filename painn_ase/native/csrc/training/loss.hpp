// Predictions of a group from what its passes left, the loss, and the seeds of its derivatives; all in float64.
#pragma once
#include "workspace.hpp"

namespace painn::training {

// The loss of a batch: each label counts w ⟨f(Δ/σ)⟩ over its labelled rows (painn_ase/training/loss.py).
struct Criterion {
    PainnLoss given;
    int64_t rows[LABELS] = {};  // labelled in the batch
    bool counts(int label) const { return given.weights[label] > 0 && rows[label] > 0; }

    // w/rows · f(Δ/σ) of one row of `components` numbers, which become its derivatives.
    double row(int label, double* error) const;
};

// Adds what a fixed pair potential does to the forces and virials of the pass.
template <class T>
void add_base(const Pass<T>& p, const Sample* const* samples);

// Fills what `out` asks for; of structures from `structure` and atoms from `atom` on. Forces and virials are in the pass.
template <class T>
void predict(const Pass<T>& p, const Mode& mode, const Sample* const* samples, int64_t structure, int64_t atom,
             const PainnOutputs& out);

// Losses of the structures, and seeds: the pass's factor, forces (u), virial (G) and the heads' seeds.
template <class T>
void seed(const Pass<T>& p, const Mode& mode, const Criterion& criterion, const Sample* const* samples, double* losses);

}  // namespace painn::training
