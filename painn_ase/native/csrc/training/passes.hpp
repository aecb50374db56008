// The four passes over the pairs of a group, chunk after chunk: what surrounds the loops of messages.hpp.
#pragma once
#include "messages.hpp"
#include "outer.hpp"

namespace painn::training {
namespace {

template <class T, class Work>
PAINN_INLINE void each_chunk(const Pass<T>& p, int t, int block, bool slopes, T* scratch, Work work) {
    for (int c = 0; c < p.n_chunks; c++) {
        const Chunk& chunk = p.chunks[c];
        const auto filters = Filters<T>::of(p, t, block, p.row[chunk.first], p.row[chunk.last], slopes, scratch);
        for (int r = 0; r < SPLIT<T>; r++) work(chunk, filters, r);
    }
}

template <class T>
void message_value_of(const Pass<T>& p, int t, int block, T* scratch) {
    const Layer<T>& q = p.layers[t];
    if (t) {
        copy(q.s.from(0, block), q.j.from(0, block), 0, p.atoms, 1);
        copy(q.v.from(0, block), q.v1.from(0, block), 0, 3 * p.atoms, 1);
    } else {
        clear(q.v1.from(0, block), 0, 3 * p.atoms, 1);
    }
    each_chunk(p, t, block, false, scratch, [&](const Chunk& chunk, const Filters<T>& f, int r) {
        t ? value_pairs<T, false>(p, t, block, r, chunk, f.w) : value_pairs<T, true>(p, t, block, r, chunk, f.w);
    });
}

template <class T>
void message_adjoint_of(const Pass<T>& p, int t, int block, T* scratch) {
    const Layer<T>& q = p.layers[t];
    const int blocks = p.net->blocks;
    if (t) {
        clear(q.b_x.from(0, block), 0, p.atoms, 1);
        clear(q.b_x.from(0, block + blocks), 0, p.atoms, 1);
        clear(q.b_S.from(0, block), 0, 3 * p.atoms, 1);
    }
    each_chunk(p, t, block, true, scratch, [&](const Chunk& chunk, const Filters<T>& f, int r) {
        t ? adjoint_pairs<T, false>(p, t, block, r, chunk, f.w, f.slope)
          : adjoint_pairs<T, true>(p, t, block, r, chunk, f.w, f.slope);
    });
}

template <class T>
void message_tangent_of(const Pass<T>& p, int t, int block, T* scratch) {
    const Layer<T>& q = p.layers[t];
    if (t) {
        copy(q.t_s.from(0, block), q.t_j.from(0, block), 0, p.atoms, 1);
        copy(q.t_v.from(0, block), q.t_v1.from(0, block), 0, 3 * p.atoms, 1);
    } else {
        clear(q.t_j.from(0, block), 0, p.atoms, 1);
        clear(q.t_v1.from(0, block), 0, 3 * p.atoms, 1);
    }
    each_chunk(p, t, block, true, scratch, [&](const Chunk& chunk, const Filters<T>& f, int r) {
        t ? tangent_pairs<T, false>(p, t, block, r, chunk, f.w, f.slope)
          : tangent_pairs<T, true>(p, t, block, r, chunk, f.w, f.slope);
    });
}

// Hats of the context, and the gradient of the filters: ω̂ += ρᵀ y + ρ'ᵀ (ḋ ȳ), a sum of each structure by itself.
template <class T>
void message_hat_of(const Pass<T>& p, int t, int block, T* scratch) {
    const Layer<T>& q = p.layers[t];
    const Network<T>& net = *p.net;
    clear(q.h_x.from(0, block), 0, p.atoms, 1);
    clear(q.h_x.from(0, block + net.blocks), 0, p.atoms, 1);
    if (t) clear(p.h_S.from(0, block), 0, 3 * p.atoms, 1);
    int before = -1;
    for (int c = 0; c < p.n_chunks; c++) {
        const Chunk& chunk = p.chunks[c];
        const int64_t first = p.row[chunk.first], pairs = p.row[chunk.last] - first;
        const auto f = Filters<T>::of(p, t, block, first, first + pairs, p.derived, scratch);
        const ptrdiff_t stride = (pairs | 1) * BLOCK;  // odd: parts do not fall onto the same lines of the cache
        T* after = scratch + 2 * (pairs + 1) * ROW;
        const Rows<T> y = {after, stride}, by = {after + 3 * stride, stride};
        for (int r = 0; r < SPLIT<T>; r++) {
            if (p.derived)
                t ? hat_pairs<T, false, true>(p, t, block, r, chunk, f.w, f.slope, y, by)
                  : hat_pairs<T, true, true>(p, t, block, r, chunk, f.w, f.slope, y, by);
            else
                t ? hat_pairs<T, false, false>(p, t, block, r, chunk, f.w, f.slope, y, by)
                  : hat_pairs<T, true, false>(p, t, block, r, chunk, f.w, f.slope, y, by);
        }
        const Segment<T> segments[2] = {{p.rho.from(first), y, pairs, true}, {p.slope.from(first), by, pairs, false}};
        T* sum = p.partial + (((ptrdiff_t)chunk.structure * net.T_ + t) * net.blocks + block) * net.radial * ROW;
        outer_all<T>(segments, p.derived ? 2 : 1, net.radial, t ? 3 : 2, sum, ROW, chunk.structure == before);
        before = chunk.structure;
    }
}

}  // namespace
}  // namespace painn::training
