// A few threads that wait in a loop for a short time and then sleep: a thread that sleeps is woken too late for small jobs,
// and one that keeps a core for long starves a busy machine.
#pragma once
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace painn {

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

template <class Condition>
bool spin(Condition done) {  // for some microseconds; whether it is done
    for (int k = 0; k < 2000; k++) {
        if (done()) return true;
        relax();
    }
    return false;
}

template <class Condition>
void wait_shortly(Condition done) {  // a few microseconds awake, then give the core away between looks
    if (spin(done)) return;
    while (!done()) std::this_thread::yield();
}

// The same for about `time` at the most.
template <class Condition>
void wait_shortly(Condition done, std::chrono::microseconds time) {
    if (spin(done)) return;
    const auto end = std::chrono::steady_clock::now() + time;
    while (!done() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

class Barrier {
  public:
    explicit Barrier(int threads) : threads_(threads) {}
    void wait() {
        if (threads_ == 1) return;
        const unsigned turn = turn_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
            arrived_.store(0, std::memory_order_relaxed);
            turn_.store(turn + 1, std::memory_order_release);
        } else {
            wait_shortly([&] { return turn_.load(std::memory_order_acquire) != turn; });
        }
    }

  private:
    const int threads_;
    std::atomic<int> arrived_{0};
    std::atomic<unsigned> turn_{0};
};

class Pool {
  public:
    ~Pool() {
        if (!state_ || process_ != getpid()) return;  // a forked child has no workers to stop
        {
            std::lock_guard<std::mutex> lock(state_->mutex);
            state_->stop = true;
            state_->turn.fetch_add(1, std::memory_order_release);
        }
        state_->wake.notify_all();
        for (auto& worker : state_->workers) worker.join();
        delete state_;
    }

    // job(0) ... job(threads - 1) at the same time; returns when all are done.
    void run(int threads, const std::function<void(int)>& job) {
        if (threads <= 1) return job(0);
        if (!state_ || process_ != getpid()) {  // after a fork the old workers exist only in the parent
            state_ = new State;
            process_ = getpid();
        }
        while ((int)state_->workers.size() < threads - 1) {
            const int rank = (int)state_->workers.size() + 1;
            const unsigned seen = state_->turn.load(std::memory_order_relaxed);
            state_->workers.emplace_back([state = state_, rank, seen] { work(*state, rank, seen); });
        }
        {
            std::lock_guard<std::mutex> lock(state_->mutex);
            state_->job = &job;
            state_->threads = threads;
            state_->pending.store((int)state_->workers.size(), std::memory_order_relaxed);
            state_->turn.fetch_add(1, std::memory_order_release);
        }
        state_->wake.notify_all();
        job(0);
        wait_shortly([&] { return state_->pending.load(std::memory_order_acquire) == 0; });
    }

  private:
    struct State {
        std::vector<std::thread> workers;
        std::mutex mutex;
        std::condition_variable wake;
        std::atomic<unsigned> turn{0};
        std::atomic<int> pending{0};
        const std::function<void(int)>* job = nullptr;
        int threads = 0;
        bool stop = false;
    };

    static void work(State& state, int rank, unsigned seen) {
        for (;;) {
            // longer than Python takes from one small call to the next
            wait_shortly([&] { return state.turn.load(std::memory_order_acquire) != seen; }, std::chrono::microseconds(200));
            {
                std::unique_lock<std::mutex> lock(state.mutex);
                state.wake.wait(lock, [&] { return state.turn.load(std::memory_order_relaxed) != seen; });
                seen = state.turn.load(std::memory_order_relaxed);
                if (state.stop) return;
            }
            if (rank < state.threads) (*state.job)(rank);
            state.pending.fetch_sub(1, std::memory_order_release);
        }
    }

    State* state_ = nullptr;
    pid_t process_ = 0;
};

}  // namespace painn
