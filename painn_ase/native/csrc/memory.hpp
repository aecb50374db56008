// Aligned memory that only grows, and is never cleared.
#pragma once
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace painn {

template <class T>
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(size_t count) { grow(count); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
    ~Buffer() { std::free(data_); }

    // At least `count` elements; the old content is lost when the memory moves.
    T* grow(size_t count) {
        if (count <= count_ && data_) return data_;
        std::free(data_);
        data_ = nullptr;
        count_ = 0;
        // whole huge pages for large arrays: far fewer address translations while weights stream through
        const size_t page = count * sizeof(T) >= (size_t)1 << 21 ? (size_t)1 << 21 : 64;
        const size_t bytes = (count * sizeof(T) + page - 1) / page * page + (count == 0 ? page : 0);
        void* p = nullptr;
        if (posix_memalign(&p, page, bytes)) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (page > 64) madvise(p, bytes, MADV_HUGEPAGE);
#endif
        data_ = static_cast<T*>(p);
        count_ = count;
        return data_;
    }
    T* data() const { return data_; }
    size_t size() const { return count_; }
    T& operator[](size_t i) const { return data_[i]; }

  private:
    T* data_ = nullptr;
    size_t count_ = 0;
};

}  // namespace painn
