#pragma once
/// Exact evaluation: every sample once, on any number of ranks, sums and counts in double.
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/classification.hpp"
#include "relgrad/mpi/communicator.hpp"
#include "start/model.hpp"

namespace relgrad {

struct Evaluation {
  std::string split;
  std::int64_t samples = 0;                         // finite ones: the mean is over these
  std::int64_t nonfinite = 0;                       // samples whose log-likelihood is not finite
  std::int64_t draws = 1;                           // dequantization draws, averaged per sample
  double log_likelihood_pixel_nats = 0;             // mean over samples, data units
  std::optional<double> log_likelihood_logit_nats;  // 8-bit data only
  std::optional<double> standard_error_nats;        // of the mean, over samples; none of one
  double bits_per_dim = 0;
  std::optional<double> standard_error_bits_per_dim;
  double log_abs_det_nats = 0;          // sum_k log|det W_k|
  std::optional<double> inverse_error;  // of learned inverses (evaluation/reconstruction.hpp)
  std::optional<Classification>
      classification;  // of a conditional model, where samples have labels
  double seconds = 0;
};

struct EvaluationRequest {
  std::string split;
  std::int64_t draws = 1;
  std::int64_t batch_size = 500;  // samples of a rank at once
  std::int64_t samples = 0;       // rows drawn from the whole split; 0: all
  std::uint64_t seed = 1;
  std::vector<Label> labels =
      {};  // of all rows of the split, for Evaluation::classification; or none
};

/// Log-likelihoods of some samples in nats, data units, averaged over draws.
struct Scores {
  std::span<const double> nats;       // log p(x); of a conditional model the sum over classes
  ConstMatrixMap<double> class_nats;  // log p(x | k), K x n; K = 0: the model is not conditional
  std::span<const Label> predicted;   // by Bayes' rule; n, or none
};

/// Called per rank with the scores of rows [begin, begin + size); null when only the sums are
/// wanted.
using ScoreSink = std::function<void(std::uint64_t begin, const Scores& scores)>;

/// Called on every rank after every batch, collectively. @param rows  that each rank has scored in
/// it; may be empty. @param latent  z = f(x) of this rank's rows, of the first draw; D x |rows|
template <class T>
using LatentSink =
    std::function<void(const std::vector<Range>& rows, const ConstMatrixMap<T>& latent)>;

/// Collective. sum_k log|det W_k| in nats, the LU work spread over the ranks.
template <class T>
double shared_log_abs_det(const Flow<T>& flow, const mpi::Communicator& comm);

/// Collective. log p(v) = log p_net(x) + log-slope of the transform, x = transform(v + noise); the
/// noise is a function of (seed, draw, sample), the same for every number of ranks. A conditional
/// model: p_net(x) = sum_k prior_k p_net(x | k).
template <class T>
Evaluation evaluate_split(const Model<T>& model, const SplitReader& split,
                          const EvaluationRequest& request, const mpi::Communicator& comm,
                          const ScoreSink& scores = nullptr,
                          const LatentSink<T>& latents = nullptr);

/// Collective. The latent vectors of a split, of which no likelihood is computed.
template <class T>
void encode_split(const Model<T>& model, const SplitReader& split, const EvaluationRequest& request,
                  const mpi::Communicator& comm, const LatentSink<T>& latents);

/// The figures as the contract of `relgrad evaluate --json` has them.
nlohmann::json to_json(const Evaluation& evaluation, std::int64_t step);
/// Several lines for people, both unit conventions, each labelled.
std::string describe(const Evaluation& evaluation, Index dimension, bool is_8_bit);

}  // namespace relgrad
