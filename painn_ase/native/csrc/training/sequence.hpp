// The four passes over a group of structures, by one thread or by all of them together.
#pragma once
#include "../threads.hpp"
#include "loss.hpp"

namespace painn::training {

// Who works on a group: thread `rank` of `size`. Rows of atoms and blocks of channels are shared out; every number is
// made by one thread in an order that does not depend on the others.
template <class T>
struct Crew {
    int rank, size;
    Barrier& barrier;
    T* scratch;  // of this thread, for the filters of a chunk of pairs
};

template <class T>
class Sequence {
  public:
    Sequence(const Kernels<T>& kernels, const Pass<T>& pass, const Mode& mode, const Crew<T>& crew)
        : k_(kernels), p_(pass), mode_(mode), crew_(crew), last_(pass.net->T_ - 1) {}

    void values() const {  // P1
        const int64_t n = p_.pairs;
        k_.geometry(p_, n * crew_.rank / crew_.size, n * (crew_.rank + 1) / crew_.size);
        rows([&](int64_t a, int64_t b) { k_.embed(p_, a, b); });
        for (int t = 0; t <= last_; t++) {
            crew_.barrier.wait();
            blocks([&](int block) {
                if (p_.stored) k_.filters(p_, t, block);
                k_.message_value(p_, t, block, crew_.scratch);
            });
            crew_.barrier.wait();
            rows([&](int64_t a, int64_t b) {
                k_.update_value(p_, t, a, b);
                if (t < last_) k_.context_value(p_, t + 1, a, b);
            });
        }
        rows([&](int64_t a, int64_t b) {
            if (mode_.energy) k_.energy_value(p_, a, b);
            heads([&](int h) { k_.head_value(p_, h, a, b); });
        });
    }

    void adjoints() const {  // P2
        rows([&](int64_t a, int64_t b) { k_.energy_adjoint(p_, a, b); });
        for (int t = last_; t >= 0; t--) {
            rows([&](int64_t a, int64_t b) {
                if (t < last_) k_.context_adjoint(p_, t + 1, a, b);
                k_.update_adjoint(p_, t, a, b);
            });
            crew_.barrier.wait();
            blocks([&](int block) { k_.message_adjoint(p_, t, block, crew_.scratch); });
            crew_.barrier.wait();
        }
    }

    void tangents() const {  // P3
        for (int t = 0; t <= last_; t++) {
            crew_.barrier.wait();
            blocks([&](int block) { k_.message_tangent(p_, t, block, crew_.scratch); });
            crew_.barrier.wait();
            rows([&](int64_t a, int64_t b) {
                k_.update_tangent(p_, t, a, b);
                if (t < last_) k_.context_tangent(p_, t + 1, a, b);
            });
        }
        rows([&](int64_t a, int64_t b) { k_.energy_tangent(p_, a, b); });
    }

    void hats() const {  // P4
        rows([&](int64_t a, int64_t b) {
            k_.energy_hat(p_, mode_.energy, a, b);
            heads([&](int h) { k_.head_hat(p_, h, a, b); });
        });
        for (int t = last_; t >= 0; t--) {
            rows([&](int64_t a, int64_t b) {
                if (t < last_) k_.context_hat(p_, t + 1, a, b);
                k_.update_hat(p_, t, a, b);
            });
            crew_.barrier.wait();
            blocks([&](int block) { k_.message_hat(p_, t, block, crew_.scratch); });
            crew_.barrier.wait();
        }
        rows([&](int64_t a, int64_t b) { k_.context_hat(p_, 0, a, b); });
    }

    template <class Work>
    void alone(Work work) const {  // by one thread while the others wait
        crew_.barrier.wait();
        if (crew_.rank == 0) work();
        crew_.barrier.wait();
    }

  private:
    template <class Work>
    void rows(Work work) const {
        const int64_t first = p_.atoms * crew_.rank / crew_.size, last = p_.atoms * (crew_.rank + 1) / crew_.size;
        if (first < last) work(first, last);
    }
    template <class Work>
    void blocks(Work work) const {
        const int B = p_.net->blocks;
        for (int b = B * crew_.rank / crew_.size; b < B * (crew_.rank + 1) / crew_.size; b++) work(b);
    }
    template <class Work>
    void heads(Work work) const {
        for (int h = 0; h < p_.net->n_heads; h++)
            if (mode_.heads[h]) work(h);
    }

    const Kernels<T>& k_;
    const Pass<T>& p_;
    const Mode& mode_;
    const Crew<T>& crew_;
    const int last_;
};

}  // namespace painn::training
