// Plain data of a training step, shared by the kernels of every instruction set (docs/training-step.md). T is the
// network's precision. Names: x a value, b_x its adjoint ∂E/∂x, t_x its tangent along the displacement of the pair
// vectors, h_x its "hat" ∂L/∂x.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../model.hpp"

namespace painn::training {

// A matrix (rows, channels) in blocks of 16 channels: element (row, c) lies at c / 16 · stride + row · 16 + c % 16.
template <class T>
struct Rows {
    T* data = nullptr;
    ptrdiff_t stride = 0;
    Rows from(int64_t row, int block = 0) const { return {data + block * stride + row * BLOCK, stride}; }
};

// y = W x + b. Inputs and outputs consist of two parts, each padded to whole blocks; the second may be empty.
template <class T>
struct Dense {
    int in[2] = {0, 0}, out[2] = {0, 0};                          // as torch has them
    int inputs = 0, outputs = 0;                                  // padded
    int64_t weight = -1, bias = -1;                               // places in the flat array; -1: no bias
    T *forward = nullptr, *backward = nullptr, *shift = nullptr;  // packed matrix, its transpose, padded bias
    bool whole() const { return inputs == in[0] + in[1] && outputs == out[0] + out[1]; }
};

// Dense layers with silu between them and one output: `hidden` layers, then a row of weights.
template <class T>
struct Readout {
    int depth = 0;
    Dense<T>* hidden = nullptr;
    int width = 0;                             // inputs of the last layer, padded
    int64_t row = -1, bias = -1, direct = -1;  // places; direct: w of a term w·s, -1: none
};

template <class T>
struct GatedBlock {
    Dense<T> mix, gate_1, gate_2;
    int inputs = 0, outputs = 0;  // padded
};

enum HeadKind { CHARGES = PAINN_CHARGES, DIPOLE = PAINN_DIPOLE, POLARIZABILITY = PAINN_POLARIZABILITY, CELL_DIPOLE };

// A head beside the energy: it enters the loss by its value alone.
template <class T>
struct OtherHead {
    int kind = 0, depth = 0, correct = 0;
    double scale = 1, epsilon = 0;
    Readout<T> readout;               // CHARGES
    GatedBlock<T>* blocks = nullptr;  // the others
    const double *references = nullptr, *masses = nullptr;
};

template <class T>
struct Filter {
    int64_t weight = -1, bias = -1;
    T* packed = nullptr;  // [block][radial + 1][W_s, W_vs, W_vv][16], the last row from the bias
};

template <class T>
struct Interaction {
    Dense<T> context_1, context_2, mix, update_1, update_2;
};

template <class T>
struct Network {
    int F = 0, T_ = 0, blocks = 0, radial = 0;  // radial: functions, the constant one of the bias included
    double cutoff = 0;
    T epsilon = 0;
    int n_sets = 0, n_filters = 0, n_heads = 0, elements = 0;
    Interaction<T>* sets = nullptr;
    Filter<T>* filters = nullptr;
    int64_t embedding = -1;
    bool mean = false;  // the energy is divided by the number of atoms
    double scale = 1;   // of the energy
    Readout<T> energy;
    OtherHead<T>* heads = nullptr;
    const T* flat = nullptr;  // all parameters
    int intervals = 0;
    const double* spline = nullptr;  // (intervals + 5, padded radial): quintic splines of [φ fc, fc]
    const Interaction<T>& set(int t) const { return sets[t % n_sets]; }
    const Filter<T>& filter(int t) const { return filters[t % n_filters]; }
};

// Arrays of one message and update. j = [s', n], a = [a_ss, a_vv, a_sv], M = [V, U], `out` after the update.
template <class T>
struct Layer {
    Rows<T> s, z_c, z_u, v1, j, b_M, b_a, b_x, b_hc, b_hu;          // weight gradients read these: of the whole wave
    Rows<T> t_s, t_zc, t_zu, t_v1, t_j, h_M, h_a, h_x, h_hc, h_hu;  // and these
    Rows<T> v, x, M, a, slope_c, bend_c, slope_u, bend_u;           // bend: silu'', and from the tangents on silu'' ḣ
    Rows<T> b_sout, b_vout, b_zu, b_j, b_s, b_v, b_S, b_zc;
    Rows<T> t_v, t_x, t_M, t_a;
};

template <class T>
struct Hidden {                // of one hidden layer of a readout
    Rows<T> z, b_h, t_z, h_h;  // of the whole wave
    Rows<T> slope, bend, b_z;
};

template <class T>
struct GatedState {
    Rows<T> v, j, z, h_M, h_h, h_g;            // of the whole wave
    Rows<T> M, g, slope, s_out, s_slope, g_v;  // g_v: hats of v
};

template <class T>
struct HeadState {
    Hidden<T>* hidden = nullptr;
    GatedState<T>* blocks = nullptr;
    T* read = nullptr;  // (atoms, 4): what the network says, scalar and vector
    T* seed = nullptr;  // (atoms, 4): ∂L/∂(read)
    bool active = false;
};

// The first context depends on the element alone: a table over the elements at hand.
template <class T>
struct ElementTable {
    int count = 0;
    const int32_t* numbers = nullptr;
    Rows<T> s, z, slope, x, h_x, h_z, h_h, h_s;
};

struct Chunk {  // atoms of one structure whose pairs are worked off together
    int64_t first, last;
    int structure;  // within the group
};

// A group of structures while one thread, or all of them together, work on it; atoms and pairs count within it.
template <class T>
struct Pass {
    const Network<T>* net;
    int64_t atoms, pairs;
    int structures, n_chunks;
    const int64_t *first_atom, *first_pair;  // (structures + 1)
    const int64_t* row;                      // (atoms + 1) pairs of atom i, each pair once
    const int32_t *neighbor, *center;        // (pairs)
    const int32_t* species;                  // (atoms) row of the element table
    const double* const* vectors;            // (structures) r_ij of each
    const Chunk* chunks;
    ElementTable<T> table;
    bool vectors_read;              // a head reads v
    bool derived;                   // forces or stress are in the loss
    bool stored;                    // filters are kept, else remade at each use
    Rows<T> rho, slope;             // ρ, ρ'
    T *unit, *turn, *rate;          // (pairs, 4) r̂; (pairs, 4) its tangent; (pairs) ḋ
    double *distance, *exact_unit;  // (pairs), (pairs, 3)
    T* gradient;                    // [block][pair][4]: ∂E/∂|r|, ∂E/∂r̂
    T *W, *dW;                      // [t][block][pair][3][16]
    Layer<T>* layers;
    Rows<T> s, v, t_s;  // after the last update
    Rows<T> h_s0;       // hats of the embedded atoms
    Hidden<T>* hidden;  // of the energy
    T* atomic;          // (atoms) energies, without scale and references
    HeadState<T>* heads;
    Rows<T> h_s, h_v, h_j, h_z, h_S;  // of P4, reused by every layer
    T* factor;                        // (structures) ∂L/∂E · scale
    double* share;                    // (structures) scale of the energy, divided by the atoms where it is their mean
    double *forces, *virial;          // (atoms, 3), (structures, 3, 3) Σ r ⊗ g; then seeds u and G
    T* partial;                       // [structure][t][block][radial][3][16] gradients of the filters
    bool passes_vectors(int t) const { return t + 1 < net->T_ || vectors_read; }
};

// Sums of y xᵀ over rows: part of a weight gradient.
template <class T>
struct Segment {
    Rows<T> y, x;
    int64_t rows;
    bool hat;  // y is a hat, so its sum is part of the bias gradient
};

template <class T>
struct GradientTask {
    const Dense<T>* layer;
    const Segment<T>* segments;
    int count, first_row, rows;  // rows of the padded matrix
    int first_column, columns;   // in registers
    bool accumulate;
};

struct Optimizer {  // one step of AdamW and of the moving average
    double learning_rate, decay, beta_1, beta_2, epsilon, follow;
    double correction_1, correction_2;  // 1 - βᵗ
};

template <class T>
struct Moments {
    T *weights, *gradient, *first, *second, *average;
};

template <class T>
struct Kernels {
    int registers;  // vectors per block
    int strip;      // registers per strip of a weight gradient
    void (*pack)(const Network<T>&, const Dense<T>&);
    void (*pack_filter)(const Network<T>&, const Filter<T>&);
    void (*geometry)(const Pass<T>&, int64_t first, int64_t last);
    void (*table)(const Network<T>&, const ElementTable<T>&);
    void (*embed)(const Pass<T>&, int64_t first, int64_t last);
    void (*filters)(const Pass<T>&, int t, int block);
    void (*context_value)(const Pass<T>&, int t, int64_t first, int64_t last);
    void (*message_value)(const Pass<T>&, int t, int block, T* scratch);
    void (*update_value)(const Pass<T>&, int t, int64_t first, int64_t last);
    void (*energy_value)(const Pass<T>&, int64_t first, int64_t last);
    void (*head_value)(const Pass<T>&, int head, int64_t first, int64_t last);
    void (*energy_adjoint)(const Pass<T>&, int64_t first, int64_t last);
    void (*update_adjoint)(const Pass<T>&, int t, int64_t first, int64_t last);
    void (*message_adjoint)(const Pass<T>&, int t, int block, T* scratch);
    void (*context_adjoint)(const Pass<T>&, int t, int64_t first, int64_t last);
    void (*collect)(const Pass<T>&);
    void (*displace)(const Pass<T>&);
    void (*context_tangent)(const Pass<T>&, int t, int64_t first, int64_t last);
    void (*message_tangent)(const Pass<T>&, int t, int block, T* scratch);
    void (*update_tangent)(const Pass<T>&, int t, int64_t first, int64_t last);
    void (*energy_tangent)(const Pass<T>&, int64_t first, int64_t last);
    void (*energy_hat)(const Pass<T>&, bool counts, int64_t first, int64_t last);
    void (*head_hat)(const Pass<T>&, int head, int64_t first, int64_t last);
    void (*update_hat)(const Pass<T>&, int t, int64_t first, int64_t last);
    void (*message_hat)(const Pass<T>&, int t, int block, T* scratch);
    void (*context_hat)(const Pass<T>&, int t, int64_t first, int64_t last);
    void (*gradient)(const GradientTask<T>&, T* gradients, T* scratch);
    void (*filter_gradient)(const Network<T>&, int filter, int block, const T* partial, int structures, bool accumulate,
                            T* gradients, T* scratch);
    void (*sum_rows)(const Rows<T>& x, int64_t rows, int blocks, T* out);
    void (*table_hat)(const Network<T>&, const ElementTable<T>&);
    double (*square)(const T* x, int64_t count);
    void (*optimize)(const Moments<T>&, const Optimizer&, bool decays, T clip, int64_t first, int64_t last);
};

template <class T>
struct Sets {
    const Kernels<T>* (*kernels)();
};

}  // namespace painn::training
