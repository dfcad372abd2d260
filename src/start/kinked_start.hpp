#pragma once
/// A start of training that puts the bend of the first activation where the data have one.
#include "options/options.hpp"
#include "relgrad/mpi/communicator.hpp"
#include "start/model.hpp"

namespace relgrad {

/// Collective. From the identity start of `model`, whose first activation is a smooth leaky ReLU
/// s_a:
///   first linear layer   W = diag(w) W, b = -w c: unit i is steep on one side of x_i = c_i and
///   flat
///                        on the other, with w_i and c_i from a grid such that the dimension by
///                        itself is most likely, s_a(w_i (x_i - c_i)) being normal
///   every later one      rows of W and b scaled and shifted so that each output has mean 0 and
///                        variance 1 over the first training samples (as Salimans and Kingma 2016,
///                        arXiv 1602.07868, start their layers)
/// The same on every rank. @throws UsageError on every rank, if the activation is another.
template <class T>
void start_kinked(Model<T>& model, const TrainOptions& options, const SplitReader& train,
                  const mpi::Communicator& comm);

}  // namespace relgrad
