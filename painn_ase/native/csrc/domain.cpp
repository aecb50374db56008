#include "domain.hpp"

#include <cmath>
#include <numeric>
#include <stdexcept>

#include "topology.hpp"

namespace painn {

namespace {

// The row of the atom here, or of the ghost, that atom j is an image of, or -1.
int32_t image(const PainnDomainAtoms& given, int64_t j) {
    return j >= given.owned && given.images ? given.images[j - given.owned] : -1;
}

// Whether the pair counts where it is in the row of i: with an image j it is in another row too, or, with an image of i
// itself, in this one twice, in opposite directions.
bool counts_here(const PainnDomainAtoms& given, int64_t i, int64_t j) {
    constexpr double ROUNDING = 1e-6;  // Å
    const int64_t partner = image(given, j);
    if (partner < 0 || partner >= given.owned) return true;
    if (partner != i) return i < partner;
    for (int d = 0; d < 3; d++) {
        const double along = given.positions[3 * j + d] - given.positions[3 * i + d];
        if (std::abs(along) > ROUNDING) return along > 0;
    }
    return false;
}

}  // namespace

Domain::Domain(Weights& weights, const Kernels& kernels, std::vector<int32_t> elements, int threads)
    : weights_(weights),
      rounds_(kernels),
      energy_(weights.head(PAINN_ENERGY)),
      elements_(std::move(elements)),
      threads_(threads) {
    if (!energy_) throw std::runtime_error("expected a model with energies");
    if (energy_->flag) throw std::runtime_error("expected a model whose energy is a sum over atoms; this one takes their mean");
    if (threads < 1) throw std::runtime_error("threads: expected one or more");
    std::sort(elements_.begin(), elements_.end());
    elements_.erase(std::unique(elements_.begin(), elements_.end()), elements_.end());
    for (int32_t z : elements_)
        if (z < 1 || z >= std::min(weights.net.elements, 100))
            throw std::runtime_error("atomic numbers: expected rows of the embedding; got " + std::to_string(z));
}

void Domain::set(const PainnDomainAtoms& given) {
    pass_ = Pass{};  // until the new state is complete
    owned_ = given.owned;
    order_atoms(given);
    number_atoms(given);
    make_rows(given);
    const Network& net = weights_.net;
    const Moments* first = weights_.moments(elements_);
    const Rows rows{owned_,  ghosts_,       images_,        start_.data(),   neighbor_.data(), node_.data(),
                    nullptr, owner_.data(), number_.data(), species_.data(), order_.data()};
    workspace_.reserve(net, {owned_, ghosts_, images_, start_[owned_]}, first ? first->size() : 0, true);
    features_.grow((size_t)4 * net.F * owned_);
    outputs_.grow(4 * owned_);
    scratch_.grow((size_t)threads_ * CHUNK * weights_.scratch_per_atom());
    Pass pass = workspace_.prepare(net, rows, start_[owned_], given.positions);
    pass.first = first;
    pass.s = features_.data();
    pass.v = pass.s + net.F * owned_;
    pass.outputs = outputs_.data();
    pass_ = pass;
}

// Owned atoms, ghosts and images, the former two in orders in which neighbours in space are neighbours in memory.
void Domain::order_atoms(const PainnDomainAtoms& given) {
    const int64_t places = given.owned + given.ghosts;
    order_.resize(places);
    place_.resize(places);
    node_.resize(places);
    std::iota(order_.begin(), order_.end(), (int64_t)0);
    if (owned_ >= SORTED) sort_in_space(given.positions, 0, owned_, order_.data());
    if (given.ghosts >= SORTED) sort_in_space(given.positions, owned_, places, order_.data());
    const auto first_image =
        std::stable_partition(order_.begin() + owned_, order_.end(), [&](int64_t j) { return image(given, j) < 0; });
    images_ = order_.end() - first_image;
    ghosts_ = given.ghosts - images_;
    for (int64_t k = 0; k < places; k++) place_[order_[k]] = k;
    for (int64_t k = 0; k < places; k++) {
        const int64_t atom = image(given, order_[k]);
        if (atom >= places || (atom >= owned_ && image(given, atom) >= 0))
            throw std::runtime_error("images: expected rows of atoms, or of ghosts that are no images");
        node_[k] = (int32_t)(atom < 0 ? k : place_[atom]);
    }
}

void Domain::number_atoms(const PainnDomainAtoms& given) {
    const int64_t all = owned_ + ghosts_;
    number_.resize(all);
    species_.resize(all);
    owner_.assign(owned_, 0);
    for (int64_t i = 0; i < all; i++) {
        number_[i] = given.numbers[order_[i]];
        const auto found = std::lower_bound(elements_.begin(), elements_.end(), number_[i]);
        if (found == elements_.end() || *found != number_[i])
            throw std::runtime_error("atomic number " + std::to_string(number_[i]) + " is none of those that were announced");
        species_[i] = (int32_t)(found - elements_.begin());
    }
}

void Domain::make_rows(const PainnDomainAtoms& given) {
    const int64_t places = given.owned + given.ghosts;
    start_.assign(owned_ + 1, 0);
    neighbor_.clear();
    for (int64_t i = 0; i < owned_; i++) {
        const int64_t center = order_[i];
        for (int32_t k = 0; k < given.counts[center]; k++) {
            const int64_t j = given.neighbors[center][k] & given.mask;
            if (j >= places || j == center) throw std::runtime_error("pairs: expected rows of two different atoms");
            if (counts_here(given, center, j)) neighbor_.push_back((int32_t)place_[j]);
        }
        start_[i + 1] = (int64_t)neighbor_.size();
        std::stable_partition(neighbor_.begin() + start_[i], neighbor_.end(), [&](int32_t j) { return node_[j] < owned_; });
    }
}

template <class Work>
void Domain::run(Work work) {
    Barrier barrier(threads_);
    pool_.run(threads_, [&](int rank) {
        work(Task{pass_, rank, threads_, barrier, scratch_.data() + rank * CHUNK * weights_.scratch_per_atom()});
    });
}

void Domain::forward(int t, const double* positions) {
    if (!pass_.net) throw std::runtime_error("expected atoms before an evaluation");
    double* r = const_cast<double*>(pass_.positions);  // the workspace's
    for (int64_t i = 0; i < pass_.rows.places() && t == 0; i++)
        for (int d = 0; d < 3; d++) r[3 * i + d] = positions[3 * order_[i] + d];
    run([&](const Task& task) {
        if (t == 0) rounds_.begin(task);
        rounds_.forward(task, t);
        if (t + 1 == weights_.net.T) rounds_.energies(task, *energy_, true);
    });
    said_ = std::min(t + 1, weights_.net.T - 1);
}

void Domain::backward(int t) {
    const int64_t all = owned_ + ghosts_;
    for (int b = 0; b < weights_.net.blocks && t > 0; b++)  // answers to ghosts begin anew, owners have the earlier ones
        std::memset(pass_.heard + (b * all + owned_) * 5 * BLOCK, 0, sizeof(float) * ghosts_ * 5 * BLOCK);
    run([&](const Task& task) { rounds_.backward(task, t); });
}

void Domain::read(double* energies, double* forces, double* virial, double* virials) {
    const Pass& p = pass_;
    for (int64_t i = 0; energies && i < owned_; i++)
        energies[order_[i]] = energy_->scale * p.outputs[4 * i] + energy_->references[number_[i]];
    double unwanted[9];
    collect_gradient(p, [&](int64_t) { return energy_->scale; }, {forces, virial ? virial : unwanted, virials});
}

}  // namespace painn
