// Radial functions of the pairs from their splines, and the filters made of them.
#pragma once
#include "dense.hpp"

namespace painn::training {
namespace {

// Uniform quintic B-splines on one interval and their derivatives by t, 0 <= t <= 1 (de Boor 1978).
PAINN_INLINE void quintic(double t, double* value, double* slope) {
    const double r = 1 - t, t2 = t * t, r2 = r * r;
    value[0] = r2 * r2 * r / 120;
    value[1] = (26 + t * (-50 + t * (20 + t * (20 + t * (-20 + t * 5))))) / 120;
    value[2] = (66 + t2 * (-60 + t2 * (30 - 10 * t))) / 120;
    value[3] = (66 + r2 * (-60 + r2 * (30 - 10 * r))) / 120;
    value[4] = (26 + r * (-50 + r * (20 + r * (20 + r * (-20 + r * 5))))) / 120;
    value[5] = t2 * t2 * t / 120;
    slope[0] = -r2 * r2 / 24;
    slope[1] = (-10 + t * (8 + t * (12 + t * (-16 + t * 5)))) / 24;
    slope[2] = t * (-24 + t2 * (24 - 10 * t)) / 24;
    slope[3] = -r * (-24 + r2 * (24 - 10 * r)) / 24;
    slope[4] = -(-10 + r * (8 + r * (12 + r * (-16 + r * 5)))) / 24;
    slope[5] = t2 * t2 / 24;
}

// ρ and ρ' of one pair, a register of functions after the other.
template <class T>
void radial_functions(const Pass<T>& p, int64_t pair, double distance) {
    const Network<T>& net = *p.net;
    const int padded_radial = painn::padded(net.radial);
    const double per_length = net.intervals / net.cutoff, place = distance * per_length;
    const int knot = place < net.intervals ? (int)place : net.intervals - 1;
    const bool inside = distance < net.cutoff;
    double value[6], slope[6];
    quintic(place - knot, value, slope);
    for (int m = 0; m < 6; m++) value[m] *= inside, slope[m] *= inside * per_length;
    const double* table = net.spline + (ptrdiff_t)knot * padded_radial;
    for (int b = 0; b < padded_radial; b += Wide<double>::SIZE) {
        wide<double> f = {}, g = {};
        for (int m = 0; m < 6; m++) {
            const wide<double> c = get(table + m * padded_radial + b);
            f += value[m] * c, g += slope[m] * c;
        }
        put_rounded(p.rho.from(pair, b / BLOCK).data + b % BLOCK, f);
        put_rounded(p.slope.from(pair, b / BLOCK).data + b % BLOCK, g);
    }
}

template <class T>
void geometry_of(const Pass<T>& p, int64_t first, int64_t last) {
    int s = 0;
    for (int64_t pair = first; pair < last; pair++) {
        while (pair >= p.first_pair[s + 1]) s++;
        const double* r = p.vectors[s] + 3 * (pair - p.first_pair[s]);
        const double d = __builtin_sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
        p.distance[pair] = d;
        for (int k = 0; k < 3; k++) {
            p.exact_unit[3 * pair + k] = r[k] / d;
            p.unit[4 * pair + k] = (T)(r[k] / d);
        }
        radial_functions(p, pair, d);
    }
}

// [W_s, W_vs, W_vv] of one block of channels (only the first two in the first layer) of some pairs, (pair, 3, 16).
template <class T>
void filter_rows(Rows<T> rho, int64_t pairs, int radial, const T* packed, int parts, T* out) {
    constexpr int step = FILTERS * BLOCK;
    const Rows<T> y = {out, BLOCK};  // the parts of a row lie one after the other
    if (SPLIT<T> > 1) {
        for (int k = 0; k < parts; k++)
            panel_rows<T, 1>(rho, pairs, radial, packed + k * BLOCK, step, {out + k * BLOCK, BLOCK}, step, nullptr, false);
    } else if (parts == FILTERS) {
        panel_rows<T, FILTERS>(rho, pairs, radial, packed, step, y, step, nullptr, false);
    } else {
        panel_rows<T, 2>(rho, pairs, radial, packed, step, y, step, nullptr, false);
    }
}

template <class T>
PAINN_INLINE const T* filter_panel(const Pass<T>& p, int t, int block) {
    return p.net->filter(t).packed + (ptrdiff_t)block * p.net->radial * ROW;
}

template <class T>
PAINN_INLINE ptrdiff_t filter_place(const Pass<T>& p, int t, int block) {
    return ((ptrdiff_t)t * p.net->blocks + block) * p.pairs * ROW;
}

template <class T>
void make_filters(const Pass<T>& p, int t, int block) {
    const T* packed = filter_panel(p, t, block);
    const ptrdiff_t place = filter_place(p, t, block);
    filter_rows<T>(p.rho, p.pairs, p.net->radial, packed, t ? 3 : 2, p.W + place);
    if (p.dW) filter_rows<T>(p.slope, p.pairs, p.net->radial, packed, t ? 3 : 2, p.dW + place);
}

template <class T>
void pack_filters(const Network<T>& net, const Filter<T>& filter) {
    const int functions = net.radial - 1, F = net.F;
    const T *w = net.flat + filter.weight, *bias = net.flat + filter.bias;
    T* p = filter.packed;
    for (int b = 0; b < F; b += BLOCK)
        for (int n = 0; n < net.radial; n++)
            for (int part = 0; part < FILTERS; part++)
                for (int c = 0; c < BLOCK; c++) {
                    const ptrdiff_t out = (ptrdiff_t)part * F + b + c;
                    *p++ = n < functions ? w[out * functions + n] : bias[out];
                }
}

// One block of a filter's gradients: sums of what each structure gave, in their order, put where torch has them.
template <class T>
void filter_gradient_of(const Network<T>& net, int filter, int block, const T* partial, int structures, bool accumulate,
                        T* gradients, T* sum) {
    const Filter<T>& f = net.filters[filter];
    const int functions = net.radial - 1, length = net.radial * ROW;
    memset(sum, 0, length * sizeof(T));
    for (int t = filter; t < net.T_; t += net.n_filters)
        for (int s = 0; s < structures; s++) {
            const T* part = partial + (((ptrdiff_t)s * net.T_ + t) * net.blocks + block) * length;
            const int used = t ? ROW : 2 * BLOCK;  // the first message has no W_vv
            for (int n = 0; n < length; n += ROW)
                for (int c = 0; c < used; c += Wide<T>::SIZE) add<T>(sum + n + c, get(part + n + c));
        }
    for (int part = 0; part < FILTERS; part++)
        for (int c = 0; c < BLOCK; c++) {
            const ptrdiff_t out = (ptrdiff_t)part * net.F + block * BLOCK + c;
            for (int n = 0; n < net.radial; n++) {
                T& place = n < functions ? gradients[f.weight + out * functions + n] : gradients[f.bias + out];
                place = sum[n * ROW + part * BLOCK + c] + (accumulate ? place : 0);
            }
        }
}

}  // namespace
}  // namespace painn::training
