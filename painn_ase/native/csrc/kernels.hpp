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

// Best of several runs of y += a·x with x in the first-level cache and sums in registers.
double vector_rate() {
    constexpr int SUMS = 10, REPEATS = 20000;
    alignas(64) static float x[SUMS * LANES] = {};
    double best = 1e30;
    for (int trial = 0; trial < 50; trial++) {
        vec sum[SUMS] = {};
        const vec a = all((float)trial);
        const double start = seconds();
        for (int r = 0; r < REPEATS; r++) {
            for (int k = 0; k < SUMS; k++) sum[k] += a * load(x + k * LANES);
            __asm__ volatile("" ::: "memory");  // x may have changed: load it again
        }
        const double spent = seconds() - start;
        vec total = {};
        for (int k = 0; k < SUMS; k++) total += sum[k];
        volatile float keep = total[0];
        (void)keep;
        if (spent < best) best = spent;
    }
    return (double)REPEATS * SUMS * LANES / best;
}

}  // namespace

namespace painn {
#define PAINN_TABLE(set) kernels_##set
#define PAINN_NAME(set) #set
#define PAINN_DEFINE(set)                               \
    const Kernels* PAINN_TABLE(set)() {                 \
        static const Kernels table = {PAINN_NAME(set),  \
                                      panel,            \
                                      pack,             \
                                      geometry,         \
                                      embed,            \
                                      message_forward,  \
                                      message_backward, \
                                      update_forward,   \
                                      context_forward,  \
                                      update_backward,  \
                                      context_backward, \
                                      energy,           \
                                      read,             \
                                      vector_rate};     \
        return &table;                                  \
    }
#define PAINN_EXPAND(set) PAINN_DEFINE(set)
PAINN_EXPAND(PAINN_SET)
}  // namespace painn
