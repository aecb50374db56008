// Plain data that every translation unit shares. No standard containers here: the kernels are compiled several
// times with different instruction sets, and an inline function of the library that the linker took from the widest
// of them would crash on older machines.
#pragma once
#include <cstddef>
#include <cstdint>

#include "painn.h"

namespace painn {

constexpr int BLOCK = 16;             // channels per block: every array is stored in blocks of 16 channels (one cache line)
constexpr int ORDER = 5;              // slopes that a quintic spline touches at once
constexpr int FILTERS = 3;            // W_s, W_vs, W_vv
constexpr int ROW = FILTERS * BLOCK;  // floats of one table row of one block
constexpr int CHUNK = 24;             // atoms a thread takes through the dense layers at a time

inline int padded(int n) { return (n + BLOCK - 1) / BLOCK * BLOCK; }

// y = W x + b, packed in panels of columns for the matrix kernel; sizes are multiples of BLOCK.
struct Linear {
    int inputs = 0, outputs = 0;
    const float* weight = nullptr;      // x -> y
    const float* transposed = nullptr;  // gradient of y -> gradient of x
    const float* bias = nullptr;        // null: none
};

struct Interaction {                                      // weights of one message and update
    Linear context_1, context_2[FILTERS], context_2_all;  // F -> F -> 3F; the last one serves the reverse pass
    Linear mix;                                           // F -> [V, U]
    Linear update_1, update_2;                            // [s, |V|] -> F -> [a_ss, a_sv, a_vv]
};

// The first message, in which s and x depend on the element only, as a linear map of radial sums (moments):
// A_e,n = Σ_{j of element e} ρ_n(d_ij) and B_e,n = Σ_j ρ_n(d_ij) r̂_ij, with ρ the radial functions times the cutoff
// function. Worth it while there are fewer moments than features.
struct Moments {
    int radial = 0, blocks = 0;      // radial functions, the constant one of the bias included; blocks they fill
    int elements = 0;                // in the structures at hand
    const float* anchors = nullptr;  // [block][intervals][16], as Network::anchors
    const float* slopes = nullptr;   // [block][intervals + 4][16]
    Linear scalars, vectors, mixed;  // A -> Δs;  B -> Δv;  B -> [V, U]
    int64_t size() const { return (int64_t)blocks * 4 * elements * BLOCK; }  // floats per atom
};

struct Gated {                    // one gated equivariant block
    Linear mix, gate_1, gate_2;   // inputs -> [V, W]; [s, |V|] -> inputs -> [s', g]
    int inputs = 0, outputs = 0;  // padded
};

struct Head {
    int kind = 0, depth = 0, flag = 0;
    double scale = 1, epsilon = 0;
    Linear* layers = nullptr;     // MLP: all layers but the last
    const float* last = nullptr;  // MLP: weights of the last layer, which has one output
    float last_bias = 0;
    int width = 0;  // MLP: inputs of the last layer, padded
    Gated* blocks = nullptr;
    const double* references = nullptr;
    const double* masses = nullptr;
};

struct Network {
    int F, T, blocks, intervals, elements;
    float epsilon;
    double cutoff;
    Interaction* sets;  // interaction t uses sets[t % n_sets]
    int n_sets;
    const float** anchors;  // filter t: anchors[t % n_filters], coefficients [block][intervals][3][16]
    const float** slopes;   // and slopes[t % n_filters], their differences [block][intervals + 4][3][16]
    int n_filters;
    const float* embedding;  // [element][F]
    const float* context;    // [element][3][F]

