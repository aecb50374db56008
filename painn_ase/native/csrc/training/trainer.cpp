#include "trainer.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace painn::training {

namespace {
constexpr int64_t GROUP = 27;   // most atoms of small structures that share the streaming of the weights
constexpr int64_t WAVE = 1024;  // atoms whose activations are kept until their weight gradients are made
constexpr int64_t LARGE = 48;   // atoms from which it pays that all threads work on one group

// Atoms of a group: what its passes visit in one layer, some 120 numbers per atom and feature with the filters of pairs,
// shall stay in four fifths of the second-level cache.
int64_t atoms_of_group(int64_t features, int64_t bytes) {
    long cache = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
    cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    if (cache <= 0) cache = 1 << 20;  // unknown
    return std::clamp<int64_t>((int64_t)cache * 4 / 5 / (120 * features * bytes), 1, GROUP);
}
}  // namespace

template <class T>
Trainer<T>::Trainer(const PainnTrainingSizes& sizes, const PainnHeadSpec* heads, const Kernels<T>& kernels)
    : kernels_(kernels),
      places_(sizes.places, sizes.places + sizes.parameters),
      counts_(sizes.counts, sizes.counts + sizes.parameters),
      parts_(sizes.parts, sizes.parts + sizes.parameters),
      decays_(sizes.decays, sizes.decays + sizes.parameters),
      sizes_(sizes),
      weights_(sizes, heads),
      averages_(sizes, heads),
      group_(atoms_of_group(sizes.features, sizeof(T))) {
    elements = sizes.elements;
    const int width = padded(sizes.radial);
    const int64_t rows = sizes.intervals + 5;
    double* spline = spline_.grow(rows * width);
    std::fill(spline, spline + rows * width, 0.0);
    for (int64_t k = 0; k < rows; k++) std::copy_n(sizes.spline + k * sizes.radial, sizes.radial, spline + k * width);
    weights_.net.spline = averages_.net.spline = spline;
    assign_parameters();
}

template <class T>
void Trainer<T>::arrays(void* weights, void* gradient, void* first, void* second, void* average) {
    memory_ = {(T*)weights, (T*)gradient, (T*)first, (T*)second, (T*)average};
    changed();
}

template <class T>
void Trainer<T>::changed() {
    weights_.pack(kernels_, memory_.weights);
    averages_packed_ = false;
}

template <class T>
typename Trainer<T>::Batch Trainer<T>::batch_of(const int64_t* members, int64_t count) const {
    if (!memory_.weights) throw std::invalid_argument("training step: expected the arrays of the parameters first");
    Batch batch;
    batch.first_atom.push_back(0);
    for (int64_t k = 0; k < count; k++) {
        if (members[k] < 0 || members[k] >= (int64_t)samples.size())
            throw std::invalid_argument("training step: expected numbers of structures that were added");
        const Sample& sample = samples[members[k]];
        batch.samples.push_back(&sample);
        batch.first_atom.push_back(batch.first_atom.back() + sample.atoms);
        batch.species.insert(batch.species.end(), sample.numbers.begin(), sample.numbers.end());
    }
    batch.elements = batch.species;
    std::sort(batch.elements.begin(), batch.elements.end());
    batch.elements.erase(std::unique(batch.elements.begin(), batch.elements.end()), batch.elements.end());
    for (int32_t& z : batch.species)
        z = (int32_t)(std::lower_bound(batch.elements.begin(), batch.elements.end(), z) - batch.elements.begin());
    return batch;
}

template <class T>
Mode Trainer<T>::mode_of(const Criterion& criterion) const {
    Mode mode;
    mode.hats = true;
    mode.tangents = mode.derived = criterion.counts(FORCES) || criterion.counts(STRESS);
    mode.energy = mode.derived || criterion.counts(ENERGY);
    for (int h = 0; h < weights_.net.n_heads; h++) {
        const int kind = weights_.net.heads[h].kind;
        const bool asked = criterion.counts(kind == POLARIZABILITY ? POLARIZABILITY_TENSOR : DIPOLE_MOMENT);
        mode.heads.push_back((char)(!asked ? 0 : kind == CHARGES ? 1 : 2));
    }
    return mode;
}

template <class T>
std::vector<std::pair<int64_t, int64_t>> Trainer<T>::waves_of(const Batch& batch) const {
    std::vector<std::pair<int64_t, int64_t>> waves;
    const int64_t count = (int64_t)batch.samples.size();
    for (int64_t first = 0; first < count;) {
        int64_t last = first + 1;
        while (last < count && batch.first_atom[last + 1] - batch.first_atom[first] <= WAVE) last++;
        waves.emplace_back(first, last);
        first = last;
    }
    return waves;
}

// Groups of about equal size, as many for each thread: structures join while they bring a group nearer to its end.
template <class T>
std::vector<Group> Trainer<T>::groups_of(const Batch& batch, int64_t first, int64_t last, int threads) const {
    const int64_t begin = batch.first_atom[first], atoms = batch.first_atom[last] - begin;
    const int64_t count = threads * ((atoms + threads * group_ - 1) / (threads * group_));
    std::vector<Group> groups;
    for (int64_t s = first; s < last; s++) {
        const Sample& sample = *batch.samples[s];
        const int64_t middle = 2 * (batch.first_atom[s] - begin) + sample.atoms;  // twice the place of its middle
        const bool full = groups.empty() || groups.back().atoms + sample.atoms > group_;
        if (full || middle * count > 2 * atoms * (int64_t)groups.size())
            groups.push_back({batch.first_atom[s] - begin, 0, 0, (int)(s - first), 0});
        Group& group = groups.back();
        group.atoms += sample.atoms, group.pairs += sample.pairs, group.structures++;
    }
    return groups;
}

