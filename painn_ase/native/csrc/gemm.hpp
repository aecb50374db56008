// y = x·W + b for matrices in blocked layout: element (row, k) of x lies at x[k / 16 · stride + row · 16 + k % 16].
// W is packed in panels of PANEL columns, [panel][k][column]; a last panel of one block holds an odd block.
#pragma once
#include "vec.hpp"

namespace {

#if PAINN_LANES == 16
constexpr int MAX_ROWS = 12, PANEL_BLOCKS = 2;  // 24 of 32 registers hold sums
#elif PAINN_LANES == 8
constexpr int MAX_ROWS = 6, PANEL_BLOCKS = 1;  // 12 of 16
#elif defined(__aarch64__)
constexpr int MAX_ROWS = 6, PANEL_BLOCKS = 1;  // 24 of 32
#else
constexpr int MAX_ROWS = 2, PANEL_BLOCKS = 1;  // 8 of 16
#endif
constexpr int PANEL = PANEL_BLOCKS * BLOCK;

struct Input {
    const float* data;
    ptrdiff_t stride;  // floats from one block to the next
};

struct Output {
    float* data;
    ptrdiff_t stride;
    int row = BLOCK;  // floats from one row to the next
};

enum class Start { zero, bias, output };  // what the sums start from

template <int ROWS, int BLOCKS>
void tile(const float* x, ptrdiff_t stride, int K, const float* panel, float* y, ptrdiff_t y_stride, int y_row,
          const float* bias, Start start) {
    constexpr int N = BLOCKS * STRIPS;
    vec sum[ROWS][N];
    for (int r = 0; r < ROWS; r++)
        for (int n = 0; n < N; n++) {
            const int block = n / STRIPS, lane = n % STRIPS * LANES;
            sum[r][n] = start == Start::zero   ? vec{}
                        : start == Start::bias ? load(bias + block * BLOCK + lane)
                                               : load(y + block * y_stride + r * y_row + lane);
        }
    for (int k0 = 0; k0 < K; k0 += BLOCK, x += stride) {
#pragma GCC unroll 4
        for (int k = 0; k < BLOCK; k++, panel += BLOCKS * BLOCK) {
            vec w[N];
            for (int n = 0; n < N; n++) w[n] = load(panel + n * LANES);
            for (int r = 0; r < ROWS; r++) {
                const vec a = all(x[r * BLOCK + k]);
                for (int n = 0; n < N; n++) sum[r][n] += a * w[n];
            }
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int n = 0; n < N; n++) store(y + n / STRIPS * y_stride + r * y_row + n % STRIPS * LANES, sum[r][n]);
}

using Tile = void (*)(const float*, ptrdiff_t, int, const float*, float*, ptrdiff_t, int, const float*, Start);

template <int BLOCKS, int ROWS = MAX_ROWS>
struct Tiles {
    static Tile get(int rows) { return rows == ROWS ? &tile<ROWS, BLOCKS> : Tiles<BLOCKS, ROWS - 1>::get(rows); }
};
template <int BLOCKS>
struct Tiles<BLOCKS, 0> {
    static Tile get(int) { return nullptr; }
};

// rows of x through `inputs` x `outputs` of the packed matrix, which has `packed_inputs` rows (the first are used).
void multiply(Input x, int rows, const float* packed, int inputs, int packed_inputs, int outputs, const float* bias,
              Start start, Output y) {
    if (rows <= 0) return;
    const int tiles = (rows + MAX_ROWS - 1) / MAX_ROWS;
    const int low = rows / tiles, extra = rows % tiles;  // tiles of nearly equal height keep the pipelines full
    for (int column = 0; column < outputs; column += PANEL) {
        const bool full = outputs - column >= PANEL;
        const float* panel = packed + (ptrdiff_t)column * packed_inputs;
        for (int t = 0, r = 0; t < tiles; t++) {
            const int height = low + (t < extra);
            const Tile run = full ? Tiles<PANEL_BLOCKS>::get(height) : Tiles<1>::get(height);
            run(x.data + (ptrdiff_t)r * BLOCK, x.stride, inputs, panel,
                y.data + column / BLOCK * y.stride + (ptrdiff_t)r * y.row, y.stride, y.row, bias ? bias + column : nullptr,
                start);
            r += height;
        }
    }
}

void forward(const Linear& layer, Input x, int rows, Output y, int outputs = 0) {
    multiply(x, rows, layer.weight, layer.inputs, layer.inputs, outputs ? outputs : layer.outputs, layer.bias,
             layer.bias ? Start::bias : Start::zero, y);
}

// Gradient of the input from the gradient of the first `outputs` outputs.
void backward(const Linear& layer, Input g, int rows, Output y, Start start = Start::zero, int outputs = 0) {
    multiply(g, rows, layer.transposed, outputs ? outputs : layer.outputs, layer.outputs, layer.inputs, nullptr, start, y);
}

// weight (inputs, outputs) row-major -> panels; both are multiples of BLOCK.
void pack(const float* weight, int inputs, int outputs, float* packed) {
    for (int column = 0; column < outputs; column += PANEL) {
        const int width = outputs - column < PANEL ? outputs - column : PANEL;
        for (int k = 0; k < inputs; k++)
            for (int c = 0; c < width; c++) *packed++ = weight[(ptrdiff_t)k * outputs + column + c];
    }
}

}  // namespace
