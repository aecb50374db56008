// The C interface of training.
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "trainer.hpp"

namespace painn::training {

template <class T>
const Kernels<T>* kernels_of(const std::string& set);
#define PAINN_TRAINING_SET(set)                   \
    const Kernels<float>* training_float_##set(); \
    const Kernels<double>* training_double_##set();
PAINN_TRAINING_SET(portable)
PAINN_TRAINING_SET(avx2)
PAINN_TRAINING_SET(avx512)

template <>
const Kernels<float>* kernels_of<float>(const std::string& set) {
#if defined(__x86_64__)
    if (set == "avx512") return training_float_avx512();
    if (set == "avx2") return training_float_avx2();
#endif
    return set == "portable" ? training_float_portable() : nullptr;
}

template <>
const Kernels<double>* kernels_of<double>(const std::string& set) {
#if defined(__x86_64__)
    if (set == "avx512") return training_double_avx512();
    if (set == "avx2") return training_double_avx2();
#endif
    return set == "portable" ? training_double_portable() : nullptr;
}

template <class T>
AnyTrainer* new_trainer(const PainnTrainingSizes& sizes, const PainnHeadSpec* heads, const char* wanted) {
    const char* set = painn_instruction_set(wanted);
    const Kernels<T>* kernels = set ? kernels_of<T>(set) : nullptr;
    return kernels ? new Trainer<T>(sizes, heads, *kernels) : nullptr;
}

}  // namespace painn::training

struct PainnTrainer {
    std::unique_ptr<painn::training::AnyTrainer> trainer;
};

namespace {

// Runs `work`; an exception becomes a message and a code, because C cannot carry it.
template <class Work>
int guarded(PainnTrainer* trainer, Work work) {
    try {
        work(*trainer->trainer);
        return 0;
    } catch (const std::bad_alloc&) {
        trainer->trainer->error = "out of memory";
        return PAINN_NO_MEMORY;
    } catch (const std::exception& e) {
        trainer->trainer->error = e.what();
        return PAINN_FAILED;
    }
}

}  // namespace

extern "C" {

PainnTrainer* painn_trainer_new(const PainnTrainingSizes* sizes, const PainnHeadSpec* heads, const char* instruction_set) {
    using namespace painn::training;
    if (sizes->features < painn::BLOCK || sizes->features % painn::BLOCK || sizes->interactions < 1) return nullptr;
    try {
        std::unique_ptr<AnyTrainer> trainer(sizes->width == 4 ? new_trainer<float>(*sizes, heads, instruction_set)
                                                              : new_trainer<double>(*sizes, heads, instruction_set));
        return trainer ? new PainnTrainer{std::move(trainer)} : nullptr;
    } catch (const std::exception&) {
        return nullptr;
    }
}

void painn_trainer_free(PainnTrainer* trainer) { delete trainer; }

const char* painn_trainer_error(const PainnTrainer* trainer) { return trainer->trainer->error.c_str(); }

int painn_trainer_arrays(PainnTrainer* trainer, void* weights, void* gradient, void* first, void* second, void* average) {
    return guarded(trainer, [&](auto& t) { t.arrays(weights, gradient, first, second, average); });
}

int painn_trainer_add(PainnTrainer* trainer, const PainnSample* sample) {
    return guarded(trainer, [&](auto& t) {
        painn::training::Sample kept;
        const std::string wrong = kept.set(*sample, t.elements);
        if (!wrong.empty()) throw std::invalid_argument(wrong);
        t.samples.push_back(std::move(kept));
    });
}

int painn_trainer_clear(PainnTrainer* trainer) {
    return guarded(trainer, [&](auto& t) { t.samples.clear(); });
}

int painn_trainer_changed(PainnTrainer* trainer) {
    return guarded(trainer, [&](auto& t) { t.changed(); });
}

int painn_trainer_step(PainnTrainer* trainer, const int64_t* members, int64_t count, const PainnLoss* loss,
                       const PainnUpdate* update, int32_t threads, double* results) {
    return guarded(trainer, [&](auto& t) { t.step(members, count, *loss, update, threads, results); });
}

int painn_trainer_predict(PainnTrainer* trainer, int32_t averaged, const int64_t* members, int64_t count, int32_t threads,
                          const PainnOutputs* outputs) {
    return guarded(trainer, [&](auto& t) { t.predict(averaged, members, count, threads, *outputs); });
}

}  // extern "C"
