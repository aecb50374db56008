#include "painn_domain.h"

#include <algorithm>
#include <cstring>

#include "domain.hpp"
#include "engine.hpp"

namespace {

// Runs `work`; an exception becomes a message and a code, because C cannot carry it.
template <class Work>
int guarded(PainnDomain* d, Work work) {
    try {
        work(d->domain);
        return 0;
    } catch (const std::bad_alloc&) {
        d->domain.error = "out of memory";
        return 2;
    } catch (const std::exception& e) {
        d->domain.error = e.what();
        return 1;
    }
}

}  // namespace

extern "C" {

PainnDomain* painn_domain_new(PainnModel* model, int32_t count, const int32_t* elements, int32_t threads) {
    painn::Engine& engine = model->engine;
    try {
        return new PainnDomain{{engine.weights, engine.kernels(), {elements, elements + count}, threads}};
    } catch (const std::exception& e) {
        engine.error = e.what();
        return nullptr;
    }
}

void painn_domain_free(PainnDomain* domain) { delete domain; }

const char* painn_domain_error(const PainnDomain* domain) { return domain->domain.error.c_str(); }

int painn_domain_set(PainnDomain* domain, const PainnDomainAtoms* atoms) {
    return guarded(domain, [&](painn::Domain& d) { d.set(*atoms); });
}

int painn_domain_forward(PainnDomain* domain, int32_t t, const double* positions) {
    return guarded(domain, [&](painn::Domain& d) { d.forward(t, positions); });
}

int painn_domain_backward(PainnDomain* domain, int32_t t) {
    return guarded(domain, [&](painn::Domain& d) { d.backward(t); });
}

int painn_domain_read(PainnDomain* domain, double* energies, double* forces, double* virial, double* virials) {
    return guarded(domain, [&](painn::Domain& d) { d.read(energies, forces, virial, virials); });
}

int32_t painn_border_width(int32_t features, int32_t border) { return (border == PAINN_NODES ? 6 : 5) * features; }

void painn_border_get(const PainnDomain* domain, int32_t border, int64_t count, const int32_t* atoms, int64_t first,
                      float* buffer) {
    domain->domain.border(border, count, atoms, first, [&](const float* floats, int64_t place, int n, bool image) {
        if (image && border == PAINN_HEARD) return (void)std::fill_n(buffer + place, n, 0.0f);  // its atom has it all
        std::memcpy(buffer + place, floats, n * sizeof(float));
    });
}

void painn_border_put(PainnDomain* domain, int32_t border, int64_t count, const int32_t* atoms, int64_t first,
                      const float* buffer) {
    domain->domain.border(border, count, atoms, first, [&](float* floats, int64_t place, int n, bool image) {
        if (border == PAINN_NODES) return image ? (void)0 : (void)std::memcpy(floats, buffer + place, n * sizeof(float));
        for (int k = 0; k < n; k++) floats[k] += buffer[place + k];
    });
}

}  // extern "C"
