// What happens within each atom: the update (PaiNN, eqs. 9 and 10), the context network of the next message, and
// their reverse passes. Rows first ... last of atoms at a time; `scratch` holds the intermediate blocks.
#pragma once
#include "moments.hpp"

namespace {

// Blocks of `rows` rows in scratch memory, taken one after the other.
struct Scratch {
    float* next;
    float* take(int64_t floats) {
        float* p = next;
        next += floats;
        return p;
    }
};

// x <- silu(x), slope <- its derivative; blocks of `rows` rows.
void activate(float* x, int blocks, int rows, float* slope, ptrdiff_t slope_stride) {
    for (int b = 0; b < blocks; b++)
        for (int k = 0; k < rows * BLOCK; k += LANES) {
            vec d;
            store(x + (ptrdiff_t)b * rows * BLOCK + k, silu(load(x + (ptrdiff_t)b * rows * BLOCK + k), d));
            if (slope) store(slope + b * slope_stride + k, d);
        }
}

void times(float* x, int blocks, int rows, const float* factor, ptrdiff_t factor_stride) {
    for (int b = 0; b < blocks; b++)
        for (int k = 0; k < rows * BLOCK; k += LANES) {
            float* p = x + (ptrdiff_t)b * rows * BLOCK + k;
            store(p, load(p) * load(factor + b * factor_stride + k));
        }
}

// [s, |V|] of each atom; `mixed` holds V of the rows, three per atom.
void scalars_and_norms(const float* s, ptrdiff_t s_stride, int s_blocks, const float* mixed, ptrdiff_t stride, int blocks,
                       int rows, float epsilon, float* out) {
    for (int b = 0; b < s_blocks; b++, out += rows * BLOCK) memcpy(out, s + b * s_stride, sizeof(float) * rows * BLOCK);
    for (int b = 0; b < blocks; b++)
        for (int i = 0; i < rows; i++)
            for (int lane = 0; lane < BLOCK; lane += LANES, out += LANES) {
                const float* v = mixed + b * stride + (ptrdiff_t)i * 3 * BLOCK + lane;
                const vec x = load(v), y = load(v + BLOCK), z = load(v + 2 * BLOCK);
                store(out, root(x * x + y * y + z * z + all(epsilon)));
            }
}

PAINN_INLINE void load3(const float* p, vec* x) {
    for (int d = 0; d < 3; d++) x[d] = load(p + d * BLOCK);
}

PAINN_INLINE vec dot3(const vec* a, const vec* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// Pointers to one strip of one atom in the arrays that the update works on.
struct Strip {
    ptrdiff_t n;  // atoms of the group
    int blocks;
    ptrdiff_t at(int b, int64_t i, int lane) const { return (b * n + i) * BLOCK + lane; }
    const float* V(const LayerState& l, int b, int64_t i, int lane) const { return l.mixed + (b * n + i) * 3 * BLOCK + lane; }
    const float* U(const LayerState& l, int b, int64_t i, int lane) const { return V(l, b + blocks, i, lane); }
};

// s += Δs, v = Δv and [V, U] of the rows from their moments.
void first_message(const Pass& p, int64_t first, int rows, float* mixed, float* memory) {
    const Moments& m = *p.first;
    const ptrdiff_t stride = p.rows.atoms * BLOCK;
    gather_moments(p, first, rows, 0, 1, memory);
    multiply({memory, rows * BLOCK}, rows, m.scalars.weight, m.scalars.inputs, m.scalars.inputs, m.scalars.outputs, nullptr,
             Start::output, {p.s + first * BLOCK, stride});
    gather_moments(p, first, rows, 1, 3, memory);
    forward(m.vectors, {memory, 3 * rows * BLOCK}, 3 * rows, {p.v + first * 3 * BLOCK, 3 * stride});
    forward(m.mixed, {memory, 3 * rows * BLOCK}, 3 * rows, {mixed, 3 * stride});
}

// Gradients of the rows' moments from those of s, v and [V, U].
void first_message_backward(const Pass& p, int64_t first, int rows, const float* g_mixed, float* memory) {
    const Moments& m = *p.first;
    const ptrdiff_t stride = p.rows.atoms * BLOCK;
    backward(m.scalars, {p.g_s + first * BLOCK, stride}, rows, {memory, rows * BLOCK});
    scatter_moments(p, first, rows, 0, 1, memory);
    const Output out{memory, 3 * rows * BLOCK};
    backward(m.mixed, {g_mixed, 3 * rows * BLOCK}, 3 * rows, out);
    if (p.net->T > 1) backward(m.vectors, {p.g_v + first * 3 * BLOCK, 3 * stride}, 3 * rows, out, Start::output);
    scatter_moments(p, first, rows, 1, 3, memory);
}

void update_forward(const Pass& p, int t, int64_t first, int64_t last, float* memory) {
    const Network& net = *p.net;
    const Interaction& w = net.set(t);
    const LayerState& state = p.layers[t];
    const int64_t n = p.rows.atoms;
    const int rows = (int)(last - first), B = net.blocks;
    const ptrdiff_t stride = n * BLOCK;
    const bool vectors = t + 1 < net.T || p.vectors_read;
    Scratch scratch{memory};
    float* joined = scratch.take(2 * net.F * rows);
    float* hidden = scratch.take(net.F * rows);

    float* mixed = state.mixed + first * 3 * BLOCK;
    if (t == 0 && p.first)
        first_message(p, first, rows, mixed, memory);
    else
        forward(w.mix, {p.v + first * 3 * BLOCK, 3 * stride}, 3 * rows, {mixed, 3 * stride});
    scalars_and_norms(p.s + first * BLOCK, stride, B, mixed, 3 * stride, B, rows, net.epsilon, joined);
    forward(w.update_1, {joined, rows * BLOCK}, rows, {hidden, rows * BLOCK});
    activate(hidden, B, rows, state.slope_2 + first * BLOCK, stride);
    forward(w.update_2, {hidden, rows * BLOCK}, rows, {state.update + first * BLOCK, stride}, vectors ? 3 * net.F : 2 * net.F);

    const Strip k{n, B};
    for (int b = 0; b < B; b++)
        for (int64_t i = first; i < last; i++)
            for (int lane = 0; lane < BLOCK; lane += LANES) {
                vec V[3], U[3];
                load3(k.V(state, b, i, lane), V);
                load3(k.U(state, b, i, lane), U);
                const vec a_ss = load(state.update + k.at(b, i, lane)), a_sv = load(state.update + k.at(b + B, i, lane));
                float* s = p.s + k.at(b, i, lane);
                store(s, load(s) + a_ss + a_sv * dot3(U, V));
                if (!vectors) continue;
                const vec a_vv = load(state.update + k.at(b + 2 * B, i, lane));
                float* v = p.v + (b * n + i) * 3 * BLOCK + lane;
                for (int d = 0; d < 3; d++) store(v + d * BLOCK, load(v + d * BLOCK) + a_vv * U[d]);
            }
}

// x = context(s) for the message of interaction t, and v beside it.
void context_forward(const Pass& p, int t, int64_t first, int64_t last, float* memory) {
    const Network& net = *p.net;
    const Interaction& w = net.set(t);
    const LayerState& state = p.layers[t];
    const int64_t n = p.rows.atoms, all = p.rows.all();
    const int rows = (int)(last - first), B = net.blocks;
    Scratch scratch{memory};
    float* hidden = scratch.take(net.F * rows);
    forward(w.context_1, {p.s + first * BLOCK, n * BLOCK}, rows, {hidden, rows * BLOCK});
    activate(hidden, B, rows, state.slope_1 + first * BLOCK, n * BLOCK);
    float* node = state.node + first * 6 * BLOCK;
    for (int c = 0; c < FILTERS; c++)
        forward(w.context_2[c], {hidden, rows * BLOCK}, rows, {node + c * BLOCK, all * 6 * BLOCK, 6 * BLOCK});
    for (int b = 0; b < B; b++)
        for (int i = 0; i < rows; i++)
            memcpy(node + (b * all + i) * 6 * BLOCK + 3 * BLOCK, p.v + (b * n + first + i) * 3 * BLOCK,
                   3 * BLOCK * sizeof(float));
}

// From ∂E/∂s, ∂E/∂v after the update to those before it; in place. v of the last update moves no energy.
void update_backward(const Pass& p, int t, int64_t first, int64_t last, float* memory) {
    const Network& net = *p.net;
    const Interaction& w = net.set(t);
    const LayerState& state = p.layers[t];
    const int64_t n = p.rows.atoms;
    const int rows = (int)(last - first), B = net.blocks;
    const ptrdiff_t stride = n * BLOCK;
    const bool final = t + 1 == net.T;
    Scratch scratch{memory};
    float* g_update = scratch.take(3 * net.F * rows);
    float* g_hidden = scratch.take(net.F * rows);
    float* g_joined = scratch.take(2 * net.F * rows);
    float* g_mixed = scratch.take(6 * net.F * rows);

    const Strip k{n, B};
    const auto local = [&](int b, int i, int lane) { return ((ptrdiff_t)b * rows + i) * BLOCK + lane; };
    for (int b = 0; b < B; b++)
        for (int i = 0; i < rows; i++)
            for (int lane = 0; lane < BLOCK; lane += LANES) {
                vec V[3], U[3], g_v[3];
                load3(k.V(state, b, first + i, lane), V);
                load3(k.U(state, b, first + i, lane), U);
                const vec g_s = load(p.g_s + k.at(b, first + i, lane));
                store(g_update + local(b, i, lane), g_s);
                store(g_update + local(b + B, i, lane), g_s * dot3(U, V));
                if (final) continue;
                load3(p.g_v + (b * n + first + i) * 3 * BLOCK + lane, g_v);
                store(g_update + local(b + 2 * B, i, lane), dot3(g_v, U));
            }
    backward(w.update_2, {g_update, rows * BLOCK}, rows, {g_hidden, rows * BLOCK}, Start::zero, final ? 2 * net.F : 0);
    times(g_hidden, B, rows, state.slope_2 + first * BLOCK, stride);
    backward(w.update_1, {g_hidden, rows * BLOCK}, rows, {g_joined, rows * BLOCK});

    for (int b = 0; b < B; b++)
        for (int i = 0; i < rows; i++)
            for (int lane = 0; lane < BLOCK; lane += LANES) {
                vec V[3], U[3], g_v[3];
                load3(k.V(state, b, first + i, lane), V);
                load3(k.U(state, b, first + i, lane), U);
                float* g_s = p.g_s + k.at(b, first + i, lane);
                const vec g_D = load(g_s) * load(state.update + k.at(b + B, first + i, lane));
                const vec norm = root(dot3(V, V) + all(net.epsilon));
                const vec pull = load(g_joined + local(b + B, i, lane)) / norm;
                float* g_V = g_mixed + ((ptrdiff_t)b * rows + i) * 3 * BLOCK + lane;
                float* g_U = g_V + (ptrdiff_t)B * rows * 3 * BLOCK;
                if (!final) load3(p.g_v + (b * n + first + i) * 3 * BLOCK + lane, g_v);
                const vec a_vv = final ? vec{} : load(state.update + k.at(b + 2 * B, first + i, lane));
                for (int d = 0; d < 3; d++) {
                    store(g_V + d * BLOCK, g_D * U[d] + pull * V[d]);
                    store(g_U + d * BLOCK, final ? g_D * V[d] : g_D * V[d] + a_vv * g_v[d]);
                }
                store(g_s, load(g_s) + load(g_joined + local(b, i, lane)));
            }
    if (t == 0 && p.first) return first_message_backward(p, first, rows, g_mixed, memory);
    backward(w.mix, {g_mixed, rows * 3 * BLOCK}, 3 * rows, {p.g_v + first * 3 * BLOCK, 3 * stride},
             final ? Start::zero : Start::output);
    const int64_t all = p.rows.all();
    for (int b = 0; b < B && t > 0; b++) memset(p.heard + (b * all + first) * 5 * BLOCK, 0, sizeof(float) * rows * 5 * BLOCK);
}

// From what the neighbours answered to ∂E/∂s, ∂E/∂v before the message of interaction t; in place.
void context_backward(const Pass& p, int t, int64_t first, int64_t last, float* memory) {
    const Network& net = *p.net;
    const Interaction& w = net.set(t);
    const LayerState& state = p.layers[t];
    const int64_t n = p.rows.atoms, all = p.rows.all();
    const int rows = (int)(last - first), B = net.blocks;
    Scratch scratch{memory};
    float* g_x = scratch.take(3 * net.F * rows);
    float* g_hidden = scratch.take(net.F * rows);
    for (int b = 0; b < B; b++)
        for (int i = 0; i < rows; i++)
            for (int lane = 0; lane < BLOCK; lane += LANES) {
                const float* heard = p.heard + (b * all + first + i) * 5 * BLOCK + lane;
                const float* node = state.node + (b * all + first + i) * 6 * BLOCK + lane;
                float* g_v = p.g_v + (b * n + first + i) * 3 * BLOCK + lane;
                const ptrdiff_t at = (ptrdiff_t)i * BLOCK + lane, size = (ptrdiff_t)rows * BLOCK;
                vec S[3], v[3];
                load3(heard + 2 * BLOCK, S);
                load3(node + 3 * BLOCK, v);
                const vec x_vv = load(node + 2 * BLOCK);
                store(g_x + b * size + at, load(heard));
                store(g_x + (b + B) * size + at, load(heard + BLOCK));
                store(g_x + (b + 2 * B) * size + at, dot3(v, S));
                for (int d = 0; d < 3; d++) store(g_v + d * BLOCK, load(g_v + d * BLOCK) + x_vv * S[d]);
            }
    backward(w.context_2_all, {g_x, rows * BLOCK}, rows, {g_hidden, rows * BLOCK});
    times(g_hidden, B, rows, state.slope_1 + first * BLOCK, n * BLOCK);
    backward(w.context_1, {g_hidden, rows * BLOCK}, rows, {p.g_s + first * BLOCK, n * BLOCK}, Start::output);
}

}  // namespace
