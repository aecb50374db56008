// Clipping, AdamW and the moving average of weights in one sweep over memory.
#pragma once
#include "rows.hpp"

namespace painn::training {
namespace {

// Σ x², in parts of 1024 numbers that are summed in float64.
template <class T>
double square_of(const T* x, int64_t count) {
    constexpr int SIZE = Wide<T>::SIZE;
    double sum = 0;
    int64_t k = 0;
    for (; k + 1024 <= count; k += 1024) {
        wide<T> a = {}, b = {};
        for (int n = 0; n < 1024; n += 2 * SIZE) {
            const wide<T> u = get(x + k + n), v = get(x + k + n + SIZE);
            a += u * u, b += v * v;
        }
        sum += (double)total<T>(a + b);
    }
    for (; k < count; k++) sum += (double)x[k] * (double)x[k];
    return sum;
}

// Parameters first ... last, whole blocks. `clip` shortens the gradient; `decays` says whether they decay.
template <class T>
void optimize_range(const Moments<T>& m, const Optimizer& o, bool decays, T clip, int64_t first, int64_t last) {
    const T new_1 = (T)(1 - o.beta_1), old_2 = (T)o.beta_2, new_2 = (T)(1 - o.beta_2);
    const T rate = (T)(o.learning_rate / o.correction_1), narrow = (T)(1 / __builtin_sqrt(o.correction_2));
    const T keep = decays ? (T)(1 - o.learning_rate * o.decay) : (T)1, follow = (T)o.follow, epsilon = (T)o.epsilon;
    for (int64_t k = first; k < last; k += Wide<T>::SIZE) {
        const wide<T> g = get(m.gradient + k) * clip, a = get(m.first + k), b = get(m.second + k);
        const wide<T> mean = a + (g - a) * new_1, square = b * old_2 + g * g * new_2;
        const wide<T> weight = get(m.weights + k) * keep - rate * mean / (square_root(square) * narrow + epsilon);
        const wide<T> average = get(m.average + k);
        put<T>(m.first + k, mean);
        put<T>(m.second + k, square);
        put<T>(m.weights + k, weight);
        put<T>(m.average + k, average + (weight - average) * follow);
    }
}

}  // namespace
}  // namespace painn::training
