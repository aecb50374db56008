// Heads of gated equivariant blocks (nn/layers.py), by value and hat: [V, W] = mix v, [s', γ] = gate [s, |V|],
// s_out = silu(s') but in the last block, v_out = γ W.
#pragma once
#include "readout.hpp"

namespace painn::training {
namespace {

template <class T>
void gated_value(const Pass<T>& p, const OtherHead<T>& head, const GatedState<T>* state, int64_t first, int64_t last) {
    const int64_t n = last - first;
    for (int k = 0; k < head.depth; k++) {
        const GatedBlock<T>& w = head.blocks[k];
        const GatedState<T>& q = state[k];
        const int in = w.inputs / BLOCK, out = w.outputs / BLOCK, half = out * SPLIT<T>, norms = in * SPLIT<T>;
        copy(k ? state[k - 1].s_out : p.s, q.j, first, last, in);
        if (!k) copy(p.v, q.v, 3 * first, 3 * last, in);
        forward(w.mix, q.v.from(3 * first), 3 * n, q.M.from(3 * first));
        each<T>(out, first, last, [&](int c, int64_t i) {
            const Three<T> V = Three<T>::of(at(q.M, c, 3 * i));
            put<T>(at(q.j, norms + c, i), square_root(V.dot(V) + same<T>((T)head.epsilon)));
        });
        forward(w.gate_1, q.j.from(first), n, q.z.from(first));
        activate(q.z, q.slope, p.h_z, in, first, last);  // the second derivative is not needed
        forward(w.gate_2, q.z.from(first), n, q.g.from(first));
        const bool end = k + 1 == head.depth;
        copy(q.g, q.s_out, first, last, out);
        if (!end) activate(q.s_out, q.s_slope, p.h_z, out, first, last);
        const Rows<T> v = end ? p.h_v : state[k + 1].v;  // the last block's vectors are read at once
        each<T>(out, first, last,
                [&](int c, int64_t i) { (Mixed<T>::of(q.M, c, half, i).U * get(at(q.g, c + half, i))).put(at(v, c, 3 * i)); });
    }
}

template <class T>
void head_value_of(const Pass<T>& p, int index, int64_t first, int64_t last) {
    const OtherHead<T>& head = p.net->heads[index];
    const HeadState<T>& state = p.heads[index];
    if (head.kind == CHARGES) return readout_value(p, head.readout, state.hidden, state.read, 4, first, last);
    gated_value(p, head, state.blocks, first, last);
    const Rows<T> s = state.blocks[head.depth - 1].s_out;
    for (int64_t i = first; i < last; i++) {
        state.read[4 * i] = s.data[i * BLOCK];
        for (int d = 0; d < 3; d++) state.read[4 * i + 1 + d] = p.h_v.data[(3 * i + d) * BLOCK];
    }
}

// Hats of the block's inputs: of the scalars in p.h_j, of the vectors in `v`, from h_s, h_v of its outputs.
template <class T>
void gated_hat(const Pass<T>& p, const GatedBlock<T>& w, const GatedState<T>& q, bool end, Rows<T> h_s, Rows<T> h_v,
               Rows<T> h_j, Rows<T> v, bool accumulate, int64_t first, int64_t last) {
    const int in = w.inputs / BLOCK, out = w.outputs / BLOCK, half = out * SPLIT<T>, norms = in * SPLIT<T>;
    const int64_t n = last - first;
    each<T>(out, first, last, [&](int c, int64_t i) {
        const wide<T> h = get(at(h_s, c, i));
        put<T>(at(q.h_g, c, i), end ? h : h * get(at(q.s_slope, c, i)));
        put<T>(at(q.h_g, c + half, i), Three<T>::of(at(h_v, c, 3 * i)).dot(Mixed<T>::of(q.M, c, half, i).U));
    });
    backward(w.gate_2, q.h_g.from(first), n, p.h_z.from(first));
    multiply_rows(p.h_z, q.slope, q.h_h, in, first, last);
    backward(w.gate_1, q.h_h.from(first), n, h_j.from(first));
    each<T>(out, first, last, [&](int c, int64_t i) {
        const wide<T> pull = get(at(h_j, norms + c, i)) / get(at(q.j, norms + c, i));
        (Mixed<T>::of(q.M, c, half, i).V * pull).put(at(q.h_M, c, 3 * i));
        (Three<T>::of(at(h_v, c, 3 * i)) * get(at(q.g, c + half, i))).put(at(q.h_M, c + half, 3 * i));
    });
    backward(w.mix, q.h_M.from(3 * first), 3 * n, v.from(3 * first), accumulate);
}

// Adds the hats of the representation's scalars and vectors to h_s and h_v. Between blocks the hats of scalars lie where
// their values lay, which have been read.
template <class T>
void head_hat_of(const Pass<T>& p, int index, int64_t first, int64_t last) {
    const OtherHead<T>& head = p.net->heads[index];
    const HeadState<T>& state = p.heads[index];
    if (head.kind == CHARGES)
        return readout_hat(p, head.readout, state.hidden, false, [&](int64_t i) { return state.seed[4 * i]; }, first, last);
    const GatedState<T>& q = state.blocks[head.depth - 1];
    const int out = head.blocks[head.depth - 1].outputs / BLOCK;
    const Rows<T> seeds = p.h_S;
    clear(q.s_out, first, last, out);
    clear(seeds, 3 * first, 3 * last, out);
    for (int64_t i = first; i < last; i++) {
        q.s_out.data[i * BLOCK] = state.seed[4 * i];
        for (int d = 0; d < 3; d++) seeds.data[(3 * i + d) * BLOCK] = state.seed[4 * i + 1 + d];
    }
    Rows<T> h_v = seeds;
    for (int k = head.depth - 1; k >= 0; k--) {
        const GatedState<T>& state_k = state.blocks[k];
        const int in = head.blocks[k].inputs / BLOCK;
        const Rows<T> below = k ? state_k.g_v : p.h_v;
        gated_hat(p, head.blocks[k], state_k, k + 1 == head.depth, state_k.s_out, h_v, p.h_j, below, k == 0, first, last);
        if (k)
            copy(p.h_j, state.blocks[k - 1].s_out, first, last, in);
        else
            each<T>(in, first, last, [&](int c, int64_t i) { add<T>(at(p.h_s, c, i), get(at(p.h_j, c, i))); });
        h_v = below;
    }
}

}  // namespace
}  // namespace painn::training
