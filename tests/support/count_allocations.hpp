#pragma once
/// Counts what a program asks the C library for, operator new included, but for what OpenBLAS and
/// MPI ask for themselves: some kernels of OpenBLAS (small products on AVX-512) take scratch memory
/// at every call.
/// To be included by one source of a test program: it defines malloc and its kin for the whole of
/// it.
#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>

// Under the address sanitizer, which has its own malloc, nothing is counted.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define RELGRAD_COUNTS_ALLOCATIONS 1
#else
#define RELGRAD_COUNTS_ALLOCATIONS 0
#endif

namespace relgrad::test {

inline std::atomic<bool> allocations_are_counted{false};
inline std::atomic<long> allocations{0};
inline std::atomic<std::size_t> largest_allocation{0};  // bytes, of those that were counted

/// @param caller  where malloc, or one of its kin, returns to
inline void note_allocation(const void* caller, std::size_t bytes) {
  if (!allocations_are_counted.load(std::memory_order_relaxed)) return;
  Dl_info library{};
  if (::dladdr(caller, &library) != 0) {
    for (const char* name : {"openblas", "libmpi", "openmpi", "open-pal", "open-rte", "pmix"}) {
      if (std::strstr(library.dli_fname, name) != nullptr) return;
    }
  }
  allocations += 1;
  std::size_t largest = largest_allocation;
  while (bytes > largest && !largest_allocation.compare_exchange_weak(largest, bytes)) {
  }
}

/// How often memory was asked for while work() ran, on any thread.
template <class Work>
long allocations_in(const Work& work) {
  allocations = 0;
  largest_allocation = 0;
  allocations_are_counted = true;
  work();
  allocations_are_counted = false;
  return allocations;
}

}  // namespace relgrad::test

#if RELGRAD_COUNTS_ALLOCATIONS
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* pointer, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) {
  relgrad::test::note_allocation(__builtin_return_address(0), size);
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  relgrad::test::note_allocation(__builtin_return_address(0), count * size);
  return __libc_calloc(count, size);
}
void* realloc(void* pointer, std::size_t size) {
  relgrad::test::note_allocation(__builtin_return_address(0), size);
  return __libc_realloc(pointer, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  relgrad::test::note_allocation(__builtin_return_address(0), size);
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  relgrad::test::note_allocation(__builtin_return_address(0), size);
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** pointer, std::size_t alignment, std::size_t size) {
  relgrad::test::note_allocation(__builtin_return_address(0), size);
  *pointer = __libc_memalign(alignment, size);
  return *pointer == nullptr ? 12 : 0;  // ENOMEM
}
}
#endif
