#pragma once
/// Loops over the samples of a batch, threaded where that pays. What a sample gets does not depend
/// on the number of threads.
#include <omp.h>

#include "relgrad/core/types.hpp"

namespace relgrad {

/// Below this many numbers a batch is worked on by one thread.
inline constexpr Index threaded_batch_size = 16384;

/// work(i) for i in [0, count), on all threads if `threaded`. A team of one thread would be made
/// anew, in new memory, at every loop: one thread alone needs none.
template <class Work>
void for_each_index(Index count, bool threaded, const Work& work) {
  if (!threaded || omp_get_max_threads() == 1) {
    for (Index i = 0; i < count; ++i) work(i);
    return;
  }
#pragma omp parallel for schedule(static)
  for (Index i = 0; i < count; ++i) work(i);
}

/// work(n) for every sample n of a D x B batch.
template <class Work>
void for_each_sample(Index dimension, Index batch, const Work& work) {
  for_each_index(batch, dimension * batch >= threaded_batch_size, work);
}

}  // namespace relgrad
