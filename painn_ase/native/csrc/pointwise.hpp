// What PaiNN does to each channel of each atom between its dense layers, with first and second derivatives, for torch's
// automatic differentiation (docs/native-kernel.md). Arrays are (atoms, ..., F) as torch has them.
#pragma once
#include "wide.hpp"

namespace {

// Number c, or from there as many as X holds, of rows F long: of an atom's arrays.
template <class T, class X>
struct In {
    const T* p;
    int64_t F;
    PAINN_INLINE X operator[](int row) const {
        X x;
        __builtin_memcpy(&x, p + row * F, sizeof(x));
        return x;
    }
};
template <class T, class X>
struct Out {
    T* p;
    int64_t F;
    PAINN_INLINE void put(int row, X x) const { __builtin_memcpy(p + row * F, &x, sizeof(x)); }
};

// The arrays of one atom at channel c. M = [V_x U_x V_y U_y V_z U_z], F numbers each.
template <class T, class X>
struct Channel {
    const PainnPointwise& p;
    const int64_t i, c;
    PAINN_INLINE In<T, X> in(int k, int rows) const { return {(const T*)p.in[k] + i * rows * p.features + c, p.features}; }
    PAINN_INLINE Out<T, X> out(int k, int rows) const { return {(T*)p.out[k] + i * rows * p.features + c, p.features}; }
    // behind the scalars of y = [s, n]
    PAINN_INLINE In<T, X> in_y(int k) const { return {(const T*)p.in[k] + i * (p.scalars + p.features) + p.scalars + c, 0}; }
    PAINN_INLINE Out<T, X> out_y(int k) const { return {(T*)p.out[k] + i * (p.scalars + p.features) + p.scalars + c, 0}; }
};

// y = [s, n], n = √(|V|² + ε), with `scalars` numbers in s. in: s, M; g_y; c_s, c_M. out: y | M̄ | ∂g_y, ∂M.
struct Norms {
    template <class T, class X>
    PAINN_INLINE static void value(const Channel<T, X> a) {
        const auto M = a.in(1, 6);
        a.out_y(0).put(0, square_root(M[0] * M[0] + M[2] * M[2] + M[4] * M[4] + (T)a.p.epsilon));
    }
    template <class T, class X>
    PAINN_INLINE static void gradient(const Channel<T, X> a) {
        const auto M = a.in(1, 6);
        const auto out = a.out(0, 6);
        const X r = a.in_y(2)[0] / square_root(M[0] * M[0] + M[2] * M[2] + M[4] * M[4] + (T)a.p.epsilon);
        for (int d = 0; d < 6; d += 2) out.put(d, r * M[d]), out.put(d + 1, X{});
    }
    template <class T, class X>
    PAINN_INLINE static void second(const Channel<T, X> a) {
        const auto M = a.in(1, 6), c = a.in(4, 6);
        const auto out = a.out(1, 6);
        const X n = square_root(M[0] * M[0] + M[2] * M[2] + M[4] * M[4] + (T)a.p.epsilon);
        const X along = (c[0] * M[0] + c[2] * M[2] + c[4] * M[4]) / n, r = a.in_y(2)[0] / n, back = r * along / n;
        a.out_y(0).put(0, along);
        for (int d = 0; d < 6; d += 2) out.put(d, r * c[d] - back * M[d]), out.put(d + 1, X{});
    }
};

// s⁺ = s + a_ss + a_sv U·V, v⁺ = v + a_vv U with a = [a_ss, a_vv, a_sv]. in: s, v, a, M; g_s, g_v; c_s, c_v, c_a, c_M.
// out: s⁺, v⁺ | ā, M̄ | ∂g_s, ∂g_v, ∂a, ∂M.
struct Gate {
    template <class T, class X>
    PAINN_INLINE static void value(const Channel<T, X> z) {
        const auto s = z.in(0, 1), v = z.in(1, 3), a = z.in(2, 3), M = z.in(3, 6);
        const X product = M[0] * M[1] + M[2] * M[3] + M[4] * M[5], vv = a[1];
        z.out(0, 1).put(0, s[0] + a[0] + a[2] * product);
        for (int d = 0; d < 3; d++) z.out(1, 3).put(d, v[d] + vv * M[2 * d + 1]);
    }
    template <class T, class X>
    PAINN_INLINE static void gradient(const Channel<T, X> z) {
        const auto a = z.in(2, 3), M = z.in(3, 6), g_v = z.in(5, 3);
        const auto out_a = z.out(0, 3), out_M = z.out(1, 6);
        const X g_s = z.in(4, 1)[0], vv = a[1], q = a[2] * g_s;
        X product = {}, along = {};
        for (int d = 0; d < 3; d++) {
            const X V = M[2 * d], U = M[2 * d + 1], g = g_v[d];
            product += U * V, along += g * U;
            out_M.put(2 * d, q * U), out_M.put(2 * d + 1, q * V + vv * g);
        }
        out_a.put(0, g_s), out_a.put(1, along), out_a.put(2, product * g_s);
    }
    template <class T, class X>
    PAINN_INLINE static void second(const Channel<T, X> z) {
        const auto a = z.in(2, 3), M = z.in(3, 6), g_v = z.in(5, 3), c_v = z.in(7, 3), c_a = z.in(8, 3), c_M = z.in(9, 6);
        const auto out_gv = z.out(1, 3), out_a = z.out(2, 3), out_M = z.out(3, 6);
        const X g = z.in(4, 1)[0], vv = a[1], sv = a[2], c_vv = c_a[1], c_sv = c_a[2];
        X product = {}, crossed = {}, along = {};
        for (int d = 0; d < 3; d++) {
            const X V = M[2 * d], U = M[2 * d + 1], e_V = c_M[2 * d], e_U = c_M[2 * d + 1], g_d = g_v[d];
            product += U * V, crossed += e_V * U + e_U * V, along += e_U * g_d;
            out_gv.put(d, c_v[d] + c_vv * U + vv * e_U);
            out_M.put(2 * d, g * (c_sv * U + sv * e_U)), out_M.put(2 * d + 1, c_vv * g_d + g * (c_sv * V + sv * e_V));
        }
        z.out(0, 1).put(0, z.in(6, 1)[0] + c_a[0] + c_sv * product + sv * crossed);
        out_a.put(0, X{}), out_a.put(1, along), out_a.put(2, g * crossed);
    }
};

// The second derivative of silu(h) = h σ. in: h, σ(h), e, g. out: e silu'(h), e g silu''(h).
struct Bend {
    template <class T, class X>
    PAINN_INLINE static void value(const Channel<T, X>) {}
    template <class T, class X>
    PAINN_INLINE static void gradient(const Channel<T, X>) {}
    template <class T, class X>
    PAINN_INLINE static void second(const Channel<T, X> z) {
        const X h = z.in(0, 1)[0], sigma = z.in(1, 1)[0], e = z.in(2, 1)[0], rest = (T)1 - sigma;
        z.out(0, 1).put(0, e * sigma * ((T)1 + h * rest));
        z.out(1, 1).put(0, e * z.in(3, 1)[0] * sigma * rest * ((T)2 + h * ((T)1 - (T)2 * sigma)));
    }
};

template <class Step, int ORDER_OF, class T, class X>
PAINN_INLINE void pointwise_step(const Channel<T, X> z) {
    if (ORDER_OF == 0) Step::value(z);
    if (ORDER_OF == 1) Step::gradient(z);
    if (ORDER_OF == 2) Step::second(z);
}

template <class Step, int ORDER_OF, class T>
void pointwise_atoms(const PainnPointwise& p) {
    for (int64_t i = 0; i < p.atoms; i++) {
        int64_t c = 0;
        for (; c + Wide<T>::SIZE <= p.features; c += Wide<T>::SIZE) {
            pointwise_step<Step, ORDER_OF>(Channel<T, wide<T>>{p, i, c});
        }
        for (; c < p.features; c++) pointwise_step<Step, ORDER_OF>(Channel<T, T>{p, i, c});
    }
}

// The part of y and its gradients that belongs to s.
template <class T>
void copy_scalars(const PainnPointwise& p) {
    const T* from = (const T*)p.in[p.order == 0 ? 0 : 3];
    for (int64_t i = 0; i < p.atoms; i++) {
        T* to = (T*)p.out[0] + i * (p.scalars + p.features);
        if (from)
            __builtin_memcpy(to, from + i * p.scalars, p.scalars * sizeof(T));
        else
            __builtin_memset(to, 0, p.scalars * sizeof(T));
    }
}

template <class Step, class T>
void pointwise_order(const PainnPointwise& p) {
    if (p.order == 0) pointwise_atoms<Step, 0, T>(p);
    if (p.order == 1) pointwise_atoms<Step, 1, T>(p);
    if (p.order == 2) pointwise_atoms<Step, 2, T>(p);
}

template <class T>
void pointwise_of(const PainnPointwise& p) {
    if (p.kind == PAINN_NORMS && p.order != 1) copy_scalars<T>(p);
    if (p.kind == PAINN_NORMS) pointwise_order<Norms, T>(p);
    if (p.kind == PAINN_GATE) pointwise_order<Gate, T>(p);
    if (p.kind == PAINN_BEND) pointwise_order<Bend, T>(p);
}

void pointwise(const PainnPointwise& p) { p.width == 4 ? pointwise_of<float>(p) : pointwise_of<double>(p); }

}  // namespace
