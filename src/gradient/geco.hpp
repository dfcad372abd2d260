#pragma once
/// The weight lambda of a layer's reconstruction error as the multiplier of a constraint on it
/// (GECO: Rezende and Viola 2018, arXiv 1810.00597). Keller et al. 2021 use it without a tolerance:
/// then lambda can only grow. Here it falls while the error is below the tolerance.
#include <cstdint>
#include <span>

namespace relgrad {

/// The state of a layer, stored in its parameter "PREFIX/reconstruction":
///   state[0] = log(lambda / initial lambda)
///   state[1] = m_t = 0.9 m_{t-1} + 0.1 e_t, m_0 = 0
/// One step with the mean error e_t of a batch (squared norm per sample); then
///   log lambda += 0.001 min(e^_t / tolerance - 1, 1),  e^_t = m_t / (1 - 0.9^t)
/// so that in 1000 steps lambda grows or falls by a factor of at most e.
/// @param tolerance  0: lambda stays fixed
/// @param step       updates done before this one: t - 1
template <class T>
void update_reconstruction(std::span<T> state, double error, double tolerance, std::int64_t step);

/// e^_t after `steps` updates; 0 before the first.
template <class T>
double reconstruction_error(std::span<const T> state, std::int64_t steps);

}  // namespace relgrad
