// C = A·B (+ bias of the columns, or + C) of any strides in float or double, for torch's automatic differentiation: a
// matrix and its transpose are the same to it. B is packed in panels of as many columns as a tile of registers holds.
#pragma once
#include "gemm.hpp"
#include "wide.hpp"

namespace {

constexpr int TILE_WIDE = PANEL / LANES;  // registers per row of a tile

template <class T>
constexpr int TILE_COLUMNS = TILE_WIDE * Wide<T>::SIZE;

// ROWS x TILE_COLUMNS of C, from rows of A and a panel of B whose rows are `step` apart.
template <class T, int ROWS>
void matrix_tile(const PainnMatrix& m, int64_t row, int64_t column, const T* panel, int64_t step) {
    constexpr int SIZE = Wide<T>::SIZE, COLUMNS = TILE_COLUMNS<T>;
    const T* a = (const T*)m.a + row * m.a_row;
    wide<T> sum[ROWS][TILE_WIDE] = {};
    for (int64_t k = 0; k < m.inner; k++, panel += step, a += m.a_column) {
        wide<T> b[TILE_WIDE];
        for (int n = 0; n < TILE_WIDE; n++) b[n] = get(panel + n * SIZE);
        for (int r = 0; r < ROWS; r++) {
            const wide<T> x = wide<T>{} + a[r * m.a_row];
            for (int n = 0; n < TILE_WIDE; n++) sum[r][n] += x * b[n];
        }
    }
    const int64_t width = m.columns - column < COLUMNS ? m.columns - column : COLUMNS;
    T bias[COLUMNS] = {};
    if (m.bias) __builtin_memcpy(bias, (const T*)m.bias + column, width * sizeof(T));
    for (int r = 0; r < ROWS; r++) {
        T* c = (T*)m.c + (row + r) * m.columns + column;
        T values[COLUMNS];
        T* place = width == COLUMNS ? c : values;
        if (m.accumulate && place == values) __builtin_memcpy(values, c, width * sizeof(T));
        for (int n = 0; n < TILE_WIDE; n++) {
            wide<T> x = sum[r][n] + get(bias + n * SIZE);
            if (m.accumulate) x += get(place + n * SIZE);
            put<T>(place + n * SIZE, x);
        }
        if (place == values) __builtin_memcpy(c, values, width * sizeof(T));
    }
}

template <class T>
using MatrixTile = void (*)(const PainnMatrix&, int64_t, int64_t, const T*, int64_t);

template <class T, int ROWS = MAX_ROWS>
struct MatrixTiles {
    static MatrixTile<T> get(int rows) { return rows == ROWS ? &matrix_tile<T, ROWS> : MatrixTiles<T, ROWS - 1>::get(rows); }
};
template <class T>
struct MatrixTiles<T, 0> {
    static MatrixTile<T> get(int) { return nullptr; }
};

// All rows of C in the columns of one panel.
template <class T>
void matrix_column(const PainnMatrix& m, int64_t column, const T* panel, int64_t step) {
    const int64_t tiles = (m.rows + MAX_ROWS - 1) / MAX_ROWS;
    if (!tiles) return;
    const int64_t low = m.rows / tiles, extra = m.rows % tiles;  // tiles of nearly equal height
    for (int64_t t = 0, row = 0; t < tiles; t++) {
        const int height = (int)(low + (t < extra));
        MatrixTiles<T>::get(height)(m, row, column, panel, step);
        row += height;
    }
}

// Columns [column, column + TILE_COLUMNS) of B, zero where there are none.
template <class T>
void matrix_panel(const PainnMatrix& m, int64_t column, T* panel) {
    constexpr int COLUMNS = TILE_COLUMNS<T>;
    const int64_t width = m.columns - column < COLUMNS ? m.columns - column : COLUMNS;
    const T* b = (const T*)m.b + column * m.b_column;
    if (width < COLUMNS) __builtin_memset(panel, 0, m.inner * COLUMNS * sizeof(T));
    if (m.b_column == 1) {
        for (int64_t k = 0; k < m.inner; k++) {
            for (int64_t n = 0; n < width; n++) panel[k * COLUMNS + n] = b[k * m.b_row + n];
        }
    } else {
        for (int64_t n = 0; n < width; n++) {
            for (int64_t k = 0; k < m.inner; k++) panel[k * COLUMNS + n] = b[n * m.b_column + k * m.b_row];
        }
    }
}

template <class T>
void matrix_columns(const PainnMatrix& m, T* scratch) {
    for (int64_t column = 0; column < m.columns; column += TILE_COLUMNS<T>) {
        matrix_panel<T>(m, column, scratch);
        matrix_column<T>(m, column, scratch, TILE_COLUMNS<T>);
    }
}

void matrix(const PainnMatrix& m, void* scratch) {
    m.width == 4 ? matrix_columns<float>(m, (float*)scratch) : matrix_columns<double>(m, (double*)scratch);
}

}  // namespace
