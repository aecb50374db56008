#include "workspace.hpp"

#include <algorithm>

namespace painn::training {

namespace {

constexpr int64_t STORED = 600;  // pairs up to which filters are kept: more would not fit into a cache

template <class T>
struct Array {
    Rows<T> Layer<T>::* place;
    int width, per_atom;  // in features; rows
};

template <class T>
using L = Layer<T>;

template <class T>
const std::vector<Array<T>> VALUES = {
    {&L<T>::s, 1, 1}, {&L<T>::z_c, 1, 1}, {&L<T>::z_u, 1, 1}, {&L<T>::v1, 1, 3}, {&L<T>::j, 2, 1}};
template <class T>
const std::vector<Array<T>> DERIVED = {
    {&L<T>::b_M, 2, 3}, {&L<T>::b_a, 3, 1}, {&L<T>::b_x, 3, 1}, {&L<T>::b_hc, 1, 1}, {&L<T>::b_hu, 1, 1}};
template <class T>
const std::vector<Array<T>> TANGENTS = {
    {&L<T>::t_s, 1, 1}, {&L<T>::t_zc, 1, 1}, {&L<T>::t_zu, 1, 1}, {&L<T>::t_v1, 1, 3}, {&L<T>::t_j, 2, 1}};
template <class T>
const std::vector<Array<T>> HATS = {
    {&L<T>::h_M, 2, 3}, {&L<T>::h_a, 3, 1}, {&L<T>::h_x, 3, 1}, {&L<T>::h_hc, 1, 1}, {&L<T>::h_hu, 1, 1}};
template <class T>
const std::vector<Array<T>> OWN_VALUES = {{&L<T>::v, 1, 3},       {&L<T>::x, 3, 1},       {&L<T>::M, 2, 3},
                                          {&L<T>::a, 3, 1},       {&L<T>::slope_c, 1, 1}, {&L<T>::bend_c, 1, 1},
                                          {&L<T>::slope_u, 1, 1}, {&L<T>::bend_u, 1, 1}};
template <class T>
const std::vector<Array<T>> OWN_DERIVED = {{&L<T>::b_sout, 1, 1}, {&L<T>::b_vout, 1, 3}, {&L<T>::b_zu, 1, 1},
                                           {&L<T>::b_j, 2, 1},    {&L<T>::b_s, 1, 1},    {&L<T>::b_v, 1, 3},
                                           {&L<T>::b_S, 1, 3},    {&L<T>::b_zc, 1, 1}};
template <class T>
const std::vector<Array<T>> OWN_TANGENTS = {{&L<T>::t_v, 1, 3}, {&L<T>::t_x, 3, 1}, {&L<T>::t_M, 2, 3}, {&L<T>::t_a, 3, 1}};

template <class T>
void take(Arena<T>& arena, const std::vector<Array<T>>& arrays, Layer<T>& layer, int64_t atoms, int F) {
    for (const Array<T>& a : arrays) layer.*a.place = arena.rows(a.per_atom * atoms, a.width * F);
}

template <class T>
std::vector<Array<T>> shared_of(const Mode& mode) {
    std::vector<Array<T>> all = VALUES<T>;
    if (mode.derived) all.insert(all.end(), DERIVED<T>.begin(), DERIVED<T>.end());
    if (mode.tangents) all.insert(all.end(), TANGENTS<T>.begin(), TANGENTS<T>.end());
    if (mode.hats) all.insert(all.end(), HATS<T>.begin(), HATS<T>.end());
    return all;
}

// The hidden layers of a readout that weight gradients read.
template <class T>
std::vector<Hidden<T>> hidden_of(Arena<T>& arena, const Readout<T>& readout, int64_t atoms) {
    std::vector<Hidden<T>> layers(readout.depth);
    for (int k = 0; k < readout.depth; k++)
        for (auto place : {&Hidden<T>::z, &Hidden<T>::b_h, &Hidden<T>::t_z, &Hidden<T>::h_h})
            layers[k].*place = arena.rows(atoms, readout.hidden[k].outputs);
    return layers;
}

template <class T>
void own_hidden(Arena<T>& arena, const Readout<T>& readout, int64_t atoms, std::vector<Hidden<T>>& layers) {
    for (int k = 0; k < readout.depth; k++)
        for (auto place : {&Hidden<T>::slope, &Hidden<T>::bend, &Hidden<T>::b_z})
            layers[k].*place = arena.rows(atoms, readout.hidden[k].outputs);
}

// The widest of what is kept for one atom between dense layers.
template <class T>
int widest(const Network<T>& net) {
    int width = 2 * net.F;
    const auto readout = [&](const Readout<T>& r) {
        for (int k = 0; k < r.depth; k++) width = std::max({width, r.hidden[k].inputs, r.hidden[k].outputs});
    };
    readout(net.energy);
    for (int h = 0; h < net.n_heads; h++) {
        readout(net.heads[h].readout);
        for (int k = 0; k < net.heads[h].depth; k++)
            width = std::max({width, net.heads[h].blocks[k].gate_1.inputs, net.heads[h].blocks[k].gate_2.outputs});
    }
    return width;
}

}  // namespace

bool Mode::vectors_read() const {
    return std::any_of(heads.begin(), heads.end(), [](char c) { return c == 2; });
}

template <class T>
void Wave<T>::reserve(const Network<T>& net, const Mode& mode, int64_t atoms, int structures, int elements) {
    Arena<T> counting;
    fill(counting, net, mode, atoms, structures, elements);
    Arena<T> arena(memory_.grow(counting.used));
    fill(arena, net, mode, atoms, structures, elements);
}

template <class T>
void Wave<T>::fill(Arena<T>& arena, const Network<T>& net, const Mode& mode, int64_t atoms, int structures, int elements) {
    const int F = net.F;
    layers.resize(net.T_);
    for (Layer<T>& layer : layers) take(arena, shared_of<T>(mode), layer, atoms, F);
    for (Rows<T>* rows : {&s, &t_s, &h_s0}) *rows = arena.rows(atoms, F);
    hidden = hidden_of(arena, net.energy, atoms);
    head_hidden.assign(net.n_heads, {}), head_blocks.assign(net.n_heads, {});
    read.assign(net.n_heads, nullptr), seed.assign(net.n_heads, nullptr);
    for (int h = 0; h < net.n_heads; h++) {
        if (!mode.heads[h]) continue;
        const OtherHead<T>& head = net.heads[h];
        head_hidden[h] = hidden_of(arena, head.readout, atoms);
        head_blocks[h].resize(head.depth);
        for (int k = 0; k < head.depth; k++) {
            const int in = head.blocks[k].inputs, out = head.blocks[k].outputs;
            GatedState<T>& q = head_blocks[h][k];
            q.v = arena.rows(3 * atoms, in), q.j = arena.rows(atoms, in + out), q.z = arena.rows(atoms, in);
            q.h_M = arena.rows(3 * atoms, 2 * out), q.h_h = arena.rows(atoms, in), q.h_g = arena.rows(atoms, 2 * out);
        }
        read[h] = arena.take(4 * atoms), seed[h] = arena.take(4 * atoms);
    }
    atomic = arena.take(atoms), factor = arena.take(structures);
    partial_size = (int64_t)net.T_ * net.blocks * net.radial * ROW;
    partial = mode.hats ? arena.take(structures * partial_size) : nullptr;
    table.count = elements;
    for (auto place : {&ElementTable<T>::s, &ElementTable<T>::z, &ElementTable<T>::slope, &ElementTable<T>::h_z,
                       &ElementTable<T>::h_h, &ElementTable<T>::h_s})
        table.*place = arena.rows(elements, F);
    for (auto place : {&ElementTable<T>::x, &ElementTable<T>::h_x}) table.*place = arena.rows(elements, 3 * F);
}

template <class T>
const Pass<T>& Room<T>::prepare(const Network<T>& net, const Mode& mode, const Wave<T>& wave, const Group& group,
                                const Sample* const* samples, const int32_t* species) {
    pass_ = {};
    pass_.net = &net;
    pass_.species = species;
    topology(group, samples);
    pass_.vectors_read = mode.vectors_read();
    pass_.derived = mode.tangents;
    pass_.stored = true;
    for (int s = 0; s < group.structures; s++) pass_.stored &= samples[s]->pairs <= STORED;
    share(wave, mode, group.first_atom, group.first);
    Arena<T> counting;
    fill(counting, net, mode);
    Arena<T> arena(memory_.grow(counting.used));
    fill(arena, net, mode);
    for (int s = 0; s < group.structures; s++) pass_.share[s] = net.scale / (net.mean ? (double)samples[s]->atoms : 1.0);
    return pass_;
}

template <class T>
void Room<T>::topology(const Group& group, const Sample* const* samples) {
    first_atom_.assign(1, 0), first_pair_.assign(1, 0), row_.assign(1, 0);
    neighbor_.clear(), center_.clear(), vectors_.clear(), chunks_.clear();
    for (int s = 0; s < group.structures; s++) {
        const Sample& sample = *samples[s];
        const int64_t atom = first_atom_.back(), pair = first_pair_.back();
        for (int64_t i = 1; i <= sample.atoms; i++) row_.push_back(pair + sample.row[i]);
        for (int32_t j : sample.neighbors) neighbor_.push_back((int32_t)atom + j);
        for (int32_t i : sample.centers) center_.push_back((int32_t)atom + i);
        for (const Chunk& c : sample.chunks) chunks_.push_back({atom + c.first, atom + c.last, s});
        vectors_.push_back(sample.vectors.data());
        first_atom_.push_back(atom + sample.atoms), first_pair_.push_back(pair + sample.pairs);
    }
    pass_.atoms = first_atom_.back(), pass_.pairs = first_pair_.back();
    pass_.structures = group.structures, pass_.n_chunks = (int)chunks_.size();
    pass_.first_atom = first_atom_.data(), pass_.first_pair = first_pair_.data(), pass_.row = row_.data();
    pass_.neighbor = neighbor_.data(), pass_.center = center_.data();
    pass_.vectors = vectors_.data(), pass_.chunks = chunks_.data();
}

// The group's rows of the wave's arrays.
template <class T>
void Room<T>::share(const Wave<T>& wave, const Mode& mode, int64_t a, int first) {
    layers_ = wave.layers;
    for (Layer<T>& layer : layers_)
        for (const Array<T>& array : shared_of<T>(mode)) layer.*array.place = (layer.*array.place).from(array.per_atom * a);
    const auto hidden = [&](std::vector<Hidden<T>>& layers) {
        for (Hidden<T>& layer : layers)
            for (auto place : {&Hidden<T>::z, &Hidden<T>::b_h, &Hidden<T>::t_z, &Hidden<T>::h_h})
                layer.*place = (layer.*place).from(a);
    };
    hidden(hidden_ = wave.hidden);
    head_hidden_ = wave.head_hidden, head_blocks_ = wave.head_blocks;
    heads_.assign(head_hidden_.size(), {});
    for (size_t h = 0; h < heads_.size(); h++) {
        if (!mode.heads[h]) continue;
        hidden(head_hidden_[h]);
        for (GatedState<T>& q : head_blocks_[h]) {
            for (auto place : {&GatedState<T>::j, &GatedState<T>::z, &GatedState<T>::h_h, &GatedState<T>::h_g})
                q.*place = (q.*place).from(a);
            for (auto place : {&GatedState<T>::v, &GatedState<T>::h_M}) q.*place = (q.*place).from(3 * a);
        }
        heads_[h] = {head_hidden_[h].data(), head_blocks_[h].data(), wave.read[h] + 4 * a, wave.seed[h] + 4 * a, true};
    }
    pass_.layers = layers_.data(), pass_.hidden = hidden_.data(), pass_.heads = heads_.data();
    pass_.s = wave.s.from(a), pass_.t_s = wave.t_s.from(a), pass_.h_s0 = wave.h_s0.from(a);
    pass_.atomic = wave.atomic + a, pass_.factor = wave.factor + first;
    pass_.partial = wave.partial ? wave.partial + first * wave.partial_size : nullptr;
    pass_.table = wave.table;
}

template <class T>
void Room<T>::fill(Arena<T>& arena, const Network<T>& net, const Mode& mode) {
    const int F = net.F;
    const int64_t n = pass_.atoms, pairs = pass_.pairs;
    for (Layer<T>& layer : layers_) {
        take(arena, OWN_VALUES<T>, layer, n, F);
        if (mode.derived) take(arena, OWN_DERIVED<T>, layer, n, F);
        if (mode.tangents) take(arena, OWN_TANGENTS<T>, layer, n, F);
    }
    own_hidden(arena, net.energy, n, hidden_);
    for (size_t h = 0; h < heads_.size(); h++) {
        if (!mode.heads[h]) continue;
        own_hidden(arena, net.heads[h].readout, n, head_hidden_[h]);
        for (int k = 0; k < net.heads[h].depth; k++) {
            const int in = net.heads[h].blocks[k].inputs, out = net.heads[h].blocks[k].outputs;
            GatedState<T>& q = head_blocks_[h][k];
            q.M = arena.rows(3 * n, 2 * out), q.g = arena.rows(n, 2 * out), q.slope = arena.rows(n, in);
            q.s_out = arena.rows(n, out), q.s_slope = arena.rows(n, out), q.g_v = arena.rows(3 * n, in);
        }
    }
    pass_.v = arena.rows(3 * n, F);
    pass_.h_s = arena.rows(n, F), pass_.h_v = arena.rows(3 * n, F), pass_.h_S = arena.rows(3 * n, F);
    pass_.h_j = arena.rows(n, widest(net)), pass_.h_z = arena.rows(n, widest(net));
    pass_.rho = arena.rows(pairs, net.radial), pass_.slope = arena.rows(pairs, net.radial);
    pass_.unit = arena.take(4 * pairs), pass_.turn = arena.take(4 * pairs), pass_.rate = arena.take(pairs);
    pass_.distance = arena.exact(pairs), pass_.exact_unit = arena.exact(3 * pairs);
    pass_.gradient = arena.take(4 * pairs * net.blocks);
    const int64_t filters = pass_.stored ? (int64_t)net.T_ * net.blocks * pairs * ROW : 0;
    pass_.W = filters ? arena.take(filters) : nullptr;
    pass_.dW = filters && mode.derived ? arena.take(filters) : nullptr;
    pass_.share = arena.exact(pass_.structures);
    pass_.forces = arena.exact(3 * n), pass_.virial = arena.exact(9 * pass_.structures);
}

template struct Wave<float>;
template struct Wave<double>;
template class Room<float>;
template class Room<double>;

}  // namespace painn::training
