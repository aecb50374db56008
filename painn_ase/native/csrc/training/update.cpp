// The length of a gradient, and a step of the optimizer: clipping, AdamW, the average, and the packs of what changed.
#include <algorithm>
#include <cmath>

#include "trainer.hpp"

namespace painn::training {

namespace {

constexpr int64_t PIECE = 1 << 14;  // numbers of one task

struct Piece {
    int64_t first, last;
    int parameter;
};

}  // namespace

// Parts of the model that the batch has labels for; the others keep their weights, as if they were not there.
template <class T>
std::vector<char> Trainer<T>::active_parts(const Mode& mode) const {
    std::vector<char> active(1 + sizes_.heads, 0);
    active[0] = 1;
    int other = 0;
    for (int h = 0; h < sizes_.heads; h++) active[1 + h] = h == sizes_.energy_head ? mode.energy : mode.heads[other++] != 0;
    return active;
}

template <class T>
double Trainer<T>::norm(const Mode& mode, int threads) {
    const std::vector<char> active = active_parts(mode);
    std::vector<Piece> pieces;
    for (int p = 0; p < (int)places_.size(); p++)
        for (int64_t k = 0; places_[p] >= 0 && active[parts_[p]] && k < counts_[p]; k += PIECE)
            pieces.push_back({places_[p] + k, places_[p] + std::min(k + PIECE, counts_[p]), p});
    std::vector<double> squares(pieces.size());
    each_task(threads, pieces.size(), [&](size_t k, int) {
        squares[k] = kernels_.square(memory_.gradient + pieces[k].first, pieces[k].last - pieces[k].first);
    });
    double sum = 0;
    for (double square : squares) sum += square;
    return std::sqrt(sum);
}

template <class T>
void Trainer<T>::update(const Mode& mode, const PainnUpdate& given, double norm, int threads) {
    const std::vector<char> active = active_parts(mode);
    std::vector<Optimizer> optimizers(active.size());
    for (size_t part = 0; part < active.size(); part++) {
        if (!active[part]) continue;
        const double steps = (double)++given.steps[part];
        optimizers[part] = {given.learning_rate,
                            given.decay,
                            given.beta_1,
                            given.beta_2,
                            given.epsilon,
                            given.follow,
                            1 - std::pow(given.beta_1, steps),
                            1 - std::pow(given.beta_2, steps)};
    }
    const T clip = given.clip > 0 ? (T)std::min(1.0, given.clip / (norm + 1e-6)) : (T)1;
    const auto parameter = [&](int p) {
        const int64_t count = (counts_[p] + BLOCK - 1) / BLOCK * BLOCK;
        kernels_.optimize(memory_, optimizers[parts_[p]], decays_[p], clip, places_[p], places_[p] + count);
    };
    // a layer with its bias is one task, so that it is packed while it lies in the cache
    std::vector<std::vector<int>> groups(weights_.layers.size() + weights_.net.n_filters + 1);
    for (int p = 0; p < (int)places_.size(); p++) {
        if (places_[p] < 0 || !active[parts_[p]]) continue;
        groups[owner_[p]].push_back(p);
    }
    each_task(threads, groups.size(), [&](size_t g, int) {
        if (groups[g].empty()) return;
        for (int p : groups[g]) parameter(p);
        if (g < weights_.layers.size())
            kernels_.pack(weights_.net, *weights_.layers[g]);
        else if (g < weights_.layers.size() + weights_.net.n_filters)
            kernels_.pack_filter(weights_.net, weights_.net.filters[g - weights_.layers.size()]);
    });
    averages_packed_ = false;
}

// Which task of `update` each parameter belongs to: a layer's, a filter's, or that of all the others.
template <class T>
void Trainer<T>::assign_parameters() {
    const size_t layers = weights_.layers.size(), filters = weights_.net.n_filters;
    for (int64_t place : places_) {
        size_t owner = layers + filters;
        for (size_t k = 0; k < layers; k++)
            if (place >= 0 && (place == weights_.layers[k]->weight || place == weights_.layers[k]->bias)) owner = k;
        for (size_t k = 0; k < filters; k++)
            if (place >= 0 && (place == weights_.net.filters[k].weight || place == weights_.net.filters[k].bias))
                owner = layers + k;
        owner_.push_back(owner);
    }
}

template std::vector<char> Trainer<float>::active_parts(const Mode&) const;
template std::vector<char> Trainer<double>::active_parts(const Mode&) const;
template double Trainer<float>::norm(const Mode&, int);
template double Trainer<double>::norm(const Mode&, int);
template void Trainer<float>::update(const Mode&, const PainnUpdate&, double, int);
template void Trainer<double>::update(const Mode&, const PainnUpdate&, double, int);
template void Trainer<float>::assign_parameters();
template void Trainer<double>::assign_parameters();

}  // namespace painn::training
