// What happens within atoms in the four passes: contexts before a message, and updates after it.
#pragma once
#include "dense.hpp"

namespace painn::training {
namespace {

// V, U (or their tangents, adjoints, hats) of one register of channels of atom i.
template <class T>
struct Mixed {
    Three<T> V, U;
    static PAINN_INLINE Mixed of(Rows<T> M, int c, int half, int64_t i) {
        return {Three<T>::of(at(M, c, 3 * i)), Three<T>::of(at(M, c + half, 3 * i))};
    }
};

// a_ss and a_sv of an update whose vectors nobody reads: a_vv between them is not made.
template <class T>
void forward_scalars(const Dense<T>& layer, Rows<T> z, int64_t rows, int blocks, Rows<T> a, const T* shift) {
    for (int first = 0; first <= 2 * blocks; first += 2 * blocks)
        product<T>(z, rows, layer.inputs, {layer.forward, layer.inputs, 3 * blocks, 0, first, first + blocks}, a.from(0, first),
                   shift, false);
}

// z̄ or ẑ from the adjoints or hats of a, without those of a_vv if there are no `vectors`.
template <class T>
void backward_scalars(const Dense<T>& layer, Rows<T> a, int64_t rows, int blocks, bool vectors, Rows<T> z) {
    if (vectors) return backward(layer, a, rows, z);
    const int F = blocks * BLOCK;
    for (int first = 0; first <= 2 * blocks; first += 2 * blocks)
        product<T>(a.from(0, first), rows, F, {layer.backward, layer.outputs, blocks, first * BLOCK, 0, blocks}, z, nullptr,
                   first > 0);
}

// s and v after update t.
template <class T>
PAINN_INLINE Rows<T> s_after(const Pass<T>& p, int t) {
    return t + 1 < p.net->T_ ? p.layers[t + 1].s : p.s;
}
template <class T>
PAINN_INLINE Rows<T> v_after(const Pass<T>& p, int t) {
    return t + 1 < p.net->T_ ? p.layers[t + 1].v : p.v;
}

template <class T>
void embed_atoms(const Pass<T>& p, int64_t first, int64_t last) {
    const Layer<T>& q = p.layers[0];
    each<T>(p.net->blocks, first, last, [&](int c, int64_t i) { put<T>(at(q.j, c, i), get(at(p.table.s, c, p.species[i]))); });
    each<T>(3 * p.net->blocks, first, last,
            [&](int c, int64_t i) { put<T>(at(q.x, c, i), get(at(p.table.x, c, p.species[i]))); });
}

// ---- P1
template <class T>
void context_value_of(const Pass<T>& p, int t, int64_t first, int64_t last) {
    const Interaction<T>& w = p.net->set(t);
    const Layer<T>& q = p.layers[t];
    forward(w.context_1, q.s.from(first), last - first, q.z_c.from(first));
    activate(q.z_c, q.slope_c, q.bend_c, p.net->blocks, first, last);
    forward(w.context_2, q.z_c.from(first), last - first, q.x.from(first));
}

template <class T>
void update_value_of(const Pass<T>& p, int t, int64_t first, int64_t last) {
    const Interaction<T>& w = p.net->set(t);
    const Layer<T>& q = p.layers[t];
    const int blocks = p.net->blocks, half = blocks * SPLIT<T>;
    const int64_t n = last - first;
    const bool vectors = p.passes_vectors(t);
    forward(w.mix, q.v1.from(3 * first), 3 * n, q.M.from(3 * first));
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const Three<T> V = Three<T>::of(at(q.M, c, 3 * i));
        put<T>(at(q.j, c + half, i), square_root(V.dot(V) + p.net->epsilon));
    });
    forward(w.update_1, q.j.from(first), n, q.z_u.from(first));
    activate(q.z_u, q.slope_u, q.bend_u, blocks, first, last);
    if (vectors)
        forward(w.update_2, q.z_u.from(first), n, q.a.from(first));
    else
        forward_scalars(w.update_2, q.z_u.from(first), n, blocks, q.a.from(first), (const T*)w.update_2.shift);
    const Rows<T> s = s_after(p, t), v = v_after(p, t);
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const auto m = Mixed<T>::of(q.M, c, half, i);
        put<T>(at(s, c, i), get(at(q.j, c, i)) + get(at(q.a, c, i)) + get(at(q.a, c + 2 * half, i)) * m.U.dot(m.V));
        if (vectors) (Three<T>::of(at(q.v1, c, 3 * i)) + m.U * get(at(q.a, c + half, i))).put(at(v, c, 3 * i));
    });
}