template <class T>
T* Trainer<T>::scratch(int rank, int64_t count) {
    if ((int)scratch_.size() <= rank) scratch_.resize(rank + 1);
    return scratch_[rank].grow(count);
}

// Groups are dealt to the threads as they come; what would leave some of them idle at the end is shared by all.
template <class T>
void Trainer<T>::run_wave(const Network<T>& net, const Mode& mode, const Batch& batch, int64_t first, int64_t last, int threads,
                          const Work& work) {
    const std::vector<Group> groups = groups_of(batch, first, last, threads);
    int64_t chunk = 0;
    for (int64_t s = first; s < last; s++) chunk = std::max(chunk, batch.samples[s]->largest_chunk);
    for (int r = 0; r < threads; r++) scratch(r, (chunk + 1) * 4 * ROW);
    if ((int)rooms_.size() < threads) rooms_.resize(threads);
    const auto prepare = [&](int room, const Group& group) -> const Pass<T>& {
        const int64_t s = first + group.first;
        return rooms_[room].prepare(net, mode, wave_, group, batch.samples.data() + s,
                                    batch.species.data() + batch.first_atom[s]);
    };
    const auto run = [&](const Pass<T>& pass, const Group& group, const Crew<T>& crew) {
        work(Sequence<T>(kernels_, pass, mode, crew), pass, first + group.first);
    };
    size_t apart = groups.size() - groups.size() % threads;
    for (size_t g = apart; g < groups.size(); g++)
        if (groups[g].atoms < LARGE) apart = groups.size();
    std::atomic<size_t> next{0};
    pool_.run(threads, [&](int rank) {
        Barrier alone(1);
        for (size_t g; (g = next.fetch_add(1)) < apart;)
            run(prepare(rank, groups[g]), groups[g], {0, 1, alone, scratch_[rank].data()});
    });
    for (size_t g = apart; g < groups.size(); g++) {
        const Pass<T>& pass = prepare(0, groups[g]);
        Barrier barrier(threads);
        pool_.run(threads, [&](int rank) { run(pass, groups[g], {rank, threads, barrier, scratch_[rank].data()}); });
    }
}

template <class T>
void Trainer<T>::step(const int64_t* members, int64_t count, const PainnLoss& loss, const PainnUpdate* given, int threads,
                      double* results) {
    const Batch batch = batch_of(members, count);
    Criterion criterion = {loss, {}};
    for (const Sample* sample : batch.samples)
        for (int l = 0; l < LABELS; l++)
            if (!sample->labels[l].empty()) criterion.rows[l] += sample->rows(l);
    const Mode mode = mode_of(criterion);
    std::vector<double> losses(count);
    const auto work = [&](const Sequence<T>& sequence, const Pass<T>& pass, int64_t s) {
        sequence.values();
        if (mode.derived) sequence.adjoints();
        sequence.alone([&] {
            if (mode.derived) kernels_.collect(pass), add_base(pass, batch.samples.data() + s);
            seed(pass, mode, criterion, batch.samples.data() + s, losses.data() + s);
            if (mode.tangents) kernels_.displace(pass);
        });
        if (mode.tangents) sequence.tangents();
        sequence.hats();
    };
    bool accumulate = false;
    for (const auto& [first, last] : waves_of(batch)) {
        wave_.reserve(weights_.net, mode, batch.first_atom[last] - batch.first_atom[first], (int)(last - first),
                      (int)batch.elements.size());
        wave_.table.numbers = batch.elements.data();
        kernels_.table(weights_.net, wave_.table);
        run_wave(weights_.net, mode, batch, first, last, threads, work);
        gradients(mode, batch, first, last, accumulate, threads);
        accumulate = true;
    }
    results[0] = 0;
    for (double one : losses) results[0] += one;
    results[1] = norm(mode, threads);
    if (given) update(mode, *given, results[1], threads);
}

template <class T>
void Trainer<T>::predict(bool averaged, const int64_t* members, int64_t count, int threads, const PainnOutputs& out) {
    const Batch batch = batch_of(members, count);
    if (averaged && !averages_packed_) averages_.pack(kernels_, memory_.average), averages_packed_ = true;
    const Network<T>& net = averaged ? averages_.net : weights_.net;
    Mode mode;
    mode.derived = out.forces || out.stress;
    mode.energy = out.energy || out.energies || mode.derived;
    for (int h = 0; h < net.n_heads; h++) {
        const bool asked = net.heads[h].kind == POLARIZABILITY ? out.polarizability : out.dipole;
        mode.heads.push_back((char)(!asked ? 0 : net.heads[h].kind == CHARGES ? 1 : 2));
    }
    const auto work = [&](const Sequence<T>& sequence, const Pass<T>& pass, int64_t s) {
        sequence.values();
        if (mode.derived) sequence.adjoints();
        sequence.alone([&] {
            if (mode.derived) kernels_.collect(pass), add_base(pass, batch.samples.data() + s);
            painn::training::predict(pass, mode, batch.samples.data() + s, s, batch.first_atom[s], out);
        });
    };
    for (const auto& [first, last] : waves_of(batch)) {
        wave_.reserve(net, mode, batch.first_atom[last] - batch.first_atom[first], (int)(last - first),
                      (int)batch.elements.size());
        wave_.table.numbers = batch.elements.data();
        kernels_.table(net, wave_.table);
        run_wave(net, mode, batch, first, last, threads, work);
    }
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace painn::training
