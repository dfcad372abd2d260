#include "relgrad/core/huge_page_buffer.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <new>

namespace relgrad {

namespace {

constexpr std::size_t line = 64;

/// Where the next large buffer begins in its huge page. Loops read the same element of several
/// arrays: weights, gradient, moments. Their lines must not fall on the same place of the
/// first-level cache: an AMD core then takes those whose addresses agree in bits 12 to 27 (by a
/// hash; arrays 256 MiB apart, say) for one another and reads each of them from the second level
/// (Lipp et al. 2020, Take A Way, section 3), and a step takes twice as long.
std::size_t next_offset() {
  static std::atomic<std::size_t> buffers = 0;
  constexpr std::size_t places = 13;
  constexpr std::size_t apart = 5 * (4096 + line);
  return buffers++ % places * apart;
}

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
  const bool is_large = bytes >= worth_it;
  const std::size_t alignment = is_large ? huge_page : line;
  const std::size_t offset = is_large ? next_offset() : 0;
  std::size_t space = bytes + offset + alignment;
  memory_.reset(std::calloc(space, 1));
  if (memory_ == nullptr) throw std::bad_alloc();
  void* start = memory_.get();
  auto* const page = static_cast<char*>(std::align(alignment, bytes + offset, start, space));
  if (is_large) ask_for_huge_pages(page, bytes + offset);
  aligned_ = reinterpret_cast<T*>(page + offset);
}

template class HugePageBuffer<float>;
template class HugePageBuffer<double>;

}  // namespace relgrad
