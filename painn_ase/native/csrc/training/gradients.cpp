// Weight gradients of a wave, Ŵ = ŷ xᵀ + ȳ ẋᵀ: tasks that threads take, each a strip of one matrix over all rows.
#include <algorithm>
#include <deque>

#include "trainer.hpp"

namespace painn::training {

namespace {

template <class T>
class Tasks {
  public:
    Tasks(const Kernels<T>& kernels, bool tangents, bool accumulate)
        : kernels_(kernels), tangents_(tangents), accumulate_(accumulate) {}

    using List = std::vector<Segment<T>>;

    void pair(List& list, Rows<T> h_y, Rows<T> x, Rows<T> b_y, Rows<T> t_x, int64_t rows) const {
        list.push_back({h_y, x, rows, true});
        if (tangents_) list.push_back({b_y, t_x, rows, false});
    }
    // Rows first ... last of the layer's matrix; all of it by default.
    void add(std::vector<GradientTask<T>>& tasks, const Dense<T>& layer, const List& list, int first = 0, int rows = -1) {
        kept_.push_back(list);
        const Segment<T>* segments = kept_.back().data();
        const int count = (int)list.size(), height = rows < 0 ? layer.outputs : rows;
        const int registers = layer.inputs / BLOCK * kernels_.registers;
        if (!layer.whole()) {
            tasks.push_back({&layer, segments, count, first, height, 0, registers, accumulate_});
            return;
        }
        const int strips = (registers + kernels_.strip - 1) / kernels_.strip;
        for (int s = 0, column = 0; s < strips; s++) {
            const int width = registers / strips + (s < registers % strips);
            tasks.push_back({&layer, segments, count, first, height, column, width, accumulate_});
            column += width;
        }
    }
    // Hidden layers of a readout of the scalars s.
    void readout(std::vector<GradientTask<T>>& tasks, const Readout<T>& net, const std::vector<Hidden<T>>& state, Rows<T> s,
                 Rows<T> t_s, int64_t rows) {
        for (int k = 0; k < net.depth; k++) {
            List list;
            pair(list, state[k].h_h, k ? state[k - 1].z : s, state[k].b_h, k ? state[k - 1].t_z : t_s, rows);
            add(tasks, net.hidden[k], list);
        }
    }

