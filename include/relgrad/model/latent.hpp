#pragma once
/// Latent densities p_Z: D independent coordinates of a standard normal, logistic, hyperbolic
/// secant or Laplace distribution, each normalised to integrate to one.
#include <span>
#include <string_view>

#include "relgrad/core/random.hpp"
#include "relgrad/core/types.hpp"

namespace relgrad {

enum class Latent { normal, logistic, hyperbolic_secant, laplace };

/// "normal", "logistic", "hyperbolic-secant", "laplace". @throws UsageError naming the choices.
Latent parse_latent(std::string_view name);
std::string_view name_of(Latent latent);

///   normal             log p(z) = -z^2/2 - log(2 pi)/2
///   logistic           log p(z) = -z - 2 log(1 + e^{-z})
///   hyperbolic secant  log p(z) = log sech(pi z / 2) - log 2
///   laplace            log p(z) = -|z| - log 2
/// log_density[n] += sum_i log p(z_in) (nats). z is D x B.
template <class T>
void add_latent_log_density(Latent latent, const ConstMatrixMap<T>& z,
                            std::span<double> log_density);
/// delta = d log p(z) / d z, D x B; may be the same memory as z.
template <class T>
void latent_score(Latent latent, const ConstMatrixMap<T>& z, MatrixMap<T> delta);
/// z[i] = quantile of the latent at a uniform draw, times `temperature`.
template <class T>
void sample_latent(Latent latent, const RandomStream& stream, double temperature, std::span<T> z);

}  // namespace relgrad
