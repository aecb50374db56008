// Training steps: structures kept with their labels, weights with their packs, and the threads that work on a batch.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "network.hpp"
#include "sequence.hpp"

namespace painn::training {

class AnyTrainer {  // of either precision
  public:
    virtual ~AnyTrainer() = default;
    virtual void arrays(void* weights, void* gradient, void* first, void* second, void* average) = 0;
    virtual void changed() = 0;
    virtual void step(const int64_t* members, int64_t count, const PainnLoss& loss, const PainnUpdate* update, int threads,
                      double* results) = 0;
    virtual void predict(bool averaged, const int64_t* members, int64_t count, int threads, const PainnOutputs& out) = 0;

    std::vector<Sample> samples;
    int elements = 0;  // rows of the embedding
    std::string error;
};

template <class T>
class Trainer : public AnyTrainer {
  public:
    Trainer(const PainnTrainingSizes& sizes, const PainnHeadSpec* heads, const Kernels<T>& kernels);
    void arrays(void* weights, void* gradient, void* first, void* second, void* average) override;
    void changed() override;
    void step(const int64_t* members, int64_t count, const PainnLoss& loss, const PainnUpdate* update, int threads,
              double* results) override;
    void predict(bool averaged, const int64_t* members, int64_t count, int threads, const PainnOutputs& out) override;

  private:
    struct Batch {  // of structures, divided into waves of groups
        std::vector<const Sample*> samples;
        std::vector<int64_t> first_atom;  // (samples + 1)
        std::vector<int32_t> elements, species;
    };
    using Work = std::function<void(const Sequence<T>&, const Pass<T>&, int64_t structure)>;

    Batch batch_of(const int64_t* members, int64_t count) const;
    Mode mode_of(const Criterion& criterion) const;
    std::vector<std::pair<int64_t, int64_t>> waves_of(const Batch& batch) const;
    std::vector<Group> groups_of(const Batch& batch, int64_t first, int64_t last, int threads) const;
    void run_wave(const Network<T>& net, const Mode& mode, const Batch& batch, int64_t first, int64_t last, int threads,
                  const Work& work);
    void gradients(const Mode& mode, const Batch& batch, int64_t first, int64_t last, bool accumulate, int threads);
    std::vector<char> active_parts(const Mode& mode) const;
    void update(const Mode& mode, const PainnUpdate& update, double norm, int threads);
    double norm(const Mode& mode, int threads);
    void assign_parameters();
    void each_task(int threads, size_t tasks, const std::function<void(size_t, int rank)>& work);
    T* scratch(int rank, int64_t count);

    const Kernels<T>& kernels_;
    std::vector<int64_t> places_, counts_;
    std::vector<int32_t> parts_;
    std::vector<uint8_t> decays_;
    std::vector<size_t> owner_;  // task of each parameter in `update`
    Buffer<double> spline_;
    PainnTrainingSizes sizes_;
    Weights<T> weights_, averages_;
    const int64_t group_;  // atoms up to which structures are worked on together
    bool averages_packed_ = false;
    Moments<T> memory_ = {};
    Wave<T> wave_;
    std::vector<Room<T>> rooms_;
    std::vector<Buffer<T>> scratch_;
    Pool pool_;
};

}  // namespace painn::training
