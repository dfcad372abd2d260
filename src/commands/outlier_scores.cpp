#include "commands/outlier_scores.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "relgrad/mpi/agreement.hpp"
#include "start/whitening.hpp"

namespace relgrad {

namespace {

using std::numbers::ln2;
using std::numbers::pi;

/// Of one coordinate: entropy h, and the variance v of the log-density, both in closed form.
struct Coordinate {
  double entropy;
  double variance;
};

Coordinate coordinate_of(Latent latent) {
  switch (latent) {
    case Latent::logistic:
      return {2.0, 4.0 - pi * pi / 3.0};
    case Latent::hyperbolic_secant:
      return {2.0 * ln2, pi * pi / 12.0};
    case Latent::laplace:
      return {1.0 + ln2, 1.0};
    case Latent::normal:
      break;
  }
  return {0.5 * std::log(2.0 * pi * std::numbers::e), 0.5};
}

/// F(z), the probability of a smaller coordinate. The densities are even: 1 - F(z) = F(-z).
double distribution(Latent latent, double z) {
  switch (latent) {
    case Latent::logistic:
      return 1.0 / (1.0 + std::exp(-z));
    case Latent::hyperbolic_secant:
      return 2.0 / pi * std::atan(std::exp(pi * z / 2.0));
    case Latent::laplace:
      return z < 0 ? 0.5 * std::exp(z) : 1.0 - 0.5 * std::exp(-z);
    case Latent::normal:
      break;
  }
  return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

double log_distribution(Latent latent, double z) {
  constexpr double smallest = 1e-300;  // coordinates so far out are counted as if nearer
  return std::log(std::max(distribution(latent, z), smallest));
}

}  // namespace

LatentTests test_latent(Latent latent, std::span<const double> z) {
  const auto d = static_cast<double>(z.size());
  double log_density = 0.0;
  add_latent_log_density(latent, ConstMatrixMap<double>(z.data(), static_cast<Index>(z.size()), 1),
                         {&log_density, 1});
  const Coordinate coordinate = coordinate_of(latent);
  LatentTests tests;
  tests.log_density = (log_density + d * coordinate.entropy) / std::sqrt(d * coordinate.variance);

  std::vector<double> sorted(z.begin(), z.end());
  std::ranges::sort(sorted);
  double sum = 0.0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    sum += (2.0 * static_cast<double>(i) + 1.0) *
           (log_distribution(latent, sorted[i]) +
            log_distribution(latent, -sorted[sorted.size() - 1 - i]));
  }
  tests.anderson_darling = -d - sum / d;
  return tests;
}

template <class T>
OutlierStatistics outlier_statistics(const Model<T>& model, const SplitReader& split,
                                     const EvaluationRequest& request,
                                     const mpi::Communicator& comm, Evaluation& result) {
  const std::vector<double> zeros(split.rows(), 0.0);
  OutlierStatistics all{zeros, zeros, zeros};
  std::vector<Label> predicted;  // of the last batch; a model without classes predicts none
  const auto take = [&](std::uint64_t begin, const Scores& scores) {
    std::ranges::copy(scores.nats, all.log_likelihood.begin() + static_cast<std::ptrdiff_t>(begin));
    predicted.assign(scores.predicted.begin(), scores.predicted.end());
  };
  const Latent latent = model.flow->latent();
  std::vector<T> own(static_cast<std::size_t>(model.flow->dimension()));
  std::vector<double> z(own.size());
  const auto test = [&](const std::vector<Range>& rows, const ConstMatrixMap<T>& latents) {
    const Range mine = rows[static_cast<std::size_t>(comm.rank())];
    for (Index n = 0; n < latents.cols(); ++n) {
      std::ranges::copy(std::span(latents.col(n).data(), own.size()), own.begin());
      if (!predicted.empty()) {
        model.flow->move_from_class(predicted[static_cast<std::size_t>(n)], own);
      }
      std::ranges::copy(own, z.begin());
      const LatentTests tests = test_latent(latent, z);
      const auto row = static_cast<std::size_t>(mine.begin + n);
      all.latent_log_density[row] = tests.log_density;
      all.latent_anderson_darling[row] = tests.anderson_darling;
    }
  };
  result = evaluate_split<T>(model, split, request, comm, take, test);
  for (auto* values :
       {&all.log_likelihood, &all.latent_log_density, &all.latent_anderson_darling}) {
    comm.allreduce_sum(std::span(*values));  // exact: one rank has a row's value, the others 0
  }
  return all;
}

template <class T>
Model<T> closed_form_baseline(const DatasetInfo& data, const std::string& directory,
                              const Products& products, const mpi::Communicator& comm) {
  constexpr Index largest_covariance = 4096;
  TrainOptions options;
  options.model =
      data.is_image() && data.dimension > largest_covariance ? "spectral:frequencies" : "linear";
  options.marginal = false;
  options.transform = "standardize";
  options.init = "whitening";
  options.precision = sizeof(T) == sizeof(float) ? "float32" : "float64";
  std::optional<SplitReader> train;
  mpi::together(comm, [&] { train.emplace(directory, data, "train"); });
  Model<T> model = build_model<T>(options, data, *train, products, comm);
  whiten_first_layer(*model.flow, *model.transform, *train, options.seed, false, comm);
  model.flow->prepare();
  return model;
}

#define RELGRAD_INSTANTIATE_OUTLIERS(T)                                                           \
  template OutlierStatistics outlier_statistics(const Model<T>&, const SplitReader&,              \
                                                const EvaluationRequest&,                         \
                                                const mpi::Communicator&, Evaluation&);           \
  template Model<T> closed_form_baseline(const DatasetInfo&, const std::string&, const Products&, \
                                         const mpi::Communicator&);
RELGRAD_INSTANTIATE_OUTLIERS(float)
RELGRAD_INSTANTIATE_OUTLIERS(double)
#undef RELGRAD_INSTANTIATE_OUTLIERS

}  // namespace relgrad
