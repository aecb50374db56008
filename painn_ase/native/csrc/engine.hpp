// One model at work: weights, topology, memory and threads behind the C interface.
#pragma once
#include <string>

#include "fragments.hpp"
#include "network.hpp"
#include "rounds.hpp"
#include "topology.hpp"
#include "workspace.hpp"

namespace painn {

class Engine {
  public:
    Engine(const PainnSizes& sizes, const Kernels* kernels) : weights(sizes, kernels), kernels_(*kernels), rounds_(*kernels) {}

    Weights weights;
    std::string error;
    const Kernels& kernels() const { return kernels_; }

    void set_topology(const PainnTopology& given);
    void run(const double* positions, const double* cells, const double* charges, int threads, const PainnOutputs& out);
    void read(int threads, const PainnOutputs& out);

  private:
    void evaluate(const Task& task, bool gradient, const PainnOutputs& out);
    double share(const Head& head, int64_t owner) const;
    void collect_energies(const Task& task, const Head& head);
    Pass features(const Group& group);
    void run_head(const Head& head, int threads);
    std::vector<double> from_center(const Fragments& parts, const double* masses) const;
    void sum_energy(const PainnOutputs& out) const;
    void sum_stress(double* stress) const;
    void sum_dipole(const Head& head, double* dipole, double* charges) const;
    void sum_polarizability(const Head& head, double* polarizability) const;

    const Kernels& kernels_;
    const Rounds rounds_;
    Topology topology_;
    const Moments* first_ = nullptr;
    Pool pool_;
    std::vector<Workspace> workspaces_;
    Buffer<float> features_, scratch_, outputs_;
    std::vector<double> energies_, virial_, positions_, charges_, cells_;
};

}  // namespace painn

struct PainnModel {
    painn::Engine engine;
};
