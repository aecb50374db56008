// Vectors of LANES floats through compiler extensions (GCC and Clang), so that one text serves every instruction set.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "model.hpp"

#define PAINN_INLINE inline __attribute__((always_inline))

namespace {
using namespace painn;

constexpr int LANES = PAINN_LANES;
constexpr int STRIPS = BLOCK / LANES;  // vectors per block

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));

PAINN_INLINE vec load(const float* p) { return *reinterpret_cast<const vec*>(p); }
PAINN_INLINE void store(float* p, vec x) { *reinterpret_cast<vec*>(p) = x; }
PAINN_INLINE vec all(float x) { return x - vec{}; }  // 0 + x would be an addition: it makes 0 of -0

PAINN_INLINE vec root(vec x) {
#if PAINN_LANES == 16
    return (vec)_mm512_sqrt_ps((__m512)x);
#elif PAINN_LANES == 8
    return (vec)_mm256_sqrt_ps((__m256)x);
#else
    for (int i = 0; i < LANES; i++) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}

// eˣ to 1 ulp or so: x = n ln 2 + r, a polynomial for eʳ on |r| <= ln 2 / 2, and n put into the exponent.
PAINN_INLINE vec exponential(vec x) {
    const vec high = all(88.0f), low = all(-87.0f);
    x = x > high ? high : x;  // a NaN fails both comparisons and passes through
    x = x < low ? low : x;
    const vec magic = all(12582912.0f);  // 1.5 · 2²³: adding it leaves the rounded integer in the low bits
    const vec shifted = x * all(1.44269504088896341f) + magic;
    const vec n = shifted - magic;
    vec r = x - n * all(0.693359375f);
    r = r + n * all(2.12194440e-4f);
    vec p = all(1.9875691500e-4f);
    p = p * r + all(1.3981999507e-3f);
    p = p * r + all(8.3334519073e-3f);
    p = p * r + all(4.1665795894e-2f);
    p = p * r + all(1.6666665459e-1f);
    p = p * r + all(5.0000001201e-1f);
    p = p * (r * r) + r + all(1.0f);
    const ivec exponent = ((ivec)shifted - (ivec)magic + 127) << 23;
    return p * (vec)exponent;
}

// In place x -> silu(x) = x σ(x), and its derivative σ (1 + x (1 - σ)).
PAINN_INLINE vec silu(vec x, vec& slope) {
    const vec sigma = all(1.0f) / (all(1.0f) + exponential(-x));
    slope = sigma * (all(1.0f) + x * (all(1.0f) - sigma));
    return x * sigma;
}

// out[0..3] = (accumulate ? out : 0) + sums over the lanes of a, b, c, d.
PAINN_INLINE void add_sums(vec a, vec b, vec c, vec d, float* out, bool accumulate) {
#if PAINN_LANES >= 8
#if PAINN_LANES == 16
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps((__m512)a, (__m512)b), _mm512_unpackhi_ps((__m512)a, (__m512)b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps((__m512)c, (__m512)d), _mm512_unpackhi_ps((__m512)c, (__m512)d));
    const __m512 q = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(q), _mm512_extractf32x8_ps(q, 1));
#else
    const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps((__m256)a, (__m256)b), _mm256_unpackhi_ps((__m256)a, (__m256)b));
    const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps((__m256)c, (__m256)d), _mm256_unpackhi_ps((__m256)c, (__m256)d));
    const __m256 h = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
#endif
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    if (accumulate) sum = _mm_add_ps(sum, _mm_load_ps(out));
    _mm_store_ps(out, sum);
#else
    const vec terms[4] = {a, b, c, d};
    for (int k = 0; k < 4; k++) {
        float sum = accumulate ? out[k] : 0.0f;
        for (int i = 0; i < LANES; i++) sum += terms[k][i];
        out[k] = sum;
    }
#endif
}

}  // namespace
