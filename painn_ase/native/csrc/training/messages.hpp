// Messages between atoms in the four passes: one block of channels over all pairs of a group. Every pair carries both
// directions, i → j and j → i; sums run in the order of the pairs, so their bits do not depend on threads.
#pragma once
#include "basis.hpp"

namespace painn::training {
namespace {

// Rows of one register of channels.
template <class T>
struct Column {
    T* p;
    PAINN_INLINE T* operator[](int64_t row) const { return p + row * BLOCK; }
};
template <class T>
PAINN_INLINE Column<T> column(Rows<T> a, int block, int register_) {
    return {a.data + block * a.stride + register_ * Wide<T>::SIZE};
}

// Filters and their slopes of pairs first ... last, from memory or remade.
template <class T>
struct Filters {
    const T *w, *slope;
    static Filters of(const Pass<T>& p, int t, int block, int64_t first, int64_t last, bool slopes, T* scratch) {
        if (p.stored) {
            const ptrdiff_t place = filter_place(p, t, block) + first * ROW;
            return {p.W + place, (p.dW ? p.dW : p.W) + place};
        }
        const T* packed = filter_panel(p, t, block);
        filter_rows<T>(p.rho.from(first), last - first, p.net->radial, packed, t ? 3 : 2, scratch);
        T* d = scratch + (last - first) * ROW;
        if (slopes) filter_rows<T>(p.slope.from(first), last - first, p.net->radial, packed, t ? 3 : 2, d);
        return {scratch, d};
    }
};

// x_s, x_vs, x_vv (or their tangents) of one register of channels.
template <class T>
struct Context {
    Column<T> s, vs, vv;
    static PAINN_INLINE Context of(Rows<T> x, int blocks, int block, int r) {
        return {column(x, block, r), column(x, block + blocks, r), column(x, block + 2 * blocks, r)};
    }
};

template <class T, bool FIRST>
void value_pairs(const Pass<T>& p, int t, int block, int r, const Chunk& chunk, const T* w) {
    const Layer<T>& q = p.layers[t];
    const auto x = Context<T>::of(q.x, p.net->blocks, block, r);
    const auto v = column(q.v, block, r), s1 = column(q.j, block, r), v1 = column(q.v1, block, r);
    w += r * Wide<T>::SIZE;
    for (int64_t i = chunk.first; i < chunk.last; i++) {
        if (p.row[i] == p.row[i + 1]) continue;
        const wide<T> xs = get(x.s[i]), xa = get(x.vs[i]), xv = FIRST ? wide<T>{} : get(x.vv[i]);
        const Three<T> vi = FIRST ? Three<T>{} : Three<T>::of(v[3 * i]);
        wide<T> s = {};
        Three<T> o = {};
        for (int64_t k = p.row[i]; k < p.row[i + 1]; k++, w += ROW) {
            const int64_t j = p.neighbor[k];
            const Three<T> u = Three<T>::same(p.unit + 4 * k);
            const wide<T> ws = get(w), wa = get(w + BLOCK), aj = wa * get(x.vs[j]), ai = wa * xa;
            s += ws * get(x.s[j]);
            add<T>(s1[j], ws * xs);
            if (FIRST) {
                o += u * aj;
                (u * -ai).add(v1[3 * j]);
            } else {
                const wide<T> wv = get(w + 2 * BLOCK);
                o += u * aj + Three<T>::of(v[3 * j]) * (wv * get(x.vv[j]));
                (vi * (wv * xv) - u * ai).add(v1[3 * j]);
            }
        }
        add<T>(s1[i], s);
        o.add(v1[3 * i]);
    }
}

template <class T, bool FIRST>
void adjoint_pairs(const Pass<T>& p, int t, int block, int r, const Chunk& chunk, const T* w, const T* dw) {
    const Layer<T>& q = p.layers[t];
    const auto x = Context<T>::of(q.x, p.net->blocks, block, r), bx = Context<T>::of(q.b_x, p.net->blocks, block, r);
    const auto v = column(q.v, block, r), bs = column(q.b_s, block, r), bv = column(q.b_v, block, r);
    const auto bS = column(q.b_S, block, r);
    const bool more = t + 1 < p.net->T_ || r;
    w += r * Wide<T>::SIZE, dw += r * Wide<T>::SIZE;
    T* gradient = p.gradient + 4 * block * p.pairs;
    for (int64_t i = chunk.first; i < chunk.last; i++) {
        if (p.row[i] == p.row[i + 1]) continue;
        const wide<T> xs = get(x.s[i]), xa = get(x.vs[i]), xv = FIRST ? wide<T>{} : get(x.vv[i]), g = get(bs[i]);
        const Three<T> vi = FIRST ? Three<T>{} : Three<T>::of(v[3 * i]), G = Three<T>::of(bv[3 * i]);
        wide<T> o0 = {}, o1 = {};
        Three<T> S = {};
        for (int64_t k = p.row[i]; k < p.row[i + 1]; k++, w += ROW, dw += ROW) {
            const int64_t j = p.neighbor[k];
            const Three<T> u = Three<T>::same(p.unit + 4 * k), Gj = Three<T>::of(bv[3 * j]);
            const wide<T> a = u.dot(G), z = -u.dot(Gj), gj = get(bs[j]), wa = get(w + BLOCK), xaj = get(x.vs[j]);
            wide<T> along = get(dw) * (get(x.s[j]) * g + xs * gj) + get(dw + BLOCK) * (xaj * a + xa * z);
            const Three<T> across = G * (wa * xaj) - Gj * (wa * xa);
            if (!FIRST) {
                const Three<T> vj = Three<T>::of(v[3 * j]);
                const wide<T> ws = get(w), wv = get(w + 2 * BLOCK);
                along += get(dw + 2 * BLOCK) * (get(x.vv[j]) * vj.dot(G) + xv * vi.dot(Gj));
                add<T>(bx.s[j], ws * g);
                o0 += ws * gj;
                add<T>(bx.vs[j], wa * a);
                o1 += wa * z;
                (G * wv).add(bS[3 * j]);
                S += Gj * wv;
            }
            sums_of(along, across.x, across.y, across.z, gradient + 4 * k, more);
        }
        if (FIRST) continue;
        add<T>(bx.s[i], o0);
        add<T>(bx.vs[i], o1);
        S.add(bS[3 * i]);
    }
}

template <class T, bool FIRST>
void tangent_pairs(const Pass<T>& p, int t, int block, int r, const Chunk& chunk, const T* w, const T* dw) {
    const Layer<T>& q = p.layers[t];
    const auto x = Context<T>::of(q.x, p.net->blocks, block, r), tx = Context<T>::of(q.t_x, p.net->blocks, block, r);
    const auto v = column(q.v, block, r), tv = column(q.t_v, block, r);
    const auto s1 = column(q.t_j, block, r), v1 = column(q.t_v1, block, r);
    w += r * Wide<T>::SIZE, dw += r * Wide<T>::SIZE;
    const wide<T> none = {};
    for (int64_t i = chunk.first; i < chunk.last; i++) {
        if (p.row[i] == p.row[i + 1]) continue;
        const wide<T> xs = get(x.s[i]), xa = get(x.vs[i]), xv = FIRST ? none : get(x.vv[i]);
        const wide<T> ys = FIRST ? none : get(tx.s[i]), ya = FIRST ? none : get(tx.vs[i]), yv = FIRST ? none : get(tx.vv[i]);
        const Three<T> vi = FIRST ? Three<T>{} : Three<T>::of(v[3 * i]), ti = FIRST ? Three<T>{} : Three<T>::of(tv[3 * i]);
        wide<T> s = {};
        Three<T> o = {};
        for (int64_t k = p.row[i]; k < p.row[i + 1]; k++, w += ROW, dw += ROW) {
            const int64_t j = p.neighbor[k];
            const Three<T> u = Three<T>::same(p.unit + 4 * k), turn = Three<T>::same(p.turn + 4 * k);
            const wide<T> rate = same<T>(p.rate[k]), ws = get(w), wa = get(w + BLOCK), tws = rate * get(dw);
            const wide<T> twa = rate * get(dw + BLOCK), xaj = get(x.vs[j]), bj = wa * xaj, bi = wa * xa;
            wide<T> mj = tws * get(x.s[j]), mi = tws * xs, aj = twa * xaj, ai = twa * xa;
            if (FIRST) {
                o += u * aj + turn * bj;
                (u * -ai - turn * bi).add(v1[3 * j]);
            } else {
                mj += ws * get(tx.s[j]), mi += ws * ys;
                aj += wa * get(tx.vs[j]), ai += wa * ya;
                const wide<T> wv = get(w + 2 * BLOCK), twv = rate * get(dw + 2 * BLOCK), xvj = get(x.vv[j]);
                const wide<T> cj = twv * xvj + wv * get(tx.vv[j]), ci = twv * xv + wv * yv;
                o += u * aj + turn * bj + Three<T>::of(v[3 * j]) * cj + Three<T>::of(tv[3 * j]) * (wv * xvj);
                (vi * ci + ti * (wv * xv) - u * ai - turn * bi).add(v1[3 * j]);
            }
            s += mj;
            add<T>(s1[j], mi);
        }
        add<T>(s1[i], s);
        o.add(v1[3 * i]);
    }
}

// Hats of what senders sent; and y, the adjoint of the filters, and ȳ ḋ, that of their tangents: [part][pair][16].
// Without D nothing is differentiated by positions: no bars, no dots.
template <class T, bool FIRST, bool D>
void hat_pairs(const Pass<T>& p, int t, int block, int r, const Chunk& chunk, const T* w, const T* dw, Rows<T> y_rows,
               Rows<T> b_rows) {
    const Layer<T>& q = p.layers[t];
    const int blocks = p.net->blocks;
    const auto x = Context<T>::of(q.x, blocks, block, r), tx = Context<T>::of(q.t_x, blocks, block, r);
    const auto hx = Context<T>::of(q.h_x, blocks, block, r), y = Context<T>::of(y_rows, 1, 0, r);
    const auto by = Context<T>::of(b_rows, 1, 0, r);
    const auto v = column(q.v, block, r), tv = column(q.t_v, block, r), bs = column(q.b_s, block, r);
    const auto bv = column(q.b_v, block, r), hs = column(p.h_s, block, r), hv = column(p.h_v, block, r);
    const auto hS = column(p.h_S, block, r);
    w += r * Wide<T>::SIZE, dw += r * Wide<T>::SIZE;
    const wide<T> none = {};
    const int64_t first = p.row[chunk.first];
    for (int64_t i = chunk.first; i < chunk.last; i++) {
        if (p.row[i] == p.row[i + 1]) continue;
        constexpr bool DX = D && !FIRST;
        const wide<T> xs = get(x.s[i]), xa = get(x.vs[i]), xv = FIRST ? none : get(x.vv[i]);
        const wide<T> ys = DX ? get(tx.s[i]) : none, ya = DX ? get(tx.vs[i]) : none, yv = DX ? get(tx.vv[i]) : none;
        const wide<T> bg = D ? get(bs[i]) : none, hg = get(hs[i]);
        const Three<T> vi = FIRST ? Three<T>{} : Three<T>::of(v[3 * i]), ti = DX ? Three<T>::of(tv[3 * i]) : Three<T>{};
        const Three<T> bG = D ? Three<T>::of(bv[3 * i]) : Three<T>{}, hG = Three<T>::of(hv[3 * i]);
        wide<T> o0 = {}, o1 = {};
        Three<T> S = {};
        for (int64_t k = p.row[i]; k < p.row[i + 1]; k++, w += ROW, dw += ROW) {
            const int64_t j = p.neighbor[k];
            const Three<T> u = Three<T>::same(p.unit + 4 * k), turn = D ? Three<T>::same(p.turn + 4 * k) : Three<T>{};
            const Three<T> bJ = D ? Three<T>::of(bv[3 * j]) : Three<T>{}, hJ = Three<T>::of(hv[3 * j]);
            const wide<T> ba = u.dot(bG), bz = -u.dot(bJ), ws = get(w), wa = get(w + BLOCK);
            const wide<T> ha = D ? u.dot(hG) + turn.dot(bG) : u.dot(hG), hz = D ? -(u.dot(hJ) + turn.dot(bJ)) : -u.dot(hJ);
            const wide<T> rate = D ? same<T>(p.rate[k]) : none, tws = D ? rate * get(dw) : none;
            const wide<T> twa = D ? rate * get(dw + BLOCK) : none, bgj = D ? get(bs[j]) : none, hgj = get(hs[j]);
            const wide<T> xsj = get(x.s[j]), xaj = get(x.vs[j]);
            add<T>(hx.s[j], D ? ws * hg + tws * bg : ws * hg);
            o0 += D ? ws * hgj + tws * bgj : ws * hgj;
            add<T>(hx.vs[j], D ? wa * ha + twa * ba : wa * ha);
            o1 += D ? wa * hz + twa * bz : wa * hz;
            wide<T> y0 = xsj * hg + xs * hgj, y1 = xaj * ha + xa * hz;
            if (D) {
                put<T>(by.s[k - first], rate * (xsj * bg + xs * bgj));
                put<T>(by.vs[k - first], rate * (xaj * ba + xa * bz));
            }
            if (DX) y0 += get(tx.s[j]) * bg + ys * bgj, y1 += get(tx.vs[j]) * ba + ya * bz;
            if (!FIRST) {
                const wide<T> wv = get(w + 2 * BLOCK), twv = D ? rate * get(dw + 2 * BLOCK) : none, xvj = get(x.vv[j]);
                const Three<T> vj = Three<T>::of(v[3 * j]);
                wide<T> y2 = xvj * vj.dot(hG) + xv * vi.dot(hJ);
                if (D) {
                    const wide<T> bo = vj.dot(bG), bi = vi.dot(bJ);
                    put<T>(by.vv[k - first], rate * (xvj * bo + xv * bi));
                    y2 += xvj * Three<T>::of(tv[3 * j]).dot(bG) + xv * ti.dot(bJ) + get(tx.vv[j]) * bo + yv * bi;
                }
                put<T>(y.vv[k - first], y2);
                (D ? hG * wv + bG * twv : hG * wv).add(hS[3 * j]);
                S += D ? hJ * wv + bJ * twv : hJ * wv;
            }
            put<T>(y.s[k - first], y0);
            put<T>(y.vs[k - first], y1);
        }
        add<T>(hx.s[i], o0);
        add<T>(hx.vs[i], o1);
        if (!FIRST) S.add(hS[3 * i]);
    }
}

}  // namespace
}  // namespace painn::training
