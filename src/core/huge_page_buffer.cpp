#include "relgrad/core/huge_page_buffer.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace relgrad {

namespace {

constexpr std::size_t line = 64;

/// Only advice: where the kernel does not take it, nothing changes.
void ask_for_huge_pages(void* memory, std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::uintptr_t page = 4096;
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const auto first = (begin + page - 1) / page * page;
  madvise(reinterpret_cast<void*>(first), begin + bytes - first, MADV_HUGEPAGE);
#else
  static_cast<void>(memory);
  static_cast<void>(bytes);
#endif
}

}  // namespace

template <class T>
HugePageBuffer<T>::HugePageBuffer(std::size_t size) {
  constexpr std::size_t huge_page = std::size_t{2} << 20U;
  constexpr std::size_t worth_it = std::size_t{1} << 20U;
  const std::size_t bytes = size * sizeof(T);
  const std::size_t alignment = bytes < worth_it ? line : huge_page;
  std::size_t space = bytes + alignment;
  memory_.reset(std::calloc(space, 1));
  if (memory_ == nullptr) throw std::bad_alloc();
  void* start = memory_.get();
  aligned_ = static_cast<T*>(std::align(alignment, bytes, start, space));
  if (alignment == huge_page) ask_for_huge_pages(aligned_, bytes);
}

template class HugePageBuffer<float>;
template class HugePageBuffer<double>;

}  // namespace relgrad
