// Dense layers on blocked matrices: products in tiles of registers, and the packing of weights for them.
#pragma once
#include "rows.hpp"

namespace painn::training {
namespace {

#if PAINN_LANES == 16 || defined(__aarch64__)
constexpr int SUMS = 24;  // registers that hold sums
#elif PAINN_LANES == 8
constexpr int SUMS = 12;
#else
constexpr int SUMS = 8;
#endif

// Calls work(r, n) for the sums of a tile, unrolled: in a loop GCC 12 puts them into memory and back.
template <int HEIGHT, int WIDTH, class Work>
PAINN_INLINE void each_sum(Work work) {
#pragma GCC unroll 32
    for (int r = 0; r < HEIGHT; r++)
#pragma GCC unroll 32
        for (int n = 0; n < WIDTH; n++) work(r, n);
}

template <class T>
constexpr int LINE = 64 / sizeof(T);  // numbers of a line of the cache
template <class T>
constexpr int WIDE_BLOCKS = SPLIT<T> == 1 ? 2 : 1;  // blocks of columns per panel

// HEIGHT rows through `inner` inputs and BLOCKS blocks of a panel whose rows are `step` numbers apart. What lies `ahead`
// numbers behind the panel is asked for on the way; 0: nothing.
template <class T, int HEIGHT, int BLOCKS>
void product_tile(Rows<T> x, int inner, const T* panel, int step, T* y, ptrdiff_t y_stride, int y_row, const T* shift,
                  bool accumulate, ptrdiff_t ahead) {
    constexpr int N = BLOCKS * SPLIT<T>, SIZE = Wide<T>::SIZE;
    wide<T> sum[HEIGHT][N];
    const auto place = [&](int r, int n) { return y + n / SPLIT<T> * y_stride + r * y_row + n % SPLIT<T> * SIZE; };
    each_sum<HEIGHT, N>([&](int r, int n) {
        sum[r][n] = accumulate ? get(place(r, n)) : shift ? get(shift + n * SIZE) : wide<T>{};
    });
    for (int k0 = 0; k0 < inner; k0 += BLOCK, x.data += x.stride) {
        const int count = inner - k0 < BLOCK ? inner - k0 : BLOCK;
#pragma GCC unroll 4
        for (int k = 0; k < count; k++, panel += step) {
            for (int n = 0; n < BLOCKS * BLOCK; n += LINE<T>) __builtin_prefetch(panel + ahead + n, 0, 2);
            wide<T> w[N];
            for (int n = 0; n < N; n++) w[n] = get(panel + n * SIZE);
            for (int r = 0; r < HEIGHT; r++) {
                const wide<T> a = same<T>(x.data[r * BLOCK + k]);
                for (int n = 0; n < N; n++) sum[r][n] += a * w[n];
            }
        }
    }
    each_sum<HEIGHT, N>([&](int r, int n) { put<T>(place(r, n), sum[r][n]); });
}

template <class T>
using ProductTile = void (*)(Rows<T>, int, const T*, int, T*, ptrdiff_t, int, const T*, bool, ptrdiff_t);

template <class T, int BLOCKS>
constexpr int TALLEST = SUMS / (BLOCKS * SPLIT<T>) > 0 ? SUMS / (BLOCKS * SPLIT<T>) : 1;

template <class T, int BLOCKS, int HEIGHT = TALLEST<T, BLOCKS>>
struct ProductTiles {
    static ProductTile<T> get(int height) {
        return height == HEIGHT ? &product_tile<T, HEIGHT, BLOCKS> : ProductTiles<T, BLOCKS, HEIGHT - 1>::get(height);
    }
};
template <class T, int BLOCKS>
struct ProductTiles<T, BLOCKS, 0> {
    static ProductTile<T> get(int) { return nullptr; }
};

// All rows through one panel. Tiles of nearly equal height keep the pipelines full; a row has the same bits in each. The
// first tile asks for the panel that comes `ahead` numbers behind this one.
template <class T, int BLOCKS>
void panel_rows(Rows<T> x, int64_t rows, int inner, const T* panel, int step, Rows<T> y, int y_row, const T* shift,
                bool accumulate, ptrdiff_t ahead = 0) {
    constexpr int MOST = TALLEST<T, BLOCKS>;
    const int64_t tiles = (rows + MOST - 1) / MOST;
    for (int64_t t = 0, r = 0; t < tiles; t++) {
        const int height = (int)(rows / tiles + (t < rows % tiles));
        ProductTiles<T, BLOCKS>::get(height)({x.data + r * BLOCK, x.stride}, inner, panel, step, y.data + r * y_row, y.stride,
                                             y_row, shift, accumulate, t == 0 ? ahead : 0);
        r += height;
    }
}

// Part of a packed matrix of `height` rows and `columns` blocks of columns: rows from `offset` on, blocks first ... last,
// of which the first is even.
template <class T>
struct Packed {
    const T* data;
    int height, columns, offset, first, last;
};

// y (+)= x · part (+ shift)
template <class T>
void product(Rows<T> x, int64_t rows, int inner, Packed<T> part, Rows<T> y, const T* shift, bool accumulate) {
    if (rows <= 0) return;
    constexpr int WIDE = WIDE_BLOCKS<T>;
    for (int b = part.first; b < part.last; b += WIDE) {
        const int step = (part.columns - b < WIDE ? 1 : WIDE) * BLOCK;
        const T* panel = part.data + (ptrdiff_t)b * BLOCK * part.height + (ptrdiff_t)part.offset * step;
        const Rows<T> out = {y.data + (b - part.first) * y.stride, y.stride};
        const T* bias = shift ? shift + b * BLOCK : nullptr;
        const ptrdiff_t ahead = b + WIDE < part.last ? (ptrdiff_t)part.height * step : 0;
        if (part.last - b >= WIDE)
            panel_rows<T, WIDE>(x, rows, inner, panel, step, out, BLOCK, bias, accumulate, ahead);
        else
            panel_rows<T, 1>(x, rows, inner, panel, step, out, BLOCK, bias, accumulate);
    }
}

template <class T>
void forward(const Dense<T>& layer, Rows<T> x, int64_t rows, Rows<T> y) {
    const int columns = layer.outputs / BLOCK;
    product<T>(x, rows, layer.inputs, {layer.forward, layer.inputs, columns, 0, 0, columns}, y, layer.shift, false);
}
template <class T>  // tangents: without the bias
void forward_linear(const Dense<T>& layer, Rows<T> x, int64_t rows, Rows<T> y) {
    const int columns = layer.outputs / BLOCK;
    product<T>(x, rows, layer.inputs, {layer.forward, layer.inputs, columns, 0, 0, columns}, y, nullptr, false);
}
template <class T>
void backward(const Dense<T>& layer, Rows<T> y, int64_t rows, Rows<T> x, bool accumulate = false) {
    const int columns = layer.inputs / BLOCK;
    product<T>(y, rows, layer.outputs, {layer.backward, layer.outputs, columns, 0, 0, columns}, x, nullptr, accumulate);
}

PAINN_INLINE int place_in(const int* parts, int padded) {  // of a padded index in torch's array; -1: padding
    const int first = painn::padded(parts[0]);
    if (padded < first) return padded < parts[0] ? padded : -1;
    return padded - first < parts[1] ? parts[0] + padded - first : -1;
}

#if PAINN_LANES == 16
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 finds fault with its own header of these functions
#endif
// 16 rows of w, `in` apart, to 16 rows of p, `out` apart.
PAINN_INLINE void transpose(const float* w, ptrdiff_t in, float* p, ptrdiff_t out) {
    __m512 r[16], t[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(w + i * in);
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
        r[4 * i + 2] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88), t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_ps(p + i * out, _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88));
        _mm512_storeu_ps(p + (i + 8) * out, _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd));
        _mm512_storeu_ps(p + (i + 4) * out, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88));
        _mm512_storeu_ps(p + (i + 12) * out, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd));
    }
}
#endif
template <class T>
PAINN_INLINE void transpose(const T* w, ptrdiff_t in, T* p, ptrdiff_t out) {
    for (int k = 0; k < BLOCK; k++)
        for (int n = 0; n < BLOCK; n++) p[k * out + n] = w[n * in + k];
}