// ---- P2; b_sout, b_vout are given, and of the energy nothing else reads the last vectors
template <class T>
void update_adjoint_of(const Pass<T>& p, int t, int64_t first, int64_t last) {
    const Interaction<T>& w = p.net->set(t);
    const Layer<T>& q = p.layers[t];
    const int blocks = p.net->blocks, half = blocks * SPLIT<T>;
    const int64_t n = last - first;
    const bool vectors = t + 1 < p.net->T_;
    if (!vectors && p.vectors_read) clear(q.b_a.from(0, blocks), first, last, blocks);  // weight gradients read it
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const auto m = Mixed<T>::of(q.M, c, half, i);
        const wide<T> g = get(at(q.b_sout, c, i));
        put<T>(at(q.b_a, c, i), g);
        put<T>(at(q.b_a, c + 2 * half, i), g * m.U.dot(m.V));
        if (vectors) put<T>(at(q.b_a, c + half, i), Three<T>::of(at(q.b_vout, c, 3 * i)).dot(m.U));
    });
    backward_scalars(w.update_2, q.b_a.from(first), n, blocks, vectors, q.b_zu.from(first));
    multiply_rows(q.b_zu, q.slope_u, q.b_hu, blocks, first, last);
    backward(w.update_1, q.b_hu.from(first), n, q.b_j.from(first));
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const auto m = Mixed<T>::of(q.M, c, half, i);
        const wide<T> g = get(at(q.b_sout, c, i)), D = g * get(at(q.a, c + 2 * half, i));
        const wide<T> pull = get(at(q.b_j, c + half, i)) / get(at(q.j, c + half, i));
        put<T>(at(q.b_s, c, i), g + get(at(q.b_j, c, i)));
        (m.U * D + m.V * pull).put(at(q.b_M, c, 3 * i));
        const Three<T> G = vectors ? Three<T>::of(at(q.b_vout, c, 3 * i)) : Three<T>{};
        (vectors ? m.V * D + G * get(at(q.a, c + half, i)) : m.V * D).put(at(q.b_M, c + half, 3 * i));
        G.put(at(q.b_v, c, 3 * i));
    });
    backward(w.mix, q.b_M.from(3 * first), 3 * n, q.b_v.from(3 * first), true);
}

template <class T>
void context_adjoint_of(const Pass<T>& p, int t, int64_t first, int64_t last) {
    const Interaction<T>& w = p.net->set(t);
    const Layer<T>&q = p.layers[t], &before = p.layers[t - 1];
    const int blocks = p.net->blocks, half = blocks * SPLIT<T>;
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const Three<T> S = Three<T>::of(at(q.b_S, c, 3 * i));
        put<T>(at(q.b_x, c + 2 * half, i), S.dot(Three<T>::of(at(q.v, c, 3 * i))));
        (Three<T>::of(at(q.b_v, c, 3 * i)) + S * get(at(q.x, c + 2 * half, i))).put(at(before.b_vout, c, 3 * i));
        put<T>(at(before.b_sout, c, i), get(at(q.b_s, c, i)));
    });
    backward(w.context_2, q.b_x.from(first), last - first, q.b_zc.from(first));
    multiply_rows(q.b_zc, q.slope_c, q.b_hc, blocks, first, last);
    backward(w.context_1, q.b_hc.from(first), last - first, before.b_sout.from(first), true);
}

// ---- P3
template <class T>
void bend_rows(Rows<T> t_z, Rows<T> slope, Rows<T> bend, int blocks, int64_t first, int64_t last) {  // ḣ given in t_z
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const wide<T> h = get(at(t_z, c, i));
        put<T>(at(bend, c, i), h * get(at(bend, c, i)));
        put<T>(at(t_z, c, i), h * get(at(slope, c, i)));
    });
}

