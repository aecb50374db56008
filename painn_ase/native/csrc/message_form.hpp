// The derivatives of PaiNN's message, written as one form of atoms and pairs (docs/native-kernel.md):
//
//   S = Σ_i (s_i g_i + v_i·G_i) + Σ_ij [ W_s x_s,j g_i + W_vs x_vs,j (û·G_i) + W_vv x_vv,j (v_j·G_i) ],  W = basis·weight
//
// The message is ∂S/∂(g, G); its gradient is ∂S/∂(x, basis, weight, v, û); and the gradient of that are the derivatives
// of S once along the directions (x', basis', weight', v', û'). Arrays are (…, F) as torch has them, in float or double.
// Pairs are worked off in chunks whose filters stay in the cache: nothing of size (pairs, F) is ever made. One thread, in
// the order of the pairs: sums have the same bits every time.
#pragma once
#include "matrix.hpp"

namespace {

constexpr int64_t FORM_CHUNK = 32;  // pairs whose filters are made at once

// The arrays of one pair. Rows of three hold [s, vs, vv] or [x, y, z], F numbers each; w, dw, out_w and out_dw are of the
// chunk, and out_dw is the derivative of the form along W', which is its first derivative by W.
template <class T>
struct Row {
    const PainnForm& form;
    const int64_t i, j, pair;
    const T *w, *dw;
    T *out_w, *out_dw;
    const int64_t F = form.features;
    PAINN_INLINE const T* one(const void* a, int64_t row) const { return (const T*)a + row * F; }
    PAINN_INLINE const T* three(const void* a, int64_t row) const { return (const T*)a + row * 3 * F; }
    PAINN_INLINE T* one(void* a, int64_t row) const { return a ? (T*)a + row * F : nullptr; }
    PAINN_INLINE T* three(void* a, int64_t row) const { return a ? (T*)a + row * 3 * F : nullptr; }
};

template <class T, bool V>
PAINN_INLINE void message_pair(const Row<T> r) {
    const int64_t F = r.F;
    const T *x = r.three(r.form.x, r.j), *w = r.w, *v = V ? r.three(r.form.v, r.j) : nullptr;
    const Triple<T> unit = Triple<T>::same((const T*)r.form.u + 3 * r.pair);
    T *g = r.one(r.form.out_g, r.i), *G = r.three(r.form.out_G, r.i);
    for (int64_t c = 0; c < F; c += Wide<T>::SIZE) {
        add<T>(g + c, get(w + c) * get(x + c));
        Triple<T> heard = unit * (get(w + F + c) * get(x + F + c));
        if (V) heard += Triple<T>::of(v + c, F) * (get(w + 2 * F + c) * get(x + 2 * F + c));
        heard.add_at(G + c, F);
    }
}

template <class T, bool V>
PAINN_INLINE void gradient_pair(const Row<T> r) {
    const int64_t F = r.F;
    const T *x = r.three(r.form.x, r.j), *w = r.w, *v = V ? r.three(r.form.v, r.j) : nullptr;
    const T *g = r.one(r.form.g, r.i), *G = r.three(r.form.G, r.i);
    const Triple<T> unit = Triple<T>::same((const T*)r.form.u + 3 * r.pair);
    T *out_x = r.three(r.form.out_x, r.j), *out_w = r.out_w, *out_v = V ? r.three(r.form.out_v, r.j) : nullptr;
    Triple<T> turned = {};
    for (int64_t c = 0; c < F; c += Wide<T>::SIZE) {
        const Triple<T> x3 = Triple<T>::of(x + c, F), w3 = Triple<T>::of(w + c, F), G3 = Triple<T>::of(G + c, F);
        const Triple<T> v3 = V ? Triple<T>::of(v + c, F) : Triple<T>{};
        const Triple<T> form = {get(g + c), unit.dot(G3), V ? v3.dot(G3) : wide<T>{}};
        if (out_w) Triple<T>{x3.x * form.x, x3.y * form.y, x3.z * form.z}.put_at(out_w + c, F);
        if (out_x) Triple<T>{w3.x * form.x, w3.y * form.y, w3.z * form.z}.add_at(out_x + c, F);
        if (V && out_v) (G3 * (w3.z * x3.z)).add_at(out_v + c, F);
        turned += G3 * (w3.y * x3.y);
    }
    if (r.form.out_u) turned.totals((T*)r.form.out_u + 3 * r.pair);
}

template <class T, bool V>
PAINN_INLINE void second_pair(const Row<T> r) {
    const int64_t F = r.F;
    const T *x = r.three(r.form.x, r.j), *w = r.w, *v = V ? r.three(r.form.v, r.j) : nullptr;
    const T *dx = r.three(r.form.dx, r.j), *dw = r.dw, *dv = V ? r.three(r.form.dv, r.j) : nullptr;
    const T *g = r.one(r.form.g, r.i), *G = r.three(r.form.G, r.i);
    const Triple<T> unit = Triple<T>::same((const T*)r.form.u + 3 * r.pair);
    const Triple<T> turn = Triple<T>::same((const T*)r.form.du + 3 * r.pair);
    T *out_x = r.three(r.form.out_x, r.j), *out_w = r.out_w, *out_v = V ? r.three(r.form.out_v, r.j) : nullptr;
    T *out_g = r.one(r.form.out_g, r.i), *out_G = r.three(r.form.out_G, r.i);
    Triple<T> turned = {};
    for (int64_t c = 0; c < F; c += Wide<T>::SIZE) {
        const Triple<T> x3 = Triple<T>::of(x + c, F), w3 = Triple<T>::of(w + c, F), G3 = Triple<T>::of(G + c, F);
        const Triple<T> dx3 = Triple<T>::of(dx + c, F), dw3 = Triple<T>::of(dw + c, F);
        const Triple<T> v3 = V ? Triple<T>::of(v + c, F) : Triple<T>{}, dv3 = V ? Triple<T>::of(dv + c, F) : Triple<T>{};
        const Triple<T> form = {get(g + c), unit.dot(G3), V ? v3.dot(G3) : wide<T>{}};
        const wide<T> form_vs = turn.dot(G3), form_vv = V ? dv3.dot(G3) : wide<T>{};  // along û' and v'
        if (out_w) {
            put<T>(out_w + c, dx3.x * form.x);
            put<T>(out_w + F + c, dx3.y * form.y + x3.y * form_vs);
            put<T>(out_w + 2 * F + c, dx3.z * form.z + x3.z * form_vv);
            Triple<T>{x3.x * form.x, x3.y * form.y, x3.z * form.z}.put_at(r.out_dw + c, F);
        }
        if (out_x) {
            add<T>(out_x + c, dw3.x * form.x);
            add<T>(out_x + F + c, dw3.y * form.y + w3.y * form_vs);
            add<T>(out_x + 2 * F + c, dw3.z * form.z + w3.z * form_vv);
        }
        const wide<T> along = dw3.y * x3.y + w3.y * dx3.y, carried = dw3.z * x3.z + w3.z * dx3.z;
        if (V && out_v) (G3 * carried).add_at(out_v + c, F);
        turned += G3 * along;
        if (out_g) add<T>(out_g + c, dw3.x * x3.x + w3.x * dx3.x);
        if (out_G) {
            Triple<T> heard = unit * along + turn * (w3.y * x3.y);
            if (V) heard += v3 * carried + dv3 * (w3.z * x3.z);
            heard.add_at(out_G + c, F);
        }
    }
    if (r.form.out_u) turned.totals((T*)r.form.out_u + 3 * r.pair);
}

// What turns basis functions into filters and back, with the panels of `weight` and its transpose (or of weight').
template <class T>
struct Expansion {
    const PainnForm& form;
    const T* weight;
    T *panels, *back;

