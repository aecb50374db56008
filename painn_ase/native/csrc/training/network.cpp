#include "network.hpp"

#include <stdexcept>

namespace painn::training {

namespace {
constexpr int TABLE = 100;  // rows of per-element tables
}

template <class T>
Weights<T>::Weights(const PainnTrainingSizes& sizes, const PainnHeadSpec* heads)
    : sizes_(sizes), sets_(sizes.sets), filters_(sizes.filters) {
    const int F = sizes.features;
    net.F = F, net.T_ = sizes.interactions, net.blocks = F / BLOCK, net.radial = sizes.radial;
    net.cutoff = sizes.cutoff, net.epsilon = (T)sizes.epsilon, net.elements = sizes.elements;
    net.n_sets = sizes.sets, net.n_filters = sizes.filters, net.intervals = sizes.intervals;
    net.embedding = next();
    for (Filter<T>& filter : filters_) filter.weight = next(), filter.bias = next();
    for (Interaction<T>& set : sets_) {
        dense(set.context_1, F, 0, F, 0);
        dense(set.context_2, F, 0, 3 * F, 0);
        dense(set.mix, F, 0, 2 * F, 0);
        dense(set.update_1, 2 * F, 0, F, 0);
        dense(set.update_2, F, 0, 3 * F, 0);
    }
    for (int h = 0; h < sizes.heads; h++) {
        if (heads[h].kind == PAINN_ENERGY) {
            readout(net.energy, heads[h]);
            net.scale = heads[h].scale, net.mean = heads[h].flag;
        } else {
            heads_.emplace_back();
            other(heads_.back(), heads[h]);
        }
    }
    if (used_ != sizes.parameters) throw std::invalid_argument("parameters: expected other layers");
    net.sets = sets_.data(), net.filters = filters_.data(), net.heads = heads_.data(), net.n_heads = (int)heads_.size();
    reserve();
}

template <class T>
int64_t Weights<T>::next() {
    if (used_ == sizes_.parameters) throw std::invalid_argument("parameters: expected more of them");
    return sizes_.places[used_++];
}

template <class T>
void Weights<T>::dense(Dense<T>& layer, int in_1, int in_2, int out_1, int out_2, bool bias) {
    layer.in[0] = in_1, layer.in[1] = in_2, layer.out[0] = out_1, layer.out[1] = out_2;
    layer.inputs = padded(in_1) + padded(in_2), layer.outputs = padded(out_1) + padded(out_2);
    layer.weight = next();
    if (bias) layer.bias = next();
}

template <class T>
void Weights<T>::readout(Readout<T>& readout, const PainnHeadSpec& head) {
    readout.depth = head.depth - 1;
    hidden_.emplace_back(readout.depth);
    readout.hidden = hidden_.back().data();
    for (int k = 0; k < readout.depth; k++) dense(readout.hidden[k], head.sizes[k], 0, head.sizes[k + 1], 0);
    readout.width = padded(head.sizes[readout.depth]);
    readout.row = next(), readout.bias = next(), readout.direct = next();
}

template <class T>
void Weights<T>::other(OtherHead<T>& head, const PainnHeadSpec& given) {
    head.kind = given.kind, head.correct = given.flag, head.scale = given.scale, head.epsilon = given.epsilon;
    for (const double* table : {given.references, given.masses}) {
        tables_.emplace_back(TABLE, 0.0);
        if (table) tables_.back().assign(table, table + TABLE);
    }
    head.references = tables_[tables_.size() - 2].data(), head.masses = tables_.back().data();
    if (given.kind == PAINN_CHARGES) return readout(head.readout, given);
    head.depth = given.depth;
    blocks_.emplace_back(head.depth);
    head.blocks = blocks_.back().data();
    for (int k = 0; k < head.depth; k++) {
        const int in = given.sizes[k], out = given.sizes[k + 1];
        GatedBlock<T>& block = head.blocks[k];
        block.inputs = padded(in), block.outputs = padded(out);
        dense(block.mix, in, 0, out, out, false);
        dense(block.gate_1, in, out, in, 0);
        dense(block.gate_2, in, 0, out, out);
    }
}

template <class T>
void Weights<T>::reserve() {
    const auto readout = [&](Readout<T>& r) {
        for (int k = 0; k < r.depth; k++) layers.push_back(&r.hidden[k]);
    };
    for (Interaction<T>& s : sets_) layers.insert(layers.end(), {&s.context_1, &s.context_2, &s.mix, &s.update_1, &s.update_2});
    readout(net.energy);
    for (OtherHead<T>& head : heads_) {
        readout(head.readout);
        for (int k = 0; k < head.depth; k++)
            for (Dense<T>* layer : {&head.blocks[k].mix, &head.blocks[k].gate_1, &head.blocks[k].gate_2})
                layers.push_back(layer);
    }
    size_t count = 0;
    for (const Dense<T>* layer : layers) count += 2 * (size_t)layer->inputs * layer->outputs + layer->outputs;
    const size_t filter = (size_t)padded(net.radial * 3 * net.F);
    T* place = packs_.grow(count + filters_.size() * filter);
    for (Dense<T>* layer : layers) {
        const size_t size = (size_t)layer->inputs * layer->outputs;
        layer->forward = place, layer->backward = place + size;
        place += 2 * size;
        if (layer->bias < 0) continue;
        layer->shift = place;
        place += layer->outputs;
    }
    for (Filter<T>& f : filters_) f.packed = place, place += filter;
}

template <class T>
void Weights<T>::pack(const Kernels<T>& kernels, const T* flat) {
    net.flat = flat;
    for (Dense<T>* layer : layers) kernels.pack(net, *layer);
    for (Filter<T>& filter : filters_) kernels.pack_filter(net, filter);
}

template class Weights<float>;
template class Weights<double>;

}  // namespace painn::training
