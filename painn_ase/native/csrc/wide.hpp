// Registers of floats or doubles, loaded and stored at any address: what torch's arrays need.
#pragma once
#include "vec.hpp"

namespace {

template <class T>
struct Wide {  // as many numbers as a register holds
    static constexpr int SIZE = LANES * 4 / sizeof(T);
    typedef T type __attribute__((vector_size(LANES * 4)));
};

template <class T>
using wide = typename Wide<T>::type;

PAINN_INLINE float square_root(float x) { return __builtin_sqrtf(x); }
PAINN_INLINE double square_root(double x) { return __builtin_sqrt(x); }
PAINN_INLINE vec square_root(vec x) { return root(x); }
PAINN_INLINE wide<double> square_root(wide<double> x) {
    for (int i = 0; i < Wide<double>::SIZE; i++) x[i] = __builtin_sqrt(x[i]);
    return x;
}

template <class T>
PAINN_INLINE wide<T> get(const T* p) {
    wide<T> x;
    __builtin_memcpy(&x, p, sizeof(x));
    return x;
}

template <class T>
PAINN_INLINE void put(T* p, wide<T> x) {
    __builtin_memcpy(p, &x, sizeof(x));
}

template <class T>
PAINN_INLINE void add(T* p, wide<T> x) {
    put<T>(p, get(p) + x);
}

template <class T>
PAINN_INLINE T total(wide<T> x) {
    T part[Wide<T>::SIZE];
    __builtin_memcpy(part, &x, sizeof(x));
    for (int half = Wide<T>::SIZE / 2; half; half /= 2) {
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    }
    return part[0];
}

template <class T>
struct Triple {
    wide<T> x, y, z;
    PAINN_INLINE static Triple of(const T* p, int64_t stride) { return {get(p), get(p + stride), get(p + 2 * stride)}; }
    PAINN_INLINE static Triple same(const T* p) { return {wide<T>{} + p[0], wide<T>{} + p[1], wide<T>{} + p[2]}; }
    PAINN_INLINE Triple operator*(wide<T> a) const { return {x * a, y * a, z * a}; }
    PAINN_INLINE Triple operator+(Triple b) const { return {x + b.x, y + b.y, z + b.z}; }
    PAINN_INLINE void operator+=(Triple b) { *this = *this + b; }
    PAINN_INLINE wide<T> dot(Triple b) const { return x * b.x + y * b.y + z * b.z; }
    PAINN_INLINE void put_at(T* p, int64_t stride) const { put<T>(p, x), put<T>(p + stride, y), put<T>(p + 2 * stride, z); }
    PAINN_INLINE void add_at(T* p, int64_t stride) const { add<T>(p, x), add<T>(p + stride, y), add<T>(p + 2 * stride, z); }
    PAINN_INLINE void totals(T* p) const { p[0] = total<T>(x), p[1] = total<T>(y), p[2] = total<T>(z); }
};

}  // namespace
