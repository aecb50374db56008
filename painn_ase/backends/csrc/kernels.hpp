// All kernels for one instruction set: included by one file per set, with PAINN_LANES and PAINN_SET defined.
// Everything lives in an anonymous namespace, so that the linker never mixes code of different sets.
#pragma once
#include <time.h>

#include "geometry.hpp"
#include "heads.hpp"
#include "message.hpp"

namespace {

int panel() { return PANEL; }

double seconds() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Best of several runs of y += a·x with x in the first-level cache, sums in registers.
double vector_rate() {
    alignas(64) float x[16 * LANES];
    for (float& value : x) value = 1e-3f;
    constexpr int SUMS = 10, REPEATS = 20000;
    double best = 1e30;
    vec sum[SUMS] = {};
    for (int trial = 0; trial < 50; trial++) {
        const double start = seconds();
        for (int r = 0; r < REPEATS; r++) {
#pragma GCC unroll 10
            for (int k = 0; k < SUMS; k++) {
                sum[k] += load(x + k * LANES) * load(x + 15 * LANES);
#if defined(__x86_64__)
                __asm__ volatile("" : "+x"(sum[k]));
#endif
            }
            __asm__ volatile("" ::: "memory");
        }
        const double spent = seconds() - start;
        if (spent < best) best = spent;
    }
    volatile float keep = 0;
    for (int k = 0; k < SUMS; k++) keep = keep + sum[k][0];
    return (double)REPEATS * SUMS * LANES / best;
}

}  // namespace

namespace painn {
#define PAINN_TABLE(set) kernels_##set
#define PAINN_NAME(set) #set
#define PAINN_DEFINE(set)                                                                                       \
    const Kernels* PAINN_TABLE(set)() {                                                                         \
        static const Kernels table = {PAINN_NAME(set), panel,            pack,           geometry,              \
                                      embed,           message_forward,  message_backward, update_forward,      \
                                      context_forward, update_backward,  context_backward, energy, read,        \
                                      vector_rate};                                                             \
        return &table;                                                                                          \
    }
#define PAINN_EXPAND(set) PAINN_DEFINE(set)
PAINN_EXPAND(PAINN_SET)
}  // namespace painn