template <class T>
void context_tangent_of(const Pass<T>& p, int t, int64_t first, int64_t last) {
    const Interaction<T>& w = p.net->set(t);
    const Layer<T>& q = p.layers[t];
    forward_linear(w.context_1, q.t_s.from(first), last - first, q.t_zc.from(first));
    bend_rows(q.t_zc, q.slope_c, q.bend_c, p.net->blocks, first, last);
    forward_linear(w.context_2, q.t_zc.from(first), last - first, q.t_x.from(first));
}

template <class T>
void update_tangent_of(const Pass<T>& p, int t, int64_t first, int64_t last) {
    const Interaction<T>& w = p.net->set(t);
    const Layer<T>& q = p.layers[t];
    const int blocks = p.net->blocks, half = blocks * SPLIT<T>;
    const int64_t n = last - first;
    const bool more = t + 1 < p.net->T_;  // heads that read vectors have no tangents
    forward_linear(w.mix, q.t_v1.from(3 * first), 3 * n, q.t_M.from(3 * first));
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const wide<T> along = Three<T>::of(at(q.M, c, 3 * i)).dot(Three<T>::of(at(q.t_M, c, 3 * i)));
        put<T>(at(q.t_j, c + half, i), along / get(at(q.j, c + half, i)));
    });
    forward_linear(w.update_1, q.t_j.from(first), n, q.t_zu.from(first));
    bend_rows(q.t_zu, q.slope_u, q.bend_u, blocks, first, last);
    if (more)
        forward_linear(w.update_2, q.t_zu.from(first), n, q.t_a.from(first));
    else
        forward_scalars<T>(w.update_2, q.t_zu.from(first), n, blocks, q.t_a.from(first), nullptr);
    const Rows<T> s = more ? p.layers[t + 1].t_s : p.t_s, v = more ? p.layers[t + 1].t_v : Rows<T>{};
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const auto m = Mixed<T>::of(q.M, c, half, i), d = Mixed<T>::of(q.t_M, c, half, i);
        const wide<T> sv = get(at(q.a, c + 2 * half, i)), t_sv = get(at(q.t_a, c + 2 * half, i));
        put<T>(at(s, c, i),
               get(at(q.t_j, c, i)) + get(at(q.t_a, c, i)) + t_sv * m.U.dot(m.V) + sv * (d.U.dot(m.V) + m.U.dot(d.V)));
        if (!more) return;
        const wide<T> vv = get(at(q.a, c + half, i)), t_vv = get(at(q.t_a, c + half, i));
        (Three<T>::of(at(q.t_v1, c, 3 * i)) + m.U * t_vv + d.U * vv).put(at(v, c, 3 * i));
    });
}

// ---- P4; h_s, h_v hold the hats of what comes after
// â, from the hats of the update's results. The last vectors have hats where a head reads them, but no adjoints, for the
// energy does not: `t_vectors` is false.
template <class T, bool D>
void gate_hat(const Pass<T>& p, const Layer<T>& q, bool vectors, bool t_vectors, int64_t first, int64_t last) {
    const int blocks = p.net->blocks, half = blocks * SPLIT<T>;
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const auto m = Mixed<T>::of(q.M, c, half, i);
        const wide<T> h = get(at(p.h_s, c, i));
        wide<T> sv = h * m.U.dot(m.V), vv = {};
        if (vectors) vv = Three<T>::of(at(p.h_v, c, 3 * i)).dot(m.U);
        if (D) {
            const auto d = Mixed<T>::of(q.t_M, c, half, i);
            sv += get(at(q.b_sout, c, i)) * (d.U.dot(m.V) + m.U.dot(d.V));
            if (t_vectors) vv += Three<T>::of(at(q.b_vout, c, 3 * i)).dot(d.U);
        }
        put<T>(at(q.h_a, c, i), h);
        put<T>(at(q.h_a, c + 2 * half, i), sv);
        if (vectors) put<T>(at(q.h_a, c + half, i), vv);
    });
}

