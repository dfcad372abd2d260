#include "relgrad/model/latent.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "core/columns.hpp"
#include "core/names.hpp"
#include "model/kernels/elementwise_kernels.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

constexpr Names<Latent, 4> names = {{{Latent::normal, "normal"},
                                     {Latent::logistic, "logistic"},
                                     {Latent::hyperbolic_secant, "hyperbolic-secant"},
                                     {Latent::laplace, "laplace"}}};

}  // namespace

Latent parse_latent(std::string_view name) {
  if (const auto latent = value_for(names, name)) return *latent;
  throw UsageError(fmt::format(
      "latent density '{}' is unknown. Choose normal, logistic, hyperbolic-secant or laplace.",
      name));
}

std::string_view name_of(Latent latent) { return word_for(names, latent); }

namespace {

template <class T>
double log_density_of_column(Latent latent, const T* z, Index dimension) {
  switch (latent) {
    case Latent::normal:
      return kernels::normal_log_density(z, dimension);
    case Latent::logistic:
      return kernels::logistic_log_density(z, dimension);
    case Latent::hyperbolic_secant:
      return kernels::hyperbolic_secant_log_density(z, dimension);
    case Latent::laplace:
      return kernels::laplace_log_density(z, dimension);
  }
  return 0.0;
}

template <class T>
void score_of_column(Latent latent, const T* z, T* delta, Index dimension) {
  switch (latent) {
    case Latent::normal:
      return kernels::normal_score(z, delta, dimension);
    case Latent::logistic:
      return kernels::logistic_score(z, delta, dimension);
    case Latent::hyperbolic_secant:
      return kernels::hyperbolic_secant_score(z, delta, dimension);
    case Latent::laplace:
      return kernels::laplace_score(z, delta, dimension);
  }
}

/// Quantile at u in (0, 1/2]; the densities are even, so the other half is its mirror image.
double lower_quantile(Latent latent, double u) {
  switch (latent) {
    case Latent::logistic:  // F(z) = 1 / (1 + e^{-z})
      return std::log(u) - std::log1p(-u);
    case Latent::hyperbolic_secant:  // F(z) = (2 / pi) atan(e^{pi z / 2})
      return 2.0 / std::numbers::pi * std::log(std::tan(std::numbers::pi / 2.0 * u));
    case Latent::laplace:  // F(z) = e^z / 2 for z <= 0
      return std::log(2.0 * u);
    case Latent::normal:
      break;
  }
  throw Error(ExitCode::internal, "lower_quantile: the normal is drawn by RandomStream::normal");
}

}  // namespace

template <class T>
void add_latent_log_density(Latent latent, const ConstMatrixMap<T>& z,
                            std::span<double> log_density) {
  check_size("add_latent_log_density", "log_density", static_cast<std::int64_t>(log_density.size()),
             z.cols());
  for_each_sample(z.rows(), z.cols(), [&](Index n) {
    log_density[static_cast<std::size_t>(n)] +=
        log_density_of_column(latent, z.data() + n * z.rows(), z.rows());
  });
}

template <class T>
void latent_score(Latent latent, const ConstMatrixMap<T>& z, MatrixMap<T> delta) {
  check_size("latent_score", "rows of delta", delta.rows(), z.rows());
  check_size("latent_score", "columns of delta", delta.cols(), z.cols());
  for_each_sample(z.rows(), z.cols(), [&](Index n) {
    score_of_column(latent, z.data() + n * z.rows(), delta.data() + n * z.rows(), z.rows());
  });
}

template <class T>
void sample_latent(Latent latent, const RandomStream& stream, double temperature, std::span<T> z) {
  std::vector<double> draws(z.size());
  if (latent == Latent::normal) {
    stream.normal(draws);
  } else {
    stream.uniform(draws);
    for (double& draw : draws) {
      draw = draw <= 0.5 ? lower_quantile(latent, draw) : -lower_quantile(latent, 1.0 - draw);
    }
  }
  for (std::size_t i = 0; i < z.size(); ++i) z[i] = static_cast<T>(temperature * draws[i]);
}

template void add_latent_log_density(Latent, const ConstMatrixMap<float>&, std::span<double>);
template void add_latent_log_density(Latent, const ConstMatrixMap<double>&, std::span<double>);
template void latent_score(Latent, const ConstMatrixMap<float>&, MatrixMap<float>);
template void latent_score(Latent, const ConstMatrixMap<double>&, MatrixMap<double>);
template void sample_latent(Latent, const RandomStream&, double, std::span<float>);
template void sample_latent(Latent, const RandomStream&, double, std::span<double>);

}  // namespace relgrad
