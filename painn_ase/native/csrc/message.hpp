// The message of PaiNN over undirected pairs, and its reverse pass (derived in docs/native-kernel.md).
// One call handles one block of channels of all pairs in its rows: channels never meet here, so blocks can run in
// parallel, and both directions of a pair share one look-up of the filters.
#pragma once
#include "moments.hpp"

namespace {

struct Filters {
    vec s, vs, vv;
};

// w + Σ_m weight_m · row m of the slopes: filters at one distance, or their derivatives.
template <bool WITH_S, bool WITH_VV>
PAINN_INLINE Filters look_up(Filters w, const float* row, const float* weight) {
#pragma GCC unroll 5
    for (int m = 0; m < ORDER; m++, row += ROW) {
        const vec b = all(weight[m]);
        if (WITH_S) w.s += b * load(row);
        w.vs += b * load(row + BLOCK);
        if (WITH_VV) w.vv += b * load(row + 2 * BLOCK);
    }
    return w;
}

PAINN_INLINE Filters load_filters(const float* row) { return {load(row), load(row + BLOCK), load(row + 2 * BLOCK)}; }

struct Node {  // [x_s, x_vs, x_vv] and v of one atom
    vec s, vs, vv, v[3];
};

template <bool FIRST>
PAINN_INLINE Node load_node(const float* p) {
    Node a;
    a.s = load(p);
    a.vs = load(p + BLOCK);
    if (!FIRST) {
        a.vv = load(p + 2 * BLOCK);
        for (int d = 0; d < 3; d++) a.v[d] = load(p + (3 + d) * BLOCK);
    }
    return a;
}

// Δs = x_s W_s;  Δv = x_vs W_vs r̂ + x_vv W_vv v; v is zero before the first message. `unit` is r̂ or, with BACK, -r̂.
template <bool FIRST, bool BACK>
PAINN_INLINE void hear(const Node& from, const Filters& w, const vec* unit, vec& s, vec* v) {
    s += w.s * from.s;
    const vec along = w.vs * from.vs;
    for (int d = 0; d < 3; d++) v[d] = BACK ? v[d] - along * unit[d] : v[d] + along * unit[d];
    if (!FIRST) {
        const vec carried = w.vv * from.vv;
        for (int d = 0; d < 3; d++) v[d] += carried * from.v[d];
    }
}

// One strip of channels of the arrays that messages read and write.
struct Channels {
    const float *anchor, *slope, *nodes;
    float *s, *v;              // of the atoms themselves
    const float *g_s, *g_v;    // their adjoints
    float *heard, *gradients;  // gradients: 4 per pair
    bool accumulate;           // whether gradients are there to be added to
};

Channels channels(const Pass& p, int t, int block, int lane) {
    const int64_t n = block * p.rows.atoms * BLOCK, all = block * p.rows.all() * BLOCK;
    const bool fresh = t + 1 == p.net->T && lane == 0;
    return {p.net->anchor(t, block) + lane,
            p.net->slope(t, block) + lane,
            p.layers[t].node + 6 * all + lane,
            p.s + n + lane,
            p.v + 3 * n + lane,
            p.g_s + n + lane,
            p.g_v + 3 * n + lane,
            p.heard + 5 * all + lane,
            p.gradient + block * p.entries * 4,
            !fresh};
}

// What the atom `here` hears from the partners of `pair` ... `end`, added to ds and dv; and what they hear, but for GHOSTS.
template <bool FIRST, bool GHOSTS>
PAINN_INLINE void hear_pairs(const Channels& k, const Node& here, const Pair* pair, const Pair* end, vec& ds, vec* dv) {
    for (; pair != end; pair++) {
        const int64_t row = (int64_t)pair->knot * ROW;
        const Filters w = look_up<true, !FIRST>(load_filters(k.anchor + row), k.slope + row, pair->rise);
        const int64_t j = pair->neighbor;
        const Node there = load_node<FIRST>(k.nodes + j * 6 * BLOCK);
        const vec unit[3] = {all(pair->unit[0]), all(pair->unit[1]), all(pair->unit[2])};
        hear<FIRST, false>(there, w, unit, ds, dv);
        if (GHOSTS) continue;
        float *sj = k.s + j * BLOCK, *vj = k.v + j * 3 * BLOCK;
        vec s_there = load(sj), v_there[3] = {load(vj), load(vj + BLOCK), load(vj + 2 * BLOCK)};
        hear<FIRST, true>(here, w, unit, s_there, v_there);
        store(sj, s_there);
        for (int d = 0; d < 3; d++) store(vj + d * BLOCK, v_there[d]);
    }
}

template <bool FIRST>
void message_forward_rows(const Pass& p, int t, int block, int64_t first, int64_t last) {
    for (int lane = 0; lane < BLOCK; lane += LANES) {
        const Channels k = channels(p, t, block, lane);
        for (int64_t i = first; i < last; i++) {
            const Pair* pair = p.pairs + p.rows.start[i];
            const Pair* end = pair + p.count[i];
            if (pair == end) continue;
            const Node here = load_node<FIRST>(k.nodes + i * 6 * BLOCK);
            vec ds = {}, dv[3] = {};
            hear_pairs<FIRST, false>(k, here, pair, pair + p.inner[i], ds, dv);
            hear_pairs<FIRST, true>(k, here, pair + p.inner[i], end, ds, dv);
            float *si = k.s + i * BLOCK, *vi = k.v + i * 3 * BLOCK;
            store(si, load(si) + ds);
            for (int d = 0; d < 3; d++) store(vi + d * BLOCK, load(vi + d * BLOCK) + dv[d]);
        }
    }
}

struct Adjoint {  // ∂E/∂s and ∂E/∂v of one atom after the message
    vec s, v[3];
};

PAINN_INLINE Adjoint load_adjoint(const float* s, const float* v) {
    return {load(s), {load(v), load(v + BLOCK), load(v + 2 * BLOCK)}};
}

struct Heard {        // sums over the receivers n of an atom's messages
    vec s, vs, v[3];  // Σ W_s g_s,n;  Σ W_vs (g_v,n · r̂_nc);  S = Σ W_vv g_v,n
};

struct Slopes {  // factors of the derivatives of the three filters in dE/d|r|
    vec s, vs, vv;
};

PAINN_INLINE vec dot(const vec* a, const vec* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// What the message from the sender to the receiver with adjoint g contributes; `unit`, or -unit with BACK, points to
// the sender.
template <bool FIRST, bool BACK>
PAINN_INLINE void answer(const Node& sender, const Adjoint& g, const Filters& w, const vec* unit, Heard& heard, Slopes& y) {
    const vec projection = dot(g.v, unit);
    y.s += sender.s * g.s;
    y.vs = BACK ? y.vs - sender.vs * projection : y.vs + sender.vs * projection;
    if (!FIRST) {
        y.vv += sender.vv * dot(sender.v, g.v);
        heard.s += w.s * g.s;
        heard.vs = BACK ? heard.vs - w.vs * projection : heard.vs + w.vs * projection;
        for (int d = 0; d < 3; d++) heard.v[d] += w.vv * g.v[d];
    }
}

// What the atom `here`, with the adjoint g_here, answers to the partners of pairs first ... last; what they answer, added
// to `sum`, but for GHOSTS: that message has another owner. And the gradients of the pairs.
template <bool FIRST, bool GHOSTS>
PAINN_INLINE void answer_pairs(const Channels& k, const Pair* pairs, const Node& here, const Adjoint& g_here, int64_t first,
                               int64_t last, Heard& sum) {
    for (int64_t e = first; e < last; e++) {
        const Pair& pair = pairs[e];
        const int64_t row = (int64_t)pair.knot * ROW;
        const Filters w = look_up<!FIRST, !FIRST>(load_filters(k.anchor + row), k.slope + row, pair.rise);
        const Filters dw = look_up<true, !FIRST>(Filters{}, k.slope + row, pair.basis);
        const int64_t j = pair.neighbor;
        const Node there = load_node<FIRST>(k.nodes + j * 6 * BLOCK);
        const vec unit[3] = {all(pair.unit[0]), all(pair.unit[1]), all(pair.unit[2])};
        Slopes y = {};
        float* hj = k.heard + j * 5 * BLOCK;
        Heard sum_there;
        if (!FIRST) {
            sum_there = {load(hj), load(hj + BLOCK), {load(hj + 2 * BLOCK), load(hj + 3 * BLOCK), load(hj + 4 * BLOCK)}};
        }
        answer<FIRST, false>(there, g_here, w, unit, sum_there, y);
        Adjoint g_there = {};
        if (!GHOSTS) {
            g_there = load_adjoint(k.g_s + j * BLOCK, k.g_v + j * 3 * BLOCK);
            answer<FIRST, true>(here, g_there, w, unit, sum, y);
        }
        if (!FIRST) {
            store(hj, sum_there.s);
            store(hj + BLOCK, sum_there.vs);
            for (int d = 0; d < 3; d++) store(hj + (2 + d) * BLOCK, sum_there.v[d]);
        }
        vec radial = dw.s * y.s + dw.vs * y.vs;
        if (!FIRST) radial += dw.vv * y.vv;
        const vec to = w.vs * there.vs;
        vec angular[3];
        for (int d = 0; d < 3; d++) angular[d] = to * g_here.v[d];
        if (!GHOSTS) {
            const vec fro = w.vs * here.vs;
            for (int d = 0; d < 3; d++) angular[d] -= fro * g_there.v[d];
        }
        add_sums(radial, angular[0], angular[1], angular[2], k.gradients + e * 4, k.accumulate);
    }
}

template <bool FIRST>
void message_backward_rows(const Pass& p, int t, int block, int64_t first, int64_t last) {
    for (int lane = 0; lane < BLOCK; lane += LANES) {
        const Channels k = channels(p, t, block, lane);
        for (int64_t i = first; i < last; i++) {
            const int64_t start = p.rows.start[i], end = start + p.count[i];
            if (start == end) continue;
            const Node here = load_node<FIRST>(k.nodes + i * 6 * BLOCK);
            const Adjoint g_here = load_adjoint(k.g_s + i * BLOCK, k.g_v + i * 3 * BLOCK);
            Heard sum = {};
            answer_pairs<FIRST, false>(k, p.pairs, here, g_here, start, start + p.inner[i], sum);
            answer_pairs<FIRST, true>(k, p.pairs, here, g_here, start + p.inner[i], end, sum);
            if (FIRST) continue;
            float* hi = k.heard + i * 5 * BLOCK;
            store(hi, load(hi) + sum.s);
            store(hi + BLOCK, load(hi + BLOCK) + sum.vs);
            for (int d = 0; d < 3; d++) store(hi + (2 + d) * BLOCK, load(hi + (2 + d) * BLOCK) + sum.v[d]);
        }
    }
}

void message_forward(const Pass& pass, int t, int block, int64_t first, int64_t last) {
    if (t == 0 && pass.first) return moments_forward(pass, block, first, last);
    const auto run = t ? message_forward_rows<false> : message_forward_rows<true>;
    run(pass, t, block, first, last);
}

void message_backward(const Pass& pass, int t, int block, int64_t first, int64_t last) {
    if (t == 0 && pass.first) return moments_backward(pass, block, first, last);
    const auto run = t ? message_backward_rows<false> : message_backward_rows<true>;
    run(pass, t, block, first, last);
}

}  // namespace
