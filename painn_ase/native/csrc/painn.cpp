#include "painn.h"

#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#include "engine.hpp"

namespace {

using painn::Kernels;

const Kernels* choose(const std::string& wanted) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (avx512 && (wanted.empty() || wanted == "avx512")) return painn::kernels_avx512();
    if (avx2 && (wanted.empty() || wanted == "avx2")) return painn::kernels_avx2();
#endif
    return wanted.empty() || wanted == "portable" ? painn::kernels_portable() : nullptr;
}

// Runs `work`; an exception becomes a message and a code, because C cannot carry it.
template <class Work>
int guarded(PainnModel* model, Work work) {
    try {
        work(model->engine);
        return 0;
    } catch (const std::bad_alloc&) {
        model->engine.error = "out of memory";
        return PAINN_NO_MEMORY;
    } catch (const std::domain_error& e) {
        model->engine.error = e.what();
        return PAINN_UNDEFINED;
    } catch (const std::exception& e) {
        model->engine.error = e.what();
        return PAINN_FAILED;
    }
}

}  // namespace

extern "C" {

int32_t painn_abi(void) { return PAINN_ABI; }

int64_t painn_struct_size(const char* name) {
    static const struct {
        const char* name;
        int64_t size;
    } structs[] = {
        {"PainnSizes", sizeof(PainnSizes)},
        {"PainnHeadSpec", sizeof(PainnHeadSpec)},
        {"PainnTopology", sizeof(PainnTopology)},
        {"PainnOutputs", sizeof(PainnOutputs)},
        {"PainnTrainingSizes", sizeof(PainnTrainingSizes)},
        {"PainnSample", sizeof(PainnSample)},
        {"PainnLoss", sizeof(PainnLoss)},
        {"PainnUpdate", sizeof(PainnUpdate)},
    };
    for (const auto& one : structs)
        if (std::strcmp(one.name, name) == 0) return one.size;
    return 0;
}

const char* painn_instruction_set(const char* wanted) {
    const Kernels* kernels = choose(wanted);
    return kernels ? kernels->name : nullptr;
}

double painn_vector_rate(const char* instruction_set) {
    const Kernels* kernels = choose(instruction_set);
    return kernels ? kernels->vector_rate() : 0.0;
}

PainnModel* painn_new(const PainnSizes* sizes, const char* instruction_set) {
    const Kernels* kernels = choose(instruction_set);
    if (!kernels || sizes->features % painn::BLOCK || sizes->features < painn::BLOCK || sizes->interactions < 1) return nullptr;
    try {
        return new PainnModel{{*sizes, kernels}};
    } catch (const std::exception&) {
        return nullptr;
    }
}

void painn_free(PainnModel* model) { delete model; }

const char* painn_error(const PainnModel* model) { return model->engine.error.c_str(); }

int painn_set_linear(PainnModel* model, int32_t which, int32_t set, const float* weight, const float* bias) {
    return guarded(model, [&](painn::Engine& engine) { engine.weights.set_linear(which, set, weight, bias); });
}

int painn_set_filter(PainnModel* model, int32_t set, const double* coefficients) {
    return guarded(model, [&](painn::Engine& engine) { engine.weights.set_filter(set, coefficients); });
}

int painn_set_radial(PainnModel* model, int32_t radial, const double* coefficients, const double* weights) {
    return guarded(model, [&](painn::Engine& engine) { engine.weights.set_radial(radial, coefficients, weights); });
}

int painn_set_embedding(PainnModel* model, const float* embedding, const float* context) {
    return guarded(model, [&](painn::Engine& engine) { engine.weights.set_embedding(embedding, context); });
}

int painn_add_head(PainnModel* model, const PainnHeadSpec* head) {
    return guarded(model, [&](painn::Engine& engine) { engine.weights.add_head(*head); });
}

int painn_set_topology(PainnModel* model, const PainnTopology* topology) {
    return guarded(model, [&](painn::Engine& engine) { engine.set_topology(*topology); });
}

int painn_run(PainnModel* model, const double* positions, const double* cells, const double* charges, int32_t threads,
              const PainnOutputs* outputs) {
    return guarded(model, [&](painn::Engine& engine) { engine.run(positions, cells, charges, threads, *outputs); });
}

int painn_read(PainnModel* model, int32_t threads, const PainnOutputs* outputs) {
    return guarded(model, [&](painn::Engine& engine) { engine.read(threads, *outputs); });
}

}  // extern "C"
