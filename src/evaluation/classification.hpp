#pragma once
/// The classes that a conditional model gives to samples, compared with their labels.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "relgrad/core/label.hpp"
#include "relgrad/core/types.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// Counts over samples whose label is a class of the model and whose log-likelihood is finite.
class Classification {
 public:
  explicit Classification(Index classes = 0) : confusion_(Matrix<double>::Zero(classes, classes)) {}
  void add(Label label, Label predicted) { confusion_(label, predicted) += 1; }
  /// Collective: afterwards the counts are those of all ranks.
  void sum(const mpi::Communicator& comm);

  Index classes() const { return confusion_.rows(); }
  std::int64_t samples() const { return static_cast<std::int64_t>(confusion_.sum()); }
  std::int64_t correct() const { return static_cast<std::int64_t>(confusion_.trace()); }
  double accuracy() const;
  /// sqrt(a (1 - a) / n), a the accuracy: of a binomial share.
  double standard_error() const;
  /// (k, l): samples of class k that are taken for class l.
  const Matrix<double>& confusion() const { return confusion_; }

 private:
  Matrix<double> confusion_;  // counts, exact up to 2^53
};

/// Bayes' rule: the class k with the largest log prior_k + log p(x | k).
/// @param log_prior, log_likelihood  one number per class, nats
Label most_probable_class(std::span<const double> log_prior,
                          std::span<const double> log_likelihood);

/// Keys "classified", "correct", "accuracy", "standard_error_accuracy" and "confusion".
nlohmann::json to_json(const Classification& classification);
/// Accuracy with its error and, of 20 classes or fewer, the confusion table; for people.
std::string describe(const Classification& classification);

}  // namespace relgrad
