#pragma once
/// Scores by which a sample is an outlier of the data that a model was trained on (MATH section 7).
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "evaluation/evaluation.hpp"
#include "relgrad/data/dataset.hpp"
#include "relgrad/model/latent.hpp"
#include "start/model.hpp"

namespace relgrad {

/// Two statistics of one latent vector z of D coordinates, whose density p_Z is the same for each.
struct LatentTests {
  /// (log p_Z(z) + D h) / sqrt(D v), with h the entropy of a coordinate and v the variance of its
  /// log-density: about N(0, 1) if z ~ p_Z. Normal: (D - |z|^2) / sqrt(2 D), the chi-square test.
  double log_density = 0;
  /// A^2 = -D - 1/D sum_i (2 i - 1) (log u_(i) + log(1 - u_(D+1-i))), u_(i) the sorted values of
  /// the distribution function at the coordinates (Anderson and Darling 1952): above 2.49 in 5 %
  /// and above 3.86 in 1 % of all z ~ p_Z.
  double anderson_darling = 0;
};

LatentTests test_latent(Latent latent, std::span<const double> z);

/// Of every row of a split, on every rank. Latent vectors of a model with classes are tested as
/// (z - mean) / scale of the class that is most probable.
struct OutlierStatistics {
  std::vector<double> log_likelihood;  // nats
  std::vector<double> latent_log_density;
  std::vector<double> latent_anderson_darling;
};

/// Collective.
/// @param result  what evaluate_split returns
template <class T>
OutlierStatistics outlier_statistics(const Model<T>& model, const SplitReader& split,
                                     const EvaluationRequest& request,
                                     const mpi::Communicator& comm, Evaluation& result);

/// Collective. A density in closed form, fitted to the training split of `data`: a Gaussian with
/// full covariance, of images beyond 4096 dimensions one that is independent between the
/// frequencies of the cosine transform. 8-bit data with their noise as numbers from 0 to 256.
template <class T>
Model<T> closed_form_baseline(const DatasetInfo& data, const std::string& directory,
                              const Products& products, const mpi::Communicator& comm);

}  // namespace relgrad
