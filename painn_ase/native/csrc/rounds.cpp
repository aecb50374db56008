#include "rounds.hpp"

namespace painn {

namespace {

constexpr int64_t TILE = 256;  // rows of pairs that stay in cache while all channel blocks pass over them

}  // namespace

void Rounds::begin(const Task& task) const {
    const Pass& p = task.pass;
    const int64_t n = p.rows.atoms, entries = p.entries;
    const auto row_of = [&](int64_t share) {  // equal shares of pairs, not of atoms
        return std::lower_bound(p.rows.start, p.rows.start + n, entries * share / task.threads) - p.rows.start;
    };
    kernels_.geometry(p, task.rank ? row_of(task.rank) : 0, task.rank + 1 < task.threads ? row_of(task.rank + 1) : n);
    chunks(p.rows.all(), task.rank, task.threads, [&](int64_t first, int64_t last) { kernels_.embed(p, first, last); });
}

void Rounds::forward(const Task& task, int t) const {
    const Pass& p = task.pass;
    task.barrier.wait();
    messages(task, t, false);
    task.barrier.wait();
    chunks(p.rows.atoms, task.rank, task.threads, [&](int64_t first, int64_t last) {
        kernels_.update_forward(p, t, first, last, task.scratch);
        if (t + 1 < p.net->T) kernels_.context_forward(p, t + 1, first, last, task.scratch);
    });
}

void Rounds::energies(const Task& task, const Head& head, bool gradient) const {
    chunks(task.pass.rows.atoms, task.rank, task.threads,
           [&](int64_t first, int64_t last) { kernels_.energy(task.pass, head, gradient, first, last, task.scratch); });
}

void Rounds::backward(const Task& task, int t) const {
    const Pass& p = task.pass;
    chunks(p.rows.atoms, task.rank, task.threads, [&](int64_t first, int64_t last) {
        if (t + 1 < p.net->T) kernels_.context_backward(p, t + 1, first, last, task.scratch);
        kernels_.update_backward(p, t, first, last, task.scratch);
    });
    task.barrier.wait();
    messages(task, t, true);
    task.barrier.wait();
}

// Channels never meet in a message: each thread takes some blocks of them over all pairs.
void Rounds::messages(const Task& task, int t, bool reverse) const {
    const Pass& p = task.pass;
    const int B = t == 0 && p.first ? p.first->blocks : p.net->blocks;
    const auto message = reverse ? kernels_.message_backward : kernels_.message_forward;
    for (int64_t first = 0; first < p.rows.atoms; first += TILE)
        for (int b = B * task.rank / task.threads; b < B * (task.rank + 1) / task.threads; b++)
            message(p, t, b, first, std::min(first + TILE, p.rows.atoms));
}

}  // namespace painn
