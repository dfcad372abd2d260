#pragma once
/// How well learned inverses undo their layers.
#include <cstdint>
#include <optional>

#include "options/options.hpp"
#include "relgrad/model/flow.hpp"

namespace relgrad {

struct Reconstruction {
  double error = 0;   // sum over layers of the running mean over steps of ||R W x - x||^2, a sample
  double weight = 0;  // geometric mean over layers of lambda
};

/// As the last steps left it; nothing where no inverses are learned.
template <class T>
std::optional<Reconstruction> reconstruction_of(const Flow<T>& flow, const TrainOptions& options,
                                                std::int64_t updates);

/// Root mean square of (R W x - x)_i over x ~ N(0, I), of the layer where it is largest: estimates
/// ||R W - I||_F / sqrt(D) from 32 draws, with an error of some 12 % at worst. Collective over a
/// row group. Cost: 128 D^2 a layer. Nothing if the flow keeps no inverses.
template <class T>
std::optional<double> inverse_error(const Flow<T>& flow);

}  // namespace relgrad
