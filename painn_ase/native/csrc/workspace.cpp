#include "workspace.hpp"

namespace painn {

namespace {

struct Cursor {  // hands out arrays of so many floats per channel block entry
    float* next;
    int64_t unit;
    float* take(int64_t count) {
        float* array = next;
        next += count * unit;
        return array;
    }
};

}  // namespace

void Workspace::reserve(const Network& net, int64_t atoms, int64_t entries, int64_t moments, bool gradient) {
    positions_.grow(3 * atoms);
    count_.grow(atoms);
    pairs_.grow(entries);
    layers_.resize(net.T);
    moments_.grow((size_t)moments * atoms);
    layer_floats_.grow((size_t)net.T * 17 * net.F * atoms);
    if (!gradient) return;
    gradient_.grow((size_t)4 * net.blocks * entries);
    adjoints_.grow((size_t)9 * net.F * atoms);
}

Pass Workspace::prepare(const Network& net, const Topology& topology, const Group& group, const double* positions) {
    Pass p{};
    p.net = &net;
    p.rows = topology.rows(group);
    p.entries = group.entries;
    for (int64_t i = 0; i < group.atoms; i++)
        for (int d = 0; d < 3; d++) positions_[3 * i + d] = positions[3 * p.rows.order[i] + d];
    p.positions = positions_.data();
    p.count = count_.data();
    p.pairs = pairs_.data();
    p.gradient = gradient_.data();
    Cursor layer{layer_floats_.data(), net.F * group.atoms};
    for (LayerState& state : layers_) state = {layer.take(6), layer.take(6), layer.take(3), layer.take(1), layer.take(1)};
    p.layers = layers_.data();
    p.moments = moments_.data();
    Cursor adjoint{adjoints_.data(), net.F * group.atoms};
    p.g_s = adjoint.take(1);
    p.g_v = adjoint.take(3);
    p.heard = adjoint.take(5);
    return p;
}

}  // namespace painn
