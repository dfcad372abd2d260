#pragma once
/// What --deterministic pins. Its promise: weights, moments and metrics have the same bits for
/// every number of ranks and threads, and for a run that was stopped anywhere and resumed on
/// another number of them, on CPUs that offer the same vector instructions, by the same build with
/// the same libraries.
///   order    samples, noise: named by epoch and sample, in every run
///   products every element one chain in the order of k (ordered back end)
///   weights  gradients summed over samples in the order of the global batch (factor, gathered)
///   small    sums of exact terms (core/exact_sum.hpp)
///   scalars  log-likelihoods summed exactly or block by block, in every run
#include <string>

#include "options/options.hpp"
#include "relgrad/linalg/products.hpp"

namespace relgrad {

/// @throws UsageError if --products names a back end that --deterministic cannot use.
ProductBackend product_backend_of(const TrainOptions& options);

/// The scheme for make_exchange. @throws UsageError if --exchange names one that --deterministic
/// cannot use.
std::string exchange_of(const TrainOptions& options, Index dimension, int world_size);

/// For make_update: the samples of a global batch in a deterministic run, else 0.
std::int64_t exact_terms_of(const TrainOptions& options);

}  // namespace relgrad
