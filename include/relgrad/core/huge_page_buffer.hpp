#pragma once
/// Memory for numbers that are accessed in long strides.
#include <cstddef>
#include <cstdlib>
#include <memory>

namespace relgrad {

/// Zeroed memory, aligned to a cache line; in huge pages if it is large and the kernel has them. A
/// column of W may span several pages of 4 KiB, and products that walk along rows would miss the
/// TLB at every number. Large buffers begin at different places of their first page. Pages that are
/// never touched (moments of columns that another rank updates) take no memory.
template <class T>
class HugePageBuffer {
 public:
  HugePageBuffer() = default;
  explicit HugePageBuffer(std::size_t size);  // @throws std::bad_alloc
  T* get() const { return aligned_; }

 private:
  struct Free {
    void operator()(void* pointer) const { std::free(pointer); }
  };
  std::unique_ptr<void, Free> memory_;
  T* aligned_ = nullptr;
};

}  // namespace relgrad
