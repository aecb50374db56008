// Weight gradients: C[m][n] = Σ_k Y[k][m] X[k][n] over the rows of some segments, in the order of the rows.
#pragma once
#include "rows.hpp"
#include "dense.hpp"

namespace painn::training {
namespace {

constexpr int STRIP = SUMS >= 12 ? 3 : 2;  // registers of columns per tile
constexpr int STRIP_ROWS = SUMS / STRIP;
static_assert(BLOCK % STRIP_ROWS == 0);

// What comes into use after a tile, asked for while it is at work: the next block of rows, then the next strip of columns.
template <class T>
PAINN_INLINE const T* outer_ahead(const Segment<T>& g, int row, int column, int width) {
    return row % BLOCK ? at(g.x, column + width + row / BLOCK % width, 0) : g.y.from(0, row / BLOCK + 1).data;
}

template <class T, int HEIGHT, int WIDTH>
void outer_tile(const Segment<T>* segments, int count, int row, int column, T* c, ptrdiff_t step, bool accumulate) {
    constexpr int SIZE = Wide<T>::SIZE;
    wide<T> sum[HEIGHT][WIDTH];
    each_sum<HEIGHT, WIDTH>([&](int r, int n) { sum[r][n] = accumulate ? get(c + r * step + n * SIZE) : wide<T>{}; });
    for (int s = 0; s < count; s++) {
        const Segment<T>& g = segments[s];
        const T* y = g.y.data + row / BLOCK * g.y.stride + row % BLOCK;  // a tile lies within a block of rows
        const T* x[WIDTH];
        for (int n = 0; n < WIDTH; n++) x[n] = at(g.x, column + n, 0);
        const T* ahead = outer_ahead(g, row, column, WIDTH);
        for (int64_t k = 0; k < g.rows * BLOCK; k += BLOCK) {
            __builtin_prefetch(ahead + k, 0, 2);
            wide<T> w[WIDTH];
            for (int n = 0; n < WIDTH; n++) w[n] = get(x[n] + k);
            for (int r = 0; r < HEIGHT; r++) {
                const wide<T> a = same<T>(y[k + r]);
                for (int n = 0; n < WIDTH; n++) sum[r][n] += a * w[n];
            }
        }
    }
    each_sum<HEIGHT, WIDTH>([&](int r, int n) { put<T>(c + r * step + n * SIZE, sum[r][n]); });
}

template <class T>
using OuterTile = void (*)(const Segment<T>*, int, int, int, T*, ptrdiff_t, bool);

template <class T, int WIDTH, int HEIGHT = STRIP_ROWS>
struct OuterTiles {
    static OuterTile<T> get(int height) {
        return height == HEIGHT ? &outer_tile<T, HEIGHT, WIDTH> : OuterTiles<T, WIDTH, HEIGHT - 1>::get(height);
    }
};
template <class T, int WIDTH>
struct OuterTiles<T, WIDTH, 0> {
    static OuterTile<T> get(int) { return nullptr; }
};

// `rows` rows of C from row `first` on, in one strip of columns; c is the strip's place in row 0.
template <class T>
void outer_strip(const Segment<T>* segments, int count, int first, int rows, int column, int width, T* c, ptrdiff_t step,
                 bool accumulate) {
    for (int m = first; m < first + rows; m += STRIP_ROWS) {
        const int height = first + rows - m < STRIP_ROWS ? first + rows - m : STRIP_ROWS;
        const OuterTile<T> run = width == 1   ? OuterTiles<T, 1>::get(height)
                                 : width == 2 ? OuterTiles<T, 2>::get(height)
                                              : OuterTiles<T, STRIP>::get(height);
        run(segments, count, m, column, c + m * step, step, accumulate);
    }
}

// All of C: `rows` rows, `blocks` blocks of columns.
template <class T>
void outer_all(const Segment<T>* segments, int count, int rows, int blocks, T* c, ptrdiff_t step, bool accumulate) {
    const int registers = blocks * SPLIT<T>;
    for (int column = 0; column < registers; column += STRIP) {
        const int width = registers - column < STRIP ? registers - column : STRIP;
        outer_strip(segments, count, 0, rows, column, width, c + column * Wide<T>::SIZE, step, accumulate);
    }
}

// Σ of the rows of x, (blocks · 16).
template <class T>
void sum_of_rows(const Rows<T>& x, int64_t rows, int blocks, T* out) {
    for (int c = 0; c < blocks * SPLIT<T>; c++) {
        wide<T> sum = {};
        for (int64_t i = 0; i < rows; i++) sum += get(at(x, c, i));
        put<T>(out + c * Wide<T>::SIZE, sum);
    }
}

// A strip of a layer's gradient, and the bias with the first strip. Matrices with padding are whole tasks: they are made
// in `scratch` and then put where torch has them.
template <class T>
void gradient_task(const GradientTask<T>& task, T* gradients, T* scratch) {
    const Dense<T>& layer = *task.layer;
    const bool whole = layer.whole();
    const int row_length = layer.in[0] + layer.in[1];
    T* out = gradients + layer.weight;
    if (whole) {
        outer_strip(task.segments, task.count, task.first_row, task.rows, task.first_column, task.columns,
                    out + task.first_column * Wide<T>::SIZE, row_length, task.accumulate);
    } else {
        outer_all<T>(task.segments, task.count, layer.outputs, layer.inputs / BLOCK, scratch, layer.inputs, false);
        for (int n = 0; n < layer.outputs; n++)
            for (int k = 0; k < layer.inputs; k++) {
                const int row = place_in(layer.out, n), column = place_in(layer.in, k);
                if (row < 0 || column < 0) continue;
                T& place = out[(ptrdiff_t)row * row_length + column];
                place = (task.accumulate ? place : 0) + scratch[(ptrdiff_t)n * layer.inputs + k];
            }
    }
    if (layer.bias < 0 || task.first_column) return;
    for (int n = task.first_row; n < task.first_row + task.rows; n += BLOCK) {
        T sum[BLOCK] = {};
        for (int s = 0; s < task.count; s++) {
            if (!task.segments[s].hat) continue;
            T part[BLOCK];
            sum_of_rows<T>(task.segments[s].y.from(0, n / BLOCK), task.segments[s].rows, 1, part);
            for (int c = 0; c < BLOCK; c++) sum[c] += part[c];
        }
        for (int c = 0; c < BLOCK; c++) {
            const int place = place_in(layer.out, n + c);
            if (place < 0) continue;
            T& bias = gradients[layer.bias + place];
            bias = (task.accumulate ? bias : 0) + sum[c];
        }
    }
}

}  // namespace
}  // namespace painn::training
