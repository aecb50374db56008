// Memory of a training step: arrays of a whole wave of structures, which weight gradients read, and arrays of one group
// at work, which stay in the cache of the thread that works on it.
#pragma once
#include <vector>

#include "../memory.hpp"
#include "samples.hpp"
#include "state.hpp"

namespace painn::training {

struct Mode {
    bool energy = false;      // anything of the energy is asked for
    bool derived = false;     // its derivatives too
    bool tangents = false;    // and their derivatives by weights: a loss of forces or stress
    bool hats = false;        // gradients are asked for
    std::vector<char> heads;  // which of them are asked: 0 not, 1 of its scalars, 2 of its vectors too
    bool vectors_read() const;
};

// Hands out memory; while `base` is null it only counts.
template <class T>
class Arena {
  public:
    explicit Arena(T* base = nullptr) : base_(base) {}
    T* take(int64_t count) {
        T* place = base_ ? base_ + used : nullptr;
        used += (count + BLOCK - 1) / BLOCK * BLOCK;
        return place;
    }
    Rows<T> rows(int64_t rows, int channels) {
        const ptrdiff_t stride = (rows | 1) * BLOCK;  // odd: blocks do not fall onto the same lines of the cache
        return {take(padded(channels) / BLOCK * stride), stride};
    }
    double* exact(int64_t count) { return (double*)take(count * (int64_t)sizeof(double) / (int64_t)sizeof(T)); }
    int64_t used = 0;

  private:
    T* base_;
};

// Structures that are worked on together, and where they lie in their wave.
struct Group {
    int64_t first_atom = 0, atoms = 0, pairs = 0;
    int first = 0, structures = 0;  // within the wave
};

// What outlives a group: inputs of weight gradients, and sums of each structure.
template <class T>
struct Wave {
    void reserve(const Network<T>& net, const Mode& mode, int64_t atoms, int structures, int elements);

    std::vector<Layer<T>> layers;
    Rows<T> s, t_s, h_s0;
    std::vector<Hidden<T>> hidden;                    // of the energy
    std::vector<std::vector<Hidden<T>>> head_hidden;  // of the other heads
    std::vector<std::vector<GatedState<T>>> head_blocks;
    std::vector<T*> read, seed;  // of the other heads
    T *atomic = nullptr, *factor = nullptr, *partial = nullptr;
    ElementTable<T> table;
    int64_t partial_size = 0;  // numbers per structure

  private:
    void fill(Arena<T>& arena, const Network<T>& net, const Mode& mode, int64_t atoms, int structures, int elements);
    Buffer<T> memory_;
};

template <class T>
class Room {
  public:
    // The pass over a group of the wave; `species` of its atoms and samples are given.
    const Pass<T>& prepare(const Network<T>& net, const Mode& mode, const Wave<T>& wave, const Group& group,
                           const Sample* const* samples, const int32_t* species);

  private:
    void topology(const Group& group, const Sample* const* samples);
    void share(const Wave<T>& wave, const Mode& mode, int64_t first_atom, int first);
    void fill(Arena<T>& arena, const Network<T>& net, const Mode& mode);

    Pass<T> pass_;
    std::vector<int64_t> first_atom_, first_pair_, row_;
    std::vector<int32_t> neighbor_, center_;
    std::vector<const double*> vectors_;
    std::vector<Chunk> chunks_;
    std::vector<Layer<T>> layers_;
    std::vector<Hidden<T>> hidden_;
    std::vector<HeadState<T>> heads_;
    std::vector<std::vector<Hidden<T>>> head_hidden_;
    std::vector<std::vector<GatedState<T>>> head_blocks_;
    Buffer<T> memory_;
};

}  // namespace painn::training