  private:
    const Kernels<T>& kernels_;
    const bool tangents_, accumulate_;
    std::deque<List> kept_;
};

// out (+)= Σ_i f(i) x_i + t_x_i of (rows, width)
template <class T, class Factor>
void weighted_sum(Rows<T> x, const Rows<T>* t_x, int64_t rows, int width, bool accumulate, T* out, Factor factor) {
    for (int b = 0; b < width; b += BLOCK) {
        T sum[BLOCK] = {};
        for (int64_t i = 0; i < rows; i++) {
            const T f = factor(i), *value = x.from(i, b / BLOCK).data;
            for (int c = 0; c < BLOCK; c++) sum[c] += f * value[c];
            if (!t_x) continue;
            const T* tangent = t_x->from(i, b / BLOCK).data;
            for (int c = 0; c < BLOCK; c++) sum[c] += tangent[c];
        }
        for (int c = 0; c < BLOCK; c++) out[b + c] = sum[c] + (accumulate ? out[b + c] : 0);
    }
}

// The last row of a readout, its bias, and the row of a term w·s.
template <class T, class Factor>
void readout_rows(const Network<T>& net, const Readout<T>& readout, const std::vector<Hidden<T>>& state, const Wave<T>& wave,
                  bool tangents, int64_t rows, bool accumulate, T* gradient, Factor factor) {
    const int last = readout.depth - 1;
    const Rows<T>&x = last < 0 ? wave.s : state[last].z, &t_x = last < 0 ? wave.t_s : state[last].t_z;
    weighted_sum<T>(x, tangents ? &t_x : nullptr, rows, readout.width, accumulate, gradient + readout.row, factor);
    if (readout.direct >= 0)
        weighted_sum<T>(wave.s, tangents ? &wave.t_s : nullptr, rows, net.F, accumulate, gradient + readout.direct, factor);
    double bias = accumulate ? (double)gradient[readout.bias] : 0;
    for (int64_t i = 0; i < rows; i++) bias += (double)factor(i);
    gradient[readout.bias] = (T)bias;
}

template <class T>
void sum_by_element(Rows<T> from, Rows<T> to, int blocks, const int32_t* species, int64_t rows, int elements) {
    for (int b = 0; b < blocks; b++) {
        std::fill_n(to.from(0, b).data, elements * BLOCK, T(0));
        for (int64_t i = 0; i < rows; i++) {
            const T* x = from.from(i, b).data;
            T* sum = to.from(species[i], b).data;
            for (int c = 0; c < BLOCK; c++) sum[c] += x[c];
        }
    }
}

// Tasks of the messages and updates. `late` are those that read the sums by element.
template <class T>
void network_tasks(const Network<T>& net, const Mode& mode, const Wave<T>& wave, int64_t n, Tasks<T>& tasks,
                   std::vector<GradientTask<T>>& early, std::vector<GradientTask<T>>& late) {
    for (int set = 0; set < net.n_sets; set++) {
        typename Tasks<T>::List mix, update_1, update_2, gated, context_1, context_2;
        for (int t = set; t < net.T_; t += net.n_sets) {
            const Layer<T>& q = wave.layers[t];
            tasks.pair(mix, q.h_M, q.v1, q.b_M, q.t_v1, 3 * n);
            tasks.pair(update_1, q.h_hu, q.j, q.b_hu, q.t_j, n);
            tasks.pair(update_2, q.h_a, q.z_u, q.b_a, q.t_zu, n);
            if (t + 1 < net.T_ || mode.vectors_read()) tasks.pair(gated, q.h_a, q.z_u, q.b_a, q.t_zu, n);
            if (t) {
                tasks.pair(context_2, q.h_x, q.z_c, q.b_x, q.t_zc, n);
                tasks.pair(context_1, q.h_hc, q.s, q.b_hc, q.t_s, n);
            } else {
                context_2.push_back({wave.table.h_x, wave.table.z, wave.table.count, true});
                context_1.push_back({wave.table.h_h, wave.table.s, wave.table.count, true});
            }
        }
        const Interaction<T>& w = net.sets[set];
        tasks.add(early, w.mix, mix);
        tasks.add(early, w.update_1, update_1);
        if (gated.size() == update_2.size()) {
            tasks.add(early, w.update_2, update_2);
        } else {  // nobody reads the last vectors, nor makes their hats
            tasks.add(early, w.update_2, update_2, 0, net.F);
            tasks.add(early, w.update_2, gated, net.F, net.F);
            tasks.add(early, w.update_2, update_2, 2 * net.F, net.F);
        }
        tasks.add(set ? early : late, w.context_2, context_2);
        tasks.add(set ? early : late, w.context_1, context_1);
    }
}

// Tasks of the heads beside the energy, which have no tangents.
template <class T>
void head_tasks(const Network<T>& net, const Mode& mode, const Wave<T>& wave, int64_t n, Tasks<T>& tasks,
                std::vector<GradientTask<T>>& early) {
    for (int h = 0; h < net.n_heads; h++) {
        if (!mode.heads[h]) continue;
        tasks.readout(early, net.heads[h].readout, wave.head_hidden[h], wave.s, {}, n);
        for (int k = 0; k < net.heads[h].depth; k++) {
            const GatedState<T>& q = wave.head_blocks[h][k];
            tasks.add(early, net.heads[h].blocks[k].mix, {{q.h_M, q.v, 3 * n, true}});
            tasks.add(early, net.heads[h].blocks[k].gate_1, {{q.h_h, q.j, n, true}});
            tasks.add(early, net.heads[h].blocks[k].gate_2, {{q.h_g, q.z, n, true}});
        }
    }
}

// Hats of the first context and of the embedding, from the atoms of each element.
template <class T>
void element_gradients(const Kernels<T>& kernels, const Network<T>& net, const Wave<T>& wave, const int32_t* species, int64_t n,
                       bool accumulate, T* gradient) {
    const int blocks = net.blocks, elements = wave.table.count;
    sum_by_element(wave.layers[0].h_x, wave.table.h_x, 2 * blocks, species, n, elements);
    for (int b = 2 * blocks; b < 3 * blocks; b++) std::fill_n(wave.table.h_x.from(0, b).data, elements * BLOCK, T(0));
    sum_by_element(wave.h_s0, wave.table.h_s, blocks, species, n, elements);
    kernels.table_hat(net, wave.table);
    T* embedding = gradient + net.embedding;
    if (!accumulate) std::fill_n(embedding, (int64_t)net.elements * net.F, T(0));
    for (int e = 0; e < elements; e++)
        for (int c = 0; c < net.F; c++)
            embedding[(int64_t)wave.table.numbers[e] * net.F + c] += wave.table.h_s.from(e, c / BLOCK).data[c % BLOCK];
}

// Rows of the readouts of all heads.
template <class T>
void last_rows(const Network<T>& net, const Mode& mode, const Wave<T>& wave, const std::vector<int>& structure, bool accumulate,
               T* gradient) {
    const int64_t n = (int64_t)structure.size();
    if (mode.energy)
        readout_rows(net, net.energy, wave.hidden, wave, mode.tangents, n, accumulate, gradient,
                     [&](int64_t i) { return wave.factor[structure[i]]; });
    for (int h = 0; h < net.n_heads; h++)
        if (mode.heads[h] && net.heads[h].kind == CHARGES)
            readout_rows(net, net.heads[h].readout, wave.head_hidden[h], wave, false, n, accumulate, gradient,
                         [&](int64_t i) { return wave.seed[h][4 * i]; });
}

}  // namespace

template <class T>
void Trainer<T>::gradients(const Mode& mode, const Batch& batch, int64_t first, int64_t last, bool accumulate, int threads) {
    const Network<T>& net = weights_.net;
    const int64_t start = batch.first_atom[first], n = batch.first_atom[last] - start;
    T* out = memory_.gradient;
    Tasks<T> tasks(kernels_, mode.tangents, accumulate), plain(kernels_, false, accumulate);
    std::vector<GradientTask<T>> early, late;
    network_tasks(net, mode, wave_, n, tasks, early, late);
    if (mode.energy) tasks.readout(early, net.energy, wave_.hidden, wave_.s, wave_.t_s, n);
    head_tasks(net, mode, wave_, n, plain, early);
    int64_t largest = net.radial * ROW;  // of what is made in scratch memory: a filter's block, a padded matrix
    for (const Dense<T>* layer : weights_.layers)
        if (!layer->whole()) largest = std::max(largest, (int64_t)layer->inputs * layer->outputs);
    for (int r = 0; r < threads; r++) scratch(r, largest);
    std::vector<int> structure(n);
    for (int64_t s = first; s < last; s++)
        std::fill(structure.begin() + (batch.first_atom[s] - start), structure.begin() + (batch.first_atom[s + 1] - start),
                  (int)(s - first));
    const size_t filters = (size_t)net.n_filters * net.blocks;
    each_task(threads, 2 + filters + early.size(), [&](size_t k, int rank) {
        if (k == 0) return element_gradients(kernels_, net, wave_, batch.species.data() + start, n, accumulate, out);
        if (k == 1) return last_rows(net, mode, wave_, structure, accumulate, out);
        if ((k -= 2) < filters)
            return kernels_.filter_gradient(net, (int)(k / net.blocks), (int)(k % net.blocks), wave_.partial,
                                            (int)(last - first), accumulate, out, scratch_[rank].data());
        kernels_.gradient(early[k - filters], out, scratch_[rank].data());
    });
    each_task(threads, late.size(), [&](size_t k, int rank) { kernels_.gradient(late[k], out, scratch_[rank].data()); });
}

template <class T>
void Trainer<T>::each_task(int threads, size_t tasks, const std::function<void(size_t, int)>& work) {
    std::atomic<size_t> next{0};
    pool_.run(threads, [&](int rank) {
        for (size_t k; (k = next.fetch_add(1)) < tasks;) work(k, rank);
    });
}

template void Trainer<float>::gradients(const Mode&, const Batch&, int64_t, int64_t, bool, int);
template void Trainer<double>::gradients(const Mode&, const Batch&, int64_t, int64_t, bool, int);
template void Trainer<float>::each_task(int, size_t, const std::function<void(size_t, int)>&);
template void Trainer<double>::each_task(int, size_t, const std::function<void(size_t, int)>&);

}  // namespace painn::training
