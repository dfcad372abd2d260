#include "evaluation/classification.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace relgrad {

void Classification::sum(const mpi::Communicator& comm) {
  comm.allreduce_sum(std::span(confusion_.data(), static_cast<std::size_t>(confusion_.size())));
}

double Classification::accuracy() const {
  return static_cast<double>(correct()) / static_cast<double>(samples());
}

double Classification::standard_error() const {
  return std::sqrt(accuracy() * (1 - accuracy()) / static_cast<double>(samples()));
}

Label most_probable_class(std::span<const double> log_prior,
                          std::span<const double> log_likelihood) {
  std::size_t best = 0;
  for (std::size_t k = 1; k < log_prior.size(); ++k) {
    if (log_prior[k] + log_likelihood[k] > log_prior[best] + log_likelihood[best]) best = k;
  }
  return static_cast<Label>(best);
}

nlohmann::json to_json(const Classification& classification) {
  nlohmann::json rows = nlohmann::json::array();
  for (Index k = 0; k < classification.classes(); ++k) {
    nlohmann::json row = nlohmann::json::array();
    for (Index l = 0; l < classification.classes(); ++l) {
      row.push_back(static_cast<std::int64_t>(classification.confusion()(k, l)));
    }
    rows.push_back(row);
  }
  return {{"classified", classification.samples()},
          {"correct", classification.correct()},
          {"accuracy", classification.accuracy()},
          {"standard_error_accuracy", classification.standard_error()},
          {"confusion", rows}};
}

std::string describe(const Classification& classification) {
  std::string text = fmt::format(
      "  accuracy (Bayes' rule)  {:.2f} % +- {:.2f} % (standard error): {} of {} samples\n",
      100 * classification.accuracy(), 100 * classification.standard_error(),
      classification.correct(), classification.samples());
  constexpr Index most = 20;
  if (classification.classes() > most) return text;
  const auto largest = static_cast<std::int64_t>(classification.confusion().maxCoeff());
  const std::size_t width = 1 + std::max(fmt::format("{}", largest).size(), std::size_t{2});
  text +=
      fmt::format("  confusion: a row per class, a column per class given\n  {:>{}} ", "", width);
  for (Index l = 0; l < classification.classes(); ++l) text += fmt::format("{:>{}}", l, width);
  for (Index k = 0; k < classification.classes(); ++k) {
    text += fmt::format("\n  {:>{}}:", k, width);
    for (Index l = 0; l < classification.classes(); ++l) {
      text +=
          fmt::format("{:>{}}", static_cast<std::int64_t>(classification.confusion()(k, l)), width);
    }
  }
  return text + "\n";
}

}  // namespace relgrad
