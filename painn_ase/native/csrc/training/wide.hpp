// Registers of floats or doubles, loaded and stored at any address.
#pragma once
#include "../vec.hpp"

namespace {

template <class T>
struct Wide {  // as many numbers as a register holds
    static constexpr int SIZE = LANES * 4 / sizeof(T);
    typedef T type __attribute__((vector_size(LANES * 4)));
};

template <class T>
using wide = typename Wide<T>::type;

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

// As many numbers as a register of doubles holds, rounded to T.
template <class T>
PAINN_INLINE void put_rounded(T* p, wide<double> x) {
    typedef T rounded __attribute__((vector_size(Wide<double>::SIZE * sizeof(T))));
    const rounded y = __builtin_convertvector(x, rounded);
    __builtin_memcpy(p, &y, sizeof(y));
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

}  // namespace
