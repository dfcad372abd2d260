#pragma once
/// Latent vectors to draw samples from: the same numbers for every command that draws.
#include <cstdint>
#include <vector>

#include "relgrad/model/flow.hpp"

namespace relgrad {

/// Columns of z (|own()| x |draws|) = these draws of `seed`, times `temperature`. Of a conditional
/// flow, each is then taken to its class.
/// @param labels  one per draw; none: the draws are left where they are
template <class T>
void draw_latents(const Flow<T>& flow, std::uint64_t seed, Range draws, double temperature,
                  const std::vector<Label>& labels, MatrixMap<T> z);

/// Of a conditional flow, the classes of these draws of `seed`, as probable as its prior says.
template <class T>
std::vector<Label> draw_labels(const Flow<T>& flow, std::uint64_t seed, Range draws);

}  // namespace relgrad
