// All kernels of a training step for one instruction set and both precisions; included by one file per set, with PAINN_LANES and
// PAINN_SET defined.
#pragma once
#include "gated.hpp"
#include "geometry.hpp"
#include "optimizer.hpp"
#include "passes.hpp"

namespace painn::training {
namespace {

// The first context of every element at hand.
template <class T>
void element_table(const Network<T>& net, const ElementTable<T>& e) {
    const Interaction<T>& w = net.set(0);
    for (int k = 0; k < e.count; k++)
        for (int c = 0; c < net.blocks * SPLIT<T>; c++)
            put<T>(at(e.s, c, k), get(net.flat + net.embedding + (ptrdiff_t)e.numbers[k] * net.F + c * Wide<T>::SIZE));
    forward(w.context_1, e.s, e.count, e.z);
    activate(e.z, e.slope, e.h_h, net.blocks, 0, e.count);  // the second derivative is not needed
    forward(w.context_2, e.z, e.count, e.x);
}

// From the hats of x and s, summed per element, to those of the hidden layer and of the embedding.
template <class T>
void element_hat(const Network<T>& net, const ElementTable<T>& e) {
    const Interaction<T>& w = net.set(0);
    backward(w.context_2, e.h_x, e.count, e.h_z);
    multiply_rows(e.h_z, e.slope, e.h_h, net.blocks, 0, e.count);
    backward(w.context_1, e.h_h, e.count, e.h_s, true);
}

template <class T>
constexpr Kernels<T> training_kernels = {
    SPLIT<T>,
    STRIP,
    pack_layer<T>,
    pack_filters<T>,
    geometry_of<T>,
    element_table<T>,
    embed_atoms<T>,
    make_filters<T>,
    context_value_of<T>,
    message_value_of<T>,
    update_value_of<T>,
    energy_value_of<T>,
    head_value_of<T>,
    energy_adjoint_of<T>,
    update_adjoint_of<T>,
    message_adjoint_of<T>,
    context_adjoint_of<T>,
    collect_gradients<T>,
    displace_pairs<T>,
    context_tangent_of<T>,
    message_tangent_of<T>,
    update_tangent_of<T>,
    energy_tangent_of<T>,
    energy_hat_of<T>,
    head_hat_of<T>,
    update_hat_of<T>,
    message_hat_of<T>,
    context_hat_of<T>,
    gradient_task<T>,
    filter_gradient_of<T>,
    sum_of_rows<T>,
    element_hat<T>,
    square_of<T>,
    optimize_range<T>,
};

}  // namespace

#define PAINN_TRAINING_DEFINE(set)                                                    \
    const Kernels<float>* training_float_##set() { return &training_kernels<float>; } \
    const Kernels<double>* training_double_##set() { return &training_kernels<double>; }
#define PAINN_TRAINING_EXPAND(set) PAINN_TRAINING_DEFINE(set)
PAINN_TRAINING_EXPAND(PAINN_SET)
}  // namespace painn::training
