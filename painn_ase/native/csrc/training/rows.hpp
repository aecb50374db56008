// Registers of a blocked matrix, and the activation with two derivatives. A block is `SPLIT` registers wide; kernels
// count channels in registers.
#pragma once
#include "wide.hpp"
#include "state.hpp"

namespace painn::training {
namespace {

template <class T>
constexpr int SPLIT = BLOCK / Wide<T>::SIZE;

template <class T>
PAINN_INLINE T* at(Rows<T> a, int c, int64_t row) {
    return a.data + c / SPLIT<T> * a.stride + row * BLOCK + c % SPLIT<T> * Wide<T>::SIZE;
}
template <class T>
PAINN_INLINE wide<T> same(T x) {
    return x - wide<T>{};  // 0 + x would be an addition: it makes 0 of -0
}

template <class T>
struct Three {  // x, y, z of a vector: rows of a matrix, one after the other
    wide<T> x, y, z;
    PAINN_INLINE static Three of(const T* p) { return {get(p), get(p + BLOCK), get(p + 2 * BLOCK)}; }
    PAINN_INLINE static Three same(const T* p) { return {p[0] - wide<T>{}, p[1] - wide<T>{}, p[2] - wide<T>{}}; }
    PAINN_INLINE Three operator*(wide<T> a) const { return {x * a, y * a, z * a}; }
    PAINN_INLINE Three operator+(Three b) const { return {x + b.x, y + b.y, z + b.z}; }
    PAINN_INLINE Three operator-(Three b) const { return {x - b.x, y - b.y, z - b.z}; }
    PAINN_INLINE void operator+=(Three b) { *this = *this + b; }
    PAINN_INLINE wide<T> dot(Three b) const { return x * b.x + y * b.y + z * b.z; }
    PAINN_INLINE void put(T* p) const { ::put<T>(p, x), ::put<T>(p + BLOCK, y), ::put<T>(p + 2 * BLOCK, z); }
    PAINN_INLINE void add(T* p) const { ::add<T>(p, x), ::add<T>(p + BLOCK, y), ::add<T>(p + 2 * BLOCK, z); }
};

// Calls work(c, i) for all registers of `blocks` blocks and rows first ... last.
template <class T, class Work>
PAINN_INLINE void each(int blocks, int64_t first, int64_t last, Work work) {
    for (int c = 0; c < blocks * SPLIT<T>; c++)
        for (int64_t i = first; i < last; i++) work(c, i);
}

template <class T>
void clear(Rows<T> a, int64_t first, int64_t last, int blocks) {
    for (int b = 0; b < blocks; b++) memset(a.data + b * a.stride + first * BLOCK, 0, (last - first) * BLOCK * sizeof(T));
}
template <class T>
void copy(Rows<T> from, Rows<T> to, int64_t first, int64_t last, int blocks) {
    for (int b = 0; b < blocks; b++)
        memcpy(to.data + b * to.stride + first * BLOCK, from.data + b * from.stride + first * BLOCK,
               (last - first) * BLOCK * sizeof(T));
}

PAINN_INLINE vec exponential_of(vec x) { return exponential(x); }
PAINN_INLINE wide<double> exponential_of(wide<double> x) {
    for (int i = 0; i < Wide<double>::SIZE; i++) x[i] = __builtin_exp(x[i]);
    return x;
}

// z = silu(h), silu'(h), silu''(h), with h given in z.
template <class T>
void activate(Rows<T> z, Rows<T> slope, Rows<T> bend, int blocks, int64_t first, int64_t last) {
    each<T>(blocks, first, last, [&](int c, int64_t i) {
        const wide<T> h = get(at(z, c, i)), sigma = (T)1 / ((T)1 + exponential_of(-h)), rest = (T)1 - sigma;
        put<T>(at(z, c, i), h * sigma);
        put<T>(at(slope, c, i), sigma * ((T)1 + h * rest));
        put<T>(at(bend, c, i), sigma * rest * ((T)2 + h * (rest - sigma)));
    });
}

template <class T>
void multiply_rows(Rows<T> a, Rows<T> b, Rows<T> out, int blocks, int64_t first, int64_t last) {
    each<T>(blocks, first, last, [&](int c, int64_t i) { put<T>(at(out, c, i), get(at(a, c, i)) * get(at(b, c, i))); });
}

// out[0..3] = (accumulate ? out : 0) + sums over the registers' numbers.
PAINN_INLINE void sums_of(vec a, vec b, vec c, vec d, float* out, bool accumulate) { add_sums(a, b, c, d, out, accumulate); }
PAINN_INLINE void sums_of(wide<double> a, wide<double> b, wide<double> c, wide<double> d, double* out, bool accumulate) {
    const double sums[4] = {total<double>(a), total<double>(b), total<double>(c), total<double>(d)};
    for (int k = 0; k < 4; k++) out[k] = sums[k] + (accumulate ? out[k] : 0.0);
}

}  // namespace
}  // namespace painn::training