    const Interaction& set(int t) const { return sets[t % n_sets]; }
    const float* anchor(int t, int block) const { return anchors[t % n_filters] + (ptrdiff_t)block * intervals * ROW; }
    const float* slope(int t, int block) const {
        return slopes[t % n_filters] + (ptrdiff_t)block * (intervals + ORDER - 1) * ROW;
    }
};

// One undirected pair within the cutoff; i is the row it is stored in. On interval `knot` of the tables
// W = anchor[knot] + Σ_m rise_m slope[knot + m] and dW/dr = Σ_m basis_m slope[knot + m].
struct Pair {
    float rise[ORDER];
    float basis[ORDER];
    float unit[3];     // r_ij / |r_ij|
    int32_t neighbor;  // j
    int32_t knot;
    int32_t entry;  // place in the row of the list that still has the pairs of the skin
};

// Half pair list of one group of structures, or of one domain of a structure; atoms are numbered within it. A domain has
// ghosts: copies of atoms that others evaluate, numbered after its own. A pair with a ghost is in the lists of both owners,
// and each computes the message that its own atom hears. Periodic images of its own atoms follow: places without features of
// their own, since those are their atoms'.
struct Rows {
    int64_t atoms, ghosts, images;
    const int64_t* start;     // (atoms + 1) first entry of row i; includes pairs of the skin
    const int32_t* neighbor;  // each pair of atoms and images once; ghosts at the end of a row
    const int32_t* node;      // (places) whose features, or null: each has its own
    const int32_t* shift;     // (entries, 3), or null: ghosts stand where they are seen
    const int32_t* owner;     // (atoms) structure
    const int32_t* number;    // (all)
    const int32_t* species;   // (all) place of the element among those at hand
    const int64_t* order;     // (places) place of the atom in the caller's arrays

    int64_t all() const { return atoms + ghosts; }
    int64_t places() const { return all() + images; }
};

// Arrays of layer t that the reverse pass reads again. [b] runs over channel blocks, each entry 16 channels.
struct LayerState {
    float* node;     // [b][all][x_s, x_vs, x_vv, v_x, v_y, v_z]
    float* mixed;    // [2b][atom][3]: V, then U
    float* update;   // [3b][atom]: a_ss, a_sv, a_vv
    float* slope_1;  // [b][atom]: derivative of the activation in the context network
    float* slope_2;  // [b][atom]: and in the update network
};

// Everything one evaluation of one group of structures reads and writes.
struct Pass {
    const Network* net;
    const Moments* first;  // null: the first message is like the others
    Rows rows;
    const double* positions;  // (places, 3) in the group's order
    const double* cells;      // (structures, 3, 3)
    int64_t* count;           // (atoms) pairs of row i within the cutoff
    int64_t* inner;           // (atoms) those without ghosts, which come first
    Pair* pairs;              // at rows.start[i] ... + count[i]
    float* gradient;          // [b][entries][4]: dE/d|r|, dE/dr̂
    int64_t entries;
    float* s;      // [b][atom]
    float* v;      // [b][atom][3]
    float* g_s;    // [b][atom]: ∂E/∂s
    float* g_v;    // [b][atom][3]: ∂E/∂v
    float* heard;  // [b][all][A_s, A_vs, S_x, S_y, S_z]: sums over neighbours of the reverse pass
    LayerState* layers;
    float* moments;     // [radial block][atom][A, B_x, B_y, B_z][element]; in the reverse pass their gradients
    float* outputs;     // (atoms, 4) of the head at work: value, vector
    bool vectors_read;  // a head reads v, so the last update must make it
};

struct Kernels {
    const char* name;
    int (*panel)();                                                           // columns of a full panel
    void (*pack)(const float* weight, int rows, int columns, float* packed);  // weight (rows, columns), y = x·weight
    void (*geometry)(const Pass&, int64_t first, int64_t last);
    void (*embed)(const Pass&, int64_t first, int64_t last);
    void (*message_forward)(const Pass&, int t, int block, int64_t first, int64_t last);
    void (*message_backward)(const Pass&, int t, int block, int64_t first, int64_t last);
    void (*update_forward)(const Pass&, int t, int64_t first, int64_t last, float* scratch);
    void (*context_forward)(const Pass&, int t, int64_t first, int64_t last, float* scratch);
    void (*update_backward)(const Pass&, int t, int64_t first, int64_t last, float* scratch);
    void (*context_backward)(const Pass&, int t, int64_t first, int64_t last, float* scratch);
    void (*energy)(const Pass&, const Head&, bool gradient, int64_t first, int64_t last, float* scratch);
    void (*read)(const Pass&, const Head&, int64_t first, int64_t last, float* scratch);
    double (*vector_rate)();
};

const Kernels* kernels_portable();
const Kernels* kernels_avx2();
const Kernels* kernels_avx512();

}  // namespace painn
