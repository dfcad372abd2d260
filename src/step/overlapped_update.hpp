#pragma once
/// An update whose outer products are summed over ranks and applied by a thread of their own.
#include <memory>

#include "step/update.hpp"

namespace relgrad {

/// Hands every outer product to a thread that passes them on to `update` in the order they came,
/// with as many threads for each as this one has (set_threads); finish() waits for the last.
/// `update` must use MPI and move parameters in outer_product(s) and finish() alone, and none that
/// the backward pass still reads. While it may, the caller must leave MPI alone: from the first
/// outer product to the end of finish(). What that thread throws comes out of finish().
///
/// Factors are copied, so that the caller may reuse them at once: as much memory as all factors of
/// a step take, about that of the workspace. A per-sample matrix that is no parameter (the inverse
/// of the plain gradient) is not: its call returns when it is applied.
/// @param tracks  whether `update` makes use of relative()
template <class T>
std::unique_ptr<Update<T>> make_overlapped_update(std::unique_ptr<Update<T>> update,
                                                  const ParameterStore<T>& store,
                                                  Exchange<T>& exchange, bool tracks);

}  // namespace relgrad