// Panels of the matrix (`whole` sizes) that takes inputs to outputs; element (input k, output n) is w[n · in + k].
template <class T>
void pack_forward(const T* w, int inputs, int outputs, T* p) {
    for (int c = 0; c < outputs; c += WIDE_BLOCKS<T> * BLOCK) {
        const int width = outputs - c < WIDE_BLOCKS<T> * BLOCK ? BLOCK : WIDE_BLOCKS<T> * BLOCK;
        for (int n = 0; n < width; n += BLOCK)
            for (int k = 0; k < inputs; k += BLOCK)
                transpose(w + (ptrdiff_t)(c + n) * inputs + k, inputs, p + (ptrdiff_t)k * width + n, width);
        p += (ptrdiff_t)inputs * width;
    }
}
template <class T>
void pack_backward(const T* w, int inputs, int outputs, T* p) {
    for (int c = 0; c < inputs; c += WIDE_BLOCKS<T> * BLOCK) {
        const int width = inputs - c < WIDE_BLOCKS<T> * BLOCK ? BLOCK : WIDE_BLOCKS<T> * BLOCK;
        for (int k = 0; k < outputs; k++, p += width) memcpy(p, w + (ptrdiff_t)k * inputs + c, width * sizeof(T));
    }
}

// The same with padding; (element of row k of the panels, column n) from `of(k, n)`.
template <class T, class Element>
void pack_padded(int rows, int columns, T* p, Element of) {
    for (int c = 0; c < columns; c += WIDE_BLOCKS<T> * BLOCK) {
        const int width = columns - c < WIDE_BLOCKS<T> * BLOCK ? BLOCK : WIDE_BLOCKS<T> * BLOCK;
        for (int k = 0; k < rows; k++)
            for (int n = 0; n < width; n++) *p++ = of(k, c + n);
    }
}

template <class T>
void pack_layer(const Network<T>& net, const Dense<T>& layer) {
    const T* w = net.flat + layer.weight;
    if (layer.shift)
        for (int n = 0; n < layer.outputs; n++) {
            const int place = place_in(layer.out, n);
            layer.shift[n] = place < 0 ? 0 : net.flat[layer.bias + place];
        }
    if (layer.whole()) {
        pack_forward(w, layer.inputs, layer.outputs, layer.forward);
        pack_backward(w, layer.inputs, layer.outputs, layer.backward);
        return;
    }
    const auto element = [&](int input, int output) -> T {
        const int k = place_in(layer.in, input), n = place_in(layer.out, output);
        return k < 0 || n < 0 ? 0 : w[(ptrdiff_t)n * (layer.in[0] + layer.in[1]) + k];
    };
    pack_padded<T>(layer.inputs, layer.outputs, layer.forward, [&](int k, int n) { return element(k, n); });
    pack_padded<T>(layer.outputs, layer.inputs, layer.backward, [&](int n, int k) { return element(k, n); });
}

}  // namespace
}  // namespace painn::training