// V̂, Û, and the hats of s' and v' but for what comes through M.
template <class T, bool D>
void mixed_hat(const Pass<T>& p, const Layer<T>& q, bool vectors, bool t_vectors, int64_t first, int64_t last) {
    const int blocks = p.net->blocks, half = blocks * SPLIT<T>;
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const auto m = Mixed<T>::of(q.M, c, half, i);
        const wide<T> h = get(at(p.h_s, c, i)), sv = get(at(q.a, c + 2 * half, i)), n = get(at(q.j, c + half, i));
        wide<T> hD = h * sv, turn = get(at(p.h_j, c + half, i));
        Three<T> V = {}, U = {};
        if (D) {
            const auto d = Mixed<T>::of(q.t_M, c, half, i);
            const wide<T> g = get(at(q.b_sout, c, i)), bD = g * sv, pull = get(at(q.b_j, c + half, i)) / n;
            hD += g * get(at(q.t_a, c + 2 * half, i));
            turn -= pull * get(at(q.t_j, c + half, i));
            V = d.U * bD + d.V * pull;
            U = d.V * bD;
            if (t_vectors) U += Three<T>::of(at(q.b_vout, c, 3 * i)) * get(at(q.t_a, c + half, i));
        }
        if (vectors) U += Three<T>::of(at(p.h_v, c, 3 * i)) * get(at(q.a, c + half, i));
        put<T>(at(p.h_s, c, i), h + get(at(p.h_j, c, i)));
        (m.U * hD + m.V * (turn / n) + V).put(at(q.h_M, c, 3 * i));
        (m.V * hD + U).put(at(q.h_M, c + half, 3 * i));
    });
}

// ĥ = silu' ẑ + silu'' ḣ z̄
template <class T>
void bent_hat(Rows<T> h_z, Rows<T> slope, Rows<T> b_z, Rows<T> bend, Rows<T> h_h, bool derived, int blocks, int64_t first,
              int64_t last) {
    if (!derived) return multiply_rows(h_z, slope, h_h, blocks, first, last);
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        put<T>(at(h_h, c, i), get(at(h_z, c, i)) * get(at(slope, c, i)) + get(at(b_z, c, i)) * get(at(bend, c, i)));
    });
}

template <class T>
void update_hat_of(const Pass<T>& p, int t, int64_t first, int64_t last) {
    const Interaction<T>& w = p.net->set(t);
    const Layer<T>& q = p.layers[t];
    const int blocks = p.net->blocks;
    const int64_t n = last - first;
    const bool vectors = p.passes_vectors(t), t_vectors = t + 1 < p.net->T_;
    p.derived ? gate_hat<T, true>(p, q, vectors, t_vectors, first, last)
              : gate_hat<T, false>(p, q, vectors, false, first, last);
    backward_scalars(w.update_2, q.h_a.from(first), n, blocks, vectors, p.h_z.from(first));
    bent_hat(p.h_z, q.slope_u, q.b_zu, q.bend_u, q.h_hu, p.derived, blocks, first, last);
    backward(w.update_1, q.h_hu.from(first), n, p.h_j.from(first));
    p.derived ? mixed_hat<T, true>(p, q, vectors, t_vectors, first, last)
              : mixed_hat<T, false>(p, q, vectors, false, first, last);
    if (!vectors) clear(p.h_v, 3 * first, 3 * last, blocks);
    backward(w.mix, q.h_M.from(3 * first), 3 * n, p.h_v.from(3 * first), true);
}

template <class T>
void context_hat_of(const Pass<T>& p, int t, int64_t first, int64_t last) {
    const Layer<T>& q = p.layers[t];
    const int blocks = p.net->blocks, half = blocks * SPLIT<T>;
    if (!t) return copy(p.h_s, p.h_s0, first, last, blocks);
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const Three<T> S = Three<T>::of(at(p.h_S, c, 3 * i));
        wide<T> x = Three<T>::of(at(q.v, c, 3 * i)).dot(S);
        Three<T> v = S * get(at(q.x, c + 2 * half, i));
        if (p.derived) {
            const Three<T> Z = Three<T>::of(at(q.b_S, c, 3 * i));
            x += Three<T>::of(at(q.t_v, c, 3 * i)).dot(Z);
            v += Z * get(at(q.t_x, c + 2 * half, i));
        }
        put<T>(at(q.h_x, c + 2 * half, i), x);
        v.add(at(p.h_v, c, 3 * i));
    });
    const Interaction<T>& w = p.net->set(t);
    backward(w.context_2, q.h_x.from(first), last - first, p.h_z.from(first));
    bent_hat(p.h_z, q.slope_c, q.b_zc, q.bend_c, q.h_hc, p.derived, blocks, first, last);
    backward(w.context_1, q.h_hc.from(first), last - first, p.h_s.from(first), true);
}

}  // namespace
}  // namespace painn::training
