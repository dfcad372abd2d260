#pragma once
/// Loops over the samples of a batch, threaded where that pays. What a sample gets does not depend
/// on the number of threads.
#include "relgrad/core/types.hpp"

namespace relgrad {

/// Below this many numbers a batch is worked on by one thread.
inline constexpr Index threaded_batch_size = 16384;

/// work(n) for every sample n of a D x B batch.
template <class Work>
void for_each_sample(Index dimension, Index batch, const Work& work) {
#pragma omp parallel for schedule(static) if (dimension * batch >= threaded_batch_size)
  for (Index n = 0; n < batch; ++n) work(n);
}

}  // namespace relgrad
