// Output networks: the atomic energy with its gradient, and values and vectors of atoms for the other heads.
#pragma once
#include "node.hpp"

namespace {

float weighted_sum(const float* x, ptrdiff_t stride, const float* weight, int width) {
    vec sum = {};
    for (int c = 0; c < width; c += LANES) sum += load(x + c / BLOCK * stride + c % BLOCK) * load(weight + c);
    float total = 0;
    for (int i = 0; i < LANES; i++) total += sum[i];
    return total;
}

// outputs[i][0] of the atoms by an MLP of their scalars, and with `gradient` its derivative in g_s.
void scalar_head(const Pass& p, const Head& head, bool gradient, int64_t first, int64_t last, float* memory) {
    const int64_t n = p.rows.atoms;
    const int rows = (int)(last - first), layers = head.depth - 1;
    Scratch scratch{memory};
    Input x{p.s + first * BLOCK, n * BLOCK};
    float* slopes[16];
    for (int k = 0; k < layers; k++) {
        const int size = head.layers[k].outputs;
        float* y = scratch.take((int64_t)size * rows);
        slopes[k] = scratch.take((int64_t)size * rows);
        forward(head.layers[k], x, rows, {y, rows * BLOCK});
        activate(y, size / BLOCK, rows, slopes[k], rows * BLOCK);
        x = {y, rows * BLOCK};
    }
    for (int i = 0; i < rows; i++)
        p.outputs[(first + i) * 4] = head.last_bias + weighted_sum(x.data + i * BLOCK, x.stride, head.last, head.width);
    if (!gradient) return;

    const ptrdiff_t g_stride = layers ? rows * BLOCK : n * BLOCK;
    float* g = layers ? scratch.take((int64_t)head.width * rows) : p.g_s + first * BLOCK;
    for (int c = 0; c < head.width; c += LANES)
        for (int i = 0; i < rows; i++) store(g + c / BLOCK * g_stride + i * BLOCK + c % BLOCK, load(head.last + c));
    for (int k = layers - 1; k >= 0; k--) {
        times(g, head.layers[k].outputs / BLOCK, rows, slopes[k], rows * BLOCK);
        const Output y = k ? Output{scratch.take((int64_t)head.layers[k].inputs * rows), rows * BLOCK}
                           : Output{p.g_s + first * BLOCK, n * BLOCK};
        backward(head.layers[k], {g, rows * BLOCK}, rows, y);
        g = y.data;
    }
}

// outputs[i] = value and vector of the atoms by gated equivariant blocks (PaiNN, figure 3).
void gated_head(const Pass& p, const Head& head, int64_t first, int64_t last, float* memory) {
    const int64_t n = p.rows.atoms;
    const int rows = (int)(last - first);
    Scratch scratch{memory};
    Input s{p.s + first * BLOCK, n * BLOCK}, v{p.v + first * 3 * BLOCK, 3 * n * BLOCK};
    for (int k = 0; k < head.depth; k++) {
        const Gated& w = head.blocks[k];
        const int in = w.inputs / BLOCK, out = w.outputs / BLOCK;
        const ptrdiff_t size = (ptrdiff_t)rows * BLOCK;
        float* mixed = scratch.take(2 * out * 3 * size);
        float* joined = scratch.take((in + out) * size);
        float* hidden = scratch.take(in * size);
        float* gates = scratch.take(2 * out * size);
        forward(w.mix, v, 3 * rows, {mixed, 3 * size});
        scalars_and_norms(s.data, s.stride, in, mixed, 3 * size, out, rows, (float)head.epsilon, joined);
        forward(w.gate_1, {joined, size}, rows, {hidden, size});
        activate(hidden, in, rows, nullptr, 0);
        forward(w.gate_2, {hidden, size}, rows, {gates, size});
        if (k + 1 < head.depth) activate(gates, out, rows, nullptr, 0);
        float* W = mixed + out * 3 * size;
        for (int b = 0; b < out; b++)
            for (int r = 0; r < 3 * rows; r++)
                for (int lane = 0; lane < BLOCK; lane += LANES) {
                    float* x = W + b * 3 * size + (ptrdiff_t)r * BLOCK + lane;
                    store(x, load(x) * load(gates + (b + out) * size + r / 3 * BLOCK + lane));
                }
        s = {gates, size};
        v = {W, 3 * size};
    }
    for (int i = 0; i < rows; i++) {
        float* out = p.outputs + (first + i) * 4;
        out[0] = s.data[i * BLOCK];
        for (int d = 0; d < 3; d++) out[1 + d] = v.data[(3 * i + d) * BLOCK];
    }
}

void energy(const Pass& p, const Head& head, bool gradient, int64_t first, int64_t last, float* scratch) {
    scalar_head(p, head, gradient, first, last, scratch);
}

void read(const Pass& p, const Head& head, int64_t first, int64_t last, float* scratch) {
    if (head.blocks)
        gated_head(p, head, first, last, scratch);
    else
        scalar_head(p, head, false, first, last, scratch);
}

}  // namespace