    static int64_t panels_size(const PainnForm& f) { return f.radial * (3 * f.features + TILE_COLUMNS<T>); }
    static int64_t back_size(const PainnForm& f) { return 3 * f.features * (f.radial + TILE_COLUMNS<T>); }

    void pack() const {
        const int64_t n = form.radial, width = 3 * form.features;
        const PainnMatrix to = {0, 0, 0, width, n, nullptr, 0, 0, weight, width, 1, nullptr, nullptr};
        for (int64_t column = 0; column < width; column += TILE_COLUMNS<T>) matrix_panel<T>(to, column, panels + column * n);
        const PainnMatrix fro = {0, 0, 0, n, width, nullptr, 0, 0, weight, 1, width, nullptr, nullptr};
        for (int64_t column = 0; column < n; column += TILE_COLUMNS<T>) matrix_panel<T>(fro, column, back + column * width);
    }
    // w (+)= basis·weight
    void expand(const T* basis, int64_t pairs, T* w, bool accumulate) const {
        const int64_t n = form.radial, width = 3 * form.features;
        const PainnMatrix m = {0, accumulate, pairs, width, n, basis, n, 1, nullptr, 0, 0, nullptr, w};
        for (int64_t column = 0; column < width; column += TILE_COLUMNS<T>) {
            matrix_column<T>(m, column, panels + column * n, TILE_COLUMNS<T>);
        }
    }
    // out (+)= w·weightᵀ
    void contract(const T* w, int64_t pairs, T* out, bool accumulate) const {
        const int64_t n = form.radial, width = 3 * form.features;
        const PainnMatrix m = {0, accumulate, pairs, n, width, w, width, 1, nullptr, 0, 0, nullptr, out};
        for (int64_t column = 0; column < n; column += TILE_COLUMNS<T>) {
            matrix_column<T>(m, column, back + column * width, TILE_COLUMNS<T>);
        }
    }
};

// out += basisᵀ·w; a row of w may be read beyond its end, into the next.
template <class T>
void gather_weight(const PainnForm& form, const T* basis, const T* w, int64_t pairs, T* out) {
    const int64_t n = form.radial, width = 3 * form.features;
    const PainnMatrix m = {0, 1, n, width, pairs, basis, 1, n, nullptr, 0, 0, nullptr, out};
    for (int64_t column = 0; column < width; column += TILE_COLUMNS<T>) matrix_column<T>(m, column, w + column, width);
}

template <class T>
int64_t form_scratch(const PainnForm& form) {
    const int64_t chunk = FORM_CHUNK * 3 * form.features + TILE_COLUMNS<T>;
    return 4 * chunk + 2 * (Expansion<T>::panels_size(form) + Expansion<T>::back_size(form));
}

template <class T, bool V>
void form_chunks(const PainnForm& form, T* scratch) {
    const int64_t n = form.radial, width = 3 * form.features, chunk = FORM_CHUNK * width + TILE_COLUMNS<T>;
    T *w = scratch, *dw = w + chunk, *out_w = dw + chunk, *out_dw = out_w + chunk, *packed = out_dw + chunk;
    const Expansion<T> filters = {form, (const T*)form.weight, packed, packed + Expansion<T>::panels_size(form)};
    packed = filters.back + Expansion<T>::back_size(form);
    const Expansion<T> dfilters = {form, (const T*)form.dweight, packed, packed + Expansion<T>::panels_size(form)};
    filters.pack();
    if (form.dweight) dfilters.pack();
    const bool filters_vary = form.out_basis || form.out_weight;
    for (int64_t first = 0; first < form.pairs; first += FORM_CHUNK) {
        const int64_t pairs = form.pairs - first < FORM_CHUNK ? form.pairs - first : FORM_CHUNK;
        const T* basis = (const T*)form.basis + first * n;
        const T* dbasis = form.dbasis ? (const T*)form.dbasis + first * n : nullptr;
        filters.expand(basis, pairs, w, false);
        if (form.order == 2) {
            if (dbasis) filters.expand(dbasis, pairs, dw, false);
            if (form.dweight) dfilters.expand(basis, pairs, dw, dbasis != nullptr);
            if (!dbasis && !form.dweight) __builtin_memset(dw, 0, pairs * width * sizeof(T));
        }
        for (int64_t k = 0; k < pairs; k++) {
            const int64_t pair = first + k, at = k * width;
            const Row<T> row = {form,
                                form.centers[pair],
                                form.neighbors[pair],
                                pair,
                                w + at,
                                dw + at,
                                filters_vary ? out_w + at : nullptr,
                                out_dw + at};
            if (form.order == 0) message_pair<T, V>(row);
            if (form.order == 1) gradient_pair<T, V>(row);
            if (form.order == 2) second_pair<T, V>(row);
        }
        if (form.order == 0) continue;
        if (form.out_basis) {
            T* out = (T*)form.out_basis + first * n;
            filters.contract(out_w, pairs, out, false);
            if (form.dweight) dfilters.contract(out_dw, pairs, out, true);
        }
        if (form.out_weight) {
            gather_weight(form, basis, out_w, pairs, (T*)form.out_weight);
            if (dbasis) gather_weight(form, dbasis, out_dw, pairs, (T*)form.out_weight);
        }
    }
}

int64_t message_form_scratch(const PainnForm& form) {
    return form.width == 4 ? 4 * form_scratch<float>(form) : 8 * form_scratch<double>(form);
}

void message_form(const PainnForm& form, void* scratch) {
    if (form.width == 4) {
        form.v ? form_chunks<float, true>(form, (float*)scratch) : form_chunks<float, false>(form, (float*)scratch);
    } else {
        form.v ? form_chunks<double, true>(form, (double*)scratch) : form_chunks<double, false>(form, (double*)scratch);
    }
}

}  // namespace
