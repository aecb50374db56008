#include "network.hpp"

#include <algorithm>

namespace painn {

namespace {

int total(const Axis& axis) {
    int sum = 0;
    for (int size : axis) sum += size;
    return sum;
}

int total_padded(const Axis& axis) {
    int sum = 0;
    for (int size : axis) sum += padded(size);
    return sum;
}

std::vector<int> places(const Axis& axis) {  // where each index goes once the pieces are padded
    std::vector<int> place;
    int base = 0;
    for (int size : axis) {
        for (int k = 0; k < size; k++) place.push_back(base + k);
        base += padded(size);
    }
    return place;
}

}  // namespace

Weights::Weights(const PainnSizes& sizes, const Kernels* kernels)
    : kernels_(kernels), sets_(sizes.sets), anchors_(sizes.filters), slopes_(sizes.filters) {
    net.F = sizes.features;
    net.T = sizes.interactions;
    net.blocks = sizes.features / BLOCK;
    net.intervals = sizes.intervals;
    net.elements = sizes.elements;
    net.epsilon = (float)sizes.epsilon;
    net.cutoff = sizes.cutoff;
    net.sets = sets_.data();
    net.n_sets = sizes.sets;
    net.anchors = anchors_.data();
    net.slopes = slopes_.data();
    net.n_filters = sizes.filters;
}

const float* Weights::copy(const float* values, size_t count, size_t padded_count) {
    Buffer<float>& buffer = floats_.emplace_back(padded_count);
    std::fill(buffer.data(), buffer.data() + padded_count, 0.0f);
    std::copy(values, values + count, buffer.data());
    return buffer.data();
}

// weight is (outputs, inputs) without padding; REVERSE packs its transpose.
Linear Weights::linear(const float* weight, const float* bias, const Axis& outputs, const Axis& inputs, int directions) {
    const int n_out = total(outputs), n_in = total(inputs);
    const std::vector<int> to = places(outputs), from = places(inputs);
    Linear layer;
    layer.outputs = total_padded(outputs);
    layer.inputs = total_padded(inputs);
    const size_t size = (size_t)layer.outputs * layer.inputs;
    std::vector<float> plain(size, 0.0f), transposed(size, 0.0f);
    for (int o = 0; o < n_out; o++)
        for (int i = 0; i < n_in; i++) {
            const float value = weight[(size_t)o * n_in + i];
            plain[(size_t)from[i] * layer.outputs + to[o]] = value;
            transposed[(size_t)to[o] * layer.inputs + from[i]] = value;
        }
    if (directions & FORWARD) {
        float* packed = floats_.emplace_back(size).data();
        kernels_->pack(plain.data(), layer.inputs, layer.outputs, packed);
        layer.weight = packed;
    }
    if (directions & REVERSE) {
        float* packed = floats_.emplace_back(size).data();
        kernels_->pack(transposed.data(), layer.outputs, layer.inputs, packed);
        layer.transposed = packed;
    }
    if (bias) {
        std::vector<float> padded_bias(layer.outputs, 0.0f);
        for (int o = 0; o < n_out; o++) padded_bias[to[o]] = bias[o];
        layer.bias = copy(padded_bias.data(), padded_bias.size(), padded_bias.size());
    }
    return layer;
}

bool Weights::set_linear(int which, int set, const float* weight, const float* bias) {
    const int F = net.F;
    if (set < 0 || set >= net.n_sets) return false;
    Interaction& w = sets_[set];
    switch (which) {
        case PAINN_CONTEXT_1:
            w.context_1 = linear(weight, bias, {F}, {F}, BOTH);
            return true;
        case PAINN_CONTEXT_2:
            for (int c = 0; c < FILTERS; c++)
                w.context_2[c] = linear(weight + (size_t)c * F * F, bias + c * F, {F}, {F}, FORWARD);
            w.context_2_all = linear(weight, nullptr, {F, F, F}, {F}, REVERSE);
            return true;
        case PAINN_MIX:
            if (set == 0) first_mix_.assign(weight, weight + 2 * (size_t)F * F);
            w.mix = linear(weight, nullptr, {F, F}, {F}, BOTH);
            return true;
        case PAINN_UPDATE_1:
            w.update_1 = linear(weight, bias, {F}, {F, F}, BOTH);
            return true;
        case PAINN_UPDATE_2: {
            // torch keeps a_ss, a_vv, a_sv; here a_vv comes last, because the last update can do without it
            std::vector<float> rows(weight, weight + 3 * (size_t)F * F), offsets(bias, bias + 3 * F);
            std::swap_ranges(rows.begin() + (size_t)F * F, rows.begin() + 2 * (size_t)F * F, rows.begin() + 2 * (size_t)F * F);
            std::swap_ranges(offsets.begin() + F, offsets.begin() + 2 * F, offsets.begin() + 2 * F);
            w.update_2 = linear(rows.data(), offsets.data(), {F, F, F}, {F}, BOTH);
            return true;
        }
        default:
            return false;
    }
}

// With coefficients c and B-spline weights N, W = Σ_m c_k+m N_m = c_k + Σ_m (c_k+m+1 - c_k+m) (N_m+1 + ... + N_5), and
// dW/dr is a quartic spline of the same differences. They are taken before rounding: differences of rounded
// coefficients would lose as many digits as a filter changes little over one interval.
void Weights::tabulate(const double* coefficients, int filters, int width, const float** anchors, const float** slopes) {
    const int rows = net.intervals + ORDER, size = padded(width);
    const double per_length = net.intervals / net.cutoff;
    float* anchor = floats_.emplace_back((size_t)net.intervals * filters * size).data();
    float* slope = floats_.emplace_back((size_t)(rows - 1) * filters * size).data();
    *anchors = anchor;
    *slopes = slope;
    for (int b = 0; b < size / BLOCK; b++)
        for (int r = 0; r + 1 < rows; r++)
            for (int c = 0; c < filters; c++)
                for (int k = b * BLOCK; k < (b + 1) * BLOCK; k++) {
                    const double* here = coefficients + ((size_t)r * filters + c) * width + k;
                    if (r < net.intervals) *anchor++ = k < width ? (float)*here : 0.0f;
                    *slope++ = k < width ? (float)((here[filters * width] - *here) * per_length) : 0.0f;
                }
}

void Weights::set_filter(int set, const double* coefficients) {
    tabulate(coefficients, FILTERS, net.F, &anchors_[set], &slopes_[set]);
}

void Weights::set_radial(int radial, const double* coefficients, const double* weights) {
    radial_.radial = radial;
    radial_.blocks = padded(radial) / BLOCK;
    tabulate(coefficients, 1, radial, &radial_.anchors, &radial_.slopes);
    radial_weights_.assign(weights, weights + (size_t)radial * 2 * net.F);
}

// Column (e, n) of the maps: x_s(e) ∘ W_n for Δs, x_vs(e) ∘ W_n for Δv, and the update's mixing of the latter.
const Moments* Weights::moments(const std::vector<int32_t>& elements) {
    const int F = net.F, width = (int)elements.size() * radial_.radial;
    if (!width || radial_.blocks > net.blocks || 4 * padded(width) > 3 * F) return nullptr;
    const auto known = moments_.find(elements);
    if (known != moments_.end()) return &known->second;
    std::vector<float> scalars((size_t)F * width), vectors((size_t)F * width), mixed((size_t)2 * F * width);
    std::vector<double> column(F);
    for (int k = 0; k < width; k++) {
        const float* x = net.context + (size_t)elements[k / radial_.radial] * FILTERS * F;
        const double* w = radial_weights_.data() + (size_t)(k % radial_.radial) * 2 * F;
        for (int f = 0; f < F; f++) {
            scalars[(size_t)f * width + k] = (float)(x[f] * w[f]);
            column[f] = x[F + f] * w[F + f];
            vectors[(size_t)f * width + k] = (float)column[f];
        }
        for (int o = 0; o < 2 * F; o++) {
            double sum = 0;
            for (int f = 0; f < F; f++) sum += first_mix_[(size_t)o * F + f] * column[f];
            mixed[(size_t)o * width + k] = (float)sum;
        }
    }
    Moments m = radial_;
    m.elements = (int)elements.size();
    m.scalars = linear(scalars.data(), nullptr, {F}, {width}, BOTH);
    m.vectors = linear(vectors.data(), nullptr, {F}, {width}, BOTH);
    m.mixed = linear(mixed.data(), nullptr, {F, F}, {width}, BOTH);
    return &moments_.emplace(elements, m).first->second;
}

void Weights::set_embedding(const float* embedding, const float* context) {
    const size_t count = (size_t)net.elements * net.F;
    net.embedding = copy(embedding, count, count);
    net.context = copy(context, FILTERS * count, FILTERS * count);
}

void Weights::add_head(const PainnHeadSpec& spec) {
    Head head;
    head.kind = spec.kind;
    head.depth = spec.depth;
    head.flag = spec.flag;
    head.scale = spec.scale;
    head.epsilon = spec.epsilon;
    head.references = doubles_.emplace_back(spec.references, spec.references + 100).data();
    if (spec.masses) head.masses = doubles_.emplace_back(spec.masses, spec.masses + 100).data();
    const float* const* tensor = spec.tensors;
    if (spec.kind == PAINN_ENERGY || spec.kind == PAINN_CHARGES) {
        std::vector<Linear>& layers = layers_.emplace_back();
        for (int k = 0; k + 1 < spec.depth; k++, tensor += 2)
            layers.push_back(linear(tensor[0], tensor[1], {spec.sizes[k + 1]}, {spec.sizes[k]}, BOTH));
        const int width = spec.sizes[spec.depth - 1];
        head.layers = layers.data();
        head.last = copy(tensor[0], width, padded(width));
        head.last_bias = tensor[1][0];
        head.width = padded(width);
    } else {
        std::vector<Gated>& blocks = gated_.emplace_back();
        for (int k = 0; k < spec.depth; k++, tensor += 5) {
            const int in = spec.sizes[k], out = spec.sizes[k + 1];
            Gated block;
            block.inputs = padded(in);
            block.outputs = padded(out);
            block.mix = linear(tensor[0], nullptr, {out, out}, {in}, FORWARD);
            block.gate_1 = linear(tensor[1], tensor[2], {in}, {in, out}, FORWARD);
            block.gate_2 = linear(tensor[3], tensor[4], {out, out}, {in}, FORWARD);
            blocks.push_back(block);
        }
        head.blocks = blocks.data();
    }
    heads.push_back(head);
}

const Head* Weights::head(int kind) const {
    for (const Head& head : heads)
        if (head.kind == kind) return &head;
    return nullptr;
}

int64_t Weights::scratch_per_atom() const {
    int64_t most = 12 * net.F;  // of update_backward
    for (const Head& head : heads) {
        int64_t need = head.width;
        if (head.layers)
            for (int k = 0; k + 1 < head.depth; k++) need += 2 * head.layers[k].outputs + head.layers[k].inputs;
        if (head.blocks)
            for (int k = 0; k < head.depth; k++) need += 9 * head.blocks[k].outputs + 2 * head.blocks[k].inputs;
        most = std::max(most, need);
    }
    return most;
}

}  // namespace painn
