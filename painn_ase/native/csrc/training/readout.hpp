// Readouts of the final scalars: the energy in all four passes, and charges by value and hat.
#pragma once
#include "updates.hpp"

namespace painn::training {
namespace {

// Numbers 4 apart that the readout of each atom says.
template <class T>
void readout_value(const Pass<T>& p, const Readout<T>& net, const Hidden<T>* state, T* out, int step, int64_t first,
                   int64_t last) {
    Rows<T> x = p.s;
    for (int k = 0; k < net.depth; k++) {
        forward(net.hidden[k], x.from(first), last - first, state[k].z.from(first));
        x = state[k].z;
        activate(x, state[k].slope, state[k].bend, net.hidden[k].outputs / BLOCK, first, last);
    }
    const T *row = p.net->flat + net.row, *direct = net.direct < 0 ? nullptr : p.net->flat + net.direct;
    for (int64_t i = first; i < last; i++) {
        wide<T> sum = {};
        for (int c = 0; c < net.width / Wide<T>::SIZE; c++) sum += get(at(x, c, i)) * get(row + c * Wide<T>::SIZE);
        if (direct)
            for (int c = 0; c < p.net->blocks * SPLIT<T>; c++) sum += get(at(p.s, c, i)) * get(direct + c * Wide<T>::SIZE);
        out[i * step] = total<T>(sum) + p.net->flat[net.bias];
    }
}

template <class T>
void energy_value_of(const Pass<T>& p, int64_t first, int64_t last) {
    readout_value(p, p.net->energy, p.hidden, p.atomic, 1, first, last);
}

template <class T>
void add_row(Rows<T> x, const T* row, int blocks, int64_t first, int64_t last) {
    each<T>(blocks, first, last, [&](int c, int64_t i) { add<T>(at(x, c, i), get(row + c * Wide<T>::SIZE)); });
}

// Adjoints of the scalars, of the energy without its scale.
template <class T>
void energy_adjoint_of(const Pass<T>& p, int64_t first, int64_t last) {
    const Readout<T>& net = p.net->energy;
    const Rows<T> s = p.layers[p.net->T_ - 1].b_sout;
    const Rows<T> end = net.depth ? p.hidden[net.depth - 1].b_z : s;
    clear(end, first, last, net.width / BLOCK);
    add_row(end, p.net->flat + net.row, net.width / BLOCK, first, last);
    for (int k = net.depth - 1; k >= 0; k--) {
        const Hidden<T>& h = p.hidden[k];
        multiply_rows(h.b_z, h.slope, h.b_h, net.hidden[k].outputs / BLOCK, first, last);
        backward(net.hidden[k], h.b_h.from(first), last - first, (k ? p.hidden[k - 1].b_z : s).from(first));
    }
    if (net.direct >= 0) add_row(s, p.net->flat + net.direct, p.net->blocks, first, last);
}

template <class T>
void energy_tangent_of(const Pass<T>& p, int64_t first, int64_t last) {
    const Readout<T>& net = p.net->energy;
    Rows<T> x = p.t_s;
    for (int k = 0; k < net.depth; k++) {
        const Hidden<T>& h = p.hidden[k];
        forward_linear(net.hidden[k], x.from(first), last - first, h.t_z.from(first));
        bend_rows(h.t_z, h.slope, h.bend, net.hidden[k].outputs / BLOCK, first, last);
        x = h.t_z;
    }
}

// From the hats of what the readout says, `factor(i)`, to those of the scalars, added to p.h_s.
template <class T, class Factor>
void readout_hat(const Pass<T>& p, const Readout<T>& net, const Hidden<T>* state, bool derived, Factor factor, int64_t first,
                 int64_t last) {
    const auto spread = [&](Rows<T> to, const T* row, int blocks) {
        each<T>(blocks, first, last,
                [&](int c, int64_t i) { add<T>(at(to, c, i), get(row + c * Wide<T>::SIZE) * same<T>(factor(i))); });
    };
    const T* row = p.net->flat + net.row;
    if (net.direct >= 0) spread(p.h_s, p.net->flat + net.direct, p.net->blocks);
    if (!net.depth) return spread(p.h_s, row, net.width / BLOCK);
    clear(p.h_z, first, last, net.width / BLOCK);
    spread(p.h_z, row, net.width / BLOCK);
    for (int k = net.depth - 1; k >= 0; k--) {
        const Hidden<T>& h = state[k];
        bent_hat(p.h_z, h.slope, h.b_z, h.bend, h.h_h, derived, net.hidden[k].outputs / BLOCK, first, last);
        backward(net.hidden[k], h.h_h.from(first), last - first, (k ? p.h_z : p.h_s).from(first), k == 0);
    }
}

// `counts`: the energy is part of the loss; else its hats are zero.
template <class T>
void energy_hat_of(const Pass<T>& p, bool counts, int64_t first, int64_t last) {
    clear(p.h_s, first, last, p.net->blocks);
    if (p.vectors_read) clear(p.h_v, 3 * first, 3 * last, p.net->blocks);
    if (!counts) return;
    int s = 0;
    readout_hat(
        p, p.net->energy, p.hidden, p.derived,
        [&](int64_t i) {
            if (i < p.first_atom[s]) s = 0;
            while (i >= p.first_atom[s + 1]) s++;
            return p.factor[s];
        },
        first, last);
}

}  // namespace
}  // namespace painn::training
