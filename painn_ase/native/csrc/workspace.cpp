#include "workspace.hpp"

#include <utility>

namespace painn {

namespace {

struct Cursor {  // hands out arrays of so many floats
    float* next;
    float* take(int64_t count) { return std::exchange(next, next + count); }
};

}  // namespace

// Ghosts need what pairs read or write of the far side: messages out, and answers back.
void Workspace::reserve(const Network& net, const Extent& extent, int64_t moments, bool gradient) {
    const int64_t atoms = extent.atoms, all = atoms + extent.ghosts;
    positions_.grow(3 * (all + extent.images));
    count_.grow(atoms);
    inner_.grow(atoms);
    pairs_.grow(extent.entries);
    layers_.resize(net.T);
    moments_.grow((size_t)moments * atoms);
    layer_floats_.grow((size_t)net.T * net.F * (11 * atoms + 6 * all));
    if (!gradient) return;
    gradient_.grow((size_t)4 * net.blocks * extent.entries);
    adjoints_.grow((size_t)net.F * (4 * atoms + 5 * all));
}

Pass Workspace::prepare(const Network& net, const Rows& rows, int64_t entries, const double* positions) {
    const int64_t own = net.F * rows.atoms, all = net.F * rows.all();
    Pass p{};
    p.net = &net;
    p.rows = rows;
    p.entries = entries;
    for (int64_t i = 0; i < rows.places(); i++)
        for (int d = 0; d < 3; d++) positions_[3 * i + d] = positions[3 * rows.order[i] + d];
    p.positions = positions_.data();
    p.count = count_.data();
    p.inner = inner_.data();
    p.pairs = pairs_.data();
    p.gradient = gradient_.data();
    Cursor layer{layer_floats_.data()};
    for (LayerState& state : layers_)
        state = {layer.take(6 * all), layer.take(6 * own), layer.take(3 * own), layer.take(own), layer.take(own)};
    p.layers = layers_.data();
    p.moments = moments_.data();
    Cursor adjoint{adjoints_.data()};
    p.g_s = adjoint.take(own);
    p.g_v = adjoint.take(3 * own);
    p.heard = adjoint.take(5 * all);
    return p;
}

}  // namespace painn
