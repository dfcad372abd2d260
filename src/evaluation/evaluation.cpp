#include "evaluation/evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "core/stopwatch.hpp"
#include "evaluation/reconstruction.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/partition.hpp"
#include "relgrad/data/epoch_order.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

namespace {

/// Sums over samples of all ranks; means and errors come from them alone. Squares are about a
/// common `center`, so that the variance does not cancel.
struct Sums {
  double nats = 0, squares = 0, logit_nats = 0, count = 0, nonfinite = 0;
};

// Samples are added up in blocks of this many rows, and the blocks in their order, whoever computed
// them: the bits do not depend on the number of ranks.
constexpr std::int64_t block_rows = 32;

/// Rows of every part of the split, whatever the order that they lie in (class by class, say); the
/// same for every seed, so that runs compare. Empty: all rows.
std::vector<std::uint64_t> chosen_rows(std::uint64_t rows, const EvaluationRequest& request) {
  const auto wanted = static_cast<std::uint64_t>(request.samples);
  if (wanted == 0 || wanted >= rows) return {};
  return draw_rows(0, rows, wanted);
}

template <class T>
class Evaluator {
 public:
  Evaluator(const Model<T>& model, const SplitReader& split, const EvaluationRequest& request,
            double log_abs_det)
      : classification_(model.flow->classes()),
        model_(model),
        split_(split),
        request_(request),
        log_abs_det_(log_abs_det),
        chosen_(chosen_rows(split.rows(), request)),
        workspace_(*model.flow, std::max<Index>(1, request.batch_size)),
        x_(model.flow->dimension(), std::max<Index>(1, request.batch_size)) {
    if (model.flow->classes() == 0) return;
    for (const T probability : std::as_const(*model.flow).prior()) {
      log_prior_.push_back(std::log(static_cast<double>(probability)));
    }
  }

  /// Mean over draws of log p(v) of rows [begin, end) of the chosen ones, nats; `logit` likewise,
  /// in logit space. Collective over a row group, whose ranks may bring different numbers of rows.
  /// False, on every rank of the group, if one of them has trouble, be it from before.
  /// @param latent  if not null, receives this rank's coordinates of the latent vectors of all
  ///                samples of the group, of the first draw
  bool score(std::uint64_t begin, std::uint64_t end, std::vector<double>& nats,
             std::vector<double>& logit, Matrix<T>* latent = nullptr) {
    locally([&] {
      if (chosen_.empty()) {
        split_.read_range(begin, end, raw_);
      } else {
        const auto first = chosen_.begin();
        split_.read(
            {first + static_cast<std::ptrdiff_t>(begin), first + static_cast<std::ptrdiff_t>(end)},
            raw_);
      }
      nats.assign(static_cast<std::size_t>(raw_.count), 0.0);
      logit.assign(static_cast<std::size_t>(raw_.count), 0.0);
      class_nats_.setZero(model_.flow->classes(), raw_.count);
    });
    for (std::int64_t draw = 0; draw < request_.draws; ++draw) {
      const NoiseKey noise{request_.seed, Purpose::dequantize_eval,
                           static_cast<std::uint32_t>(draw)};
      locally([&] {
        log_slope_.assign(nats.size(), log_abs_det_);
        model_.transform->forward(raw_, noise, MatrixMap<T>(x_.data(), x_.rows(), raw_.count),
                                  log_slope_);
      });
      if (!workspace_.load(x_.data(), trouble_ ? -1 : raw_.count)) return false;
      const std::span<double> log_likelihood = workspace_.own_log_likelihood();
      std::ranges::copy(log_slope_, log_likelihood.begin());
      forward(*model_.flow, workspace_);
      locally([&] {
        if (latent != nullptr && draw == 0) *latent = workspace_.latents();
        add_draw(noise, log_likelihood, nats, logit);
        if (!log_prior_.empty()) add_class_draw(log_likelihood);
      });
    }
    locally([&] {
      if (!log_prior_.empty()) predict();
    });
    return true;
  }
  /// Of the rows of the last score().
  Scores scores(const std::vector<double>& nats) const {
    return {nats, {class_nats_.data(), class_nats_.rows(), class_nats_.cols()}, predicted_};
  }
  /// Counts the rows of the last score() that have a label among the model's classes.
  void classify(const std::vector<double>& nats) {
    for (std::size_t n = 0; n < predicted_.size() && !request_.labels.empty(); ++n) {
      const Label label = request_.labels[raw_.sample_ids[n]];
      if (label == no_label || label >= model_.flow->classes() || !std::isfinite(nats[n])) continue;
      classification_.add(label, predicted_[n]);
    }
  }
  Classification& classification() { return classification_; }

  /// Of the samples of the group in the last batch, those of this rank.
  Range own_samples() const { return workspace_.own_samples(); }

  /// Work without other ranks; what goes wrong is kept, and told to the group at the next load.
  void locally(const std::function<void()>& work) {
    if (!trouble_) trouble_ = mpi::trouble_in(work);
  }
  const std::optional<Error>& trouble() const { return trouble_; }

 private:
  void add_draw(const NoiseKey& noise, std::span<const double> log_likelihood,
                std::vector<double>& nats, std::vector<double>& logit) {
    logit_slope_.assign(nats.size(), 0.0);
    if (raw_.type == ElementType::uint8) {
      add_logit_log_slope(raw_, noise, model_.transform_options.logit_a, logit_slope_);
    }
    for (std::size_t n = 0; n < nats.size(); ++n) {
      nats[n] += log_likelihood[n] / static_cast<double>(request_.draws);
      logit[n] += (log_likelihood[n] - logit_slope_[n]) / static_cast<double>(request_.draws);
    }
  }

  /// log p(x | k) = log p(x) + log p(k | x) - log prior_k
  void add_class_draw(std::span<const double> log_likelihood) {
    const ConstMatrixMap<T> posterior = workspace_.log_posterior();
    const Index first = workspace_.own_samples().begin;
    for (Index n = 0; n < class_nats_.cols(); ++n) {
      for (Index k = 0; k < class_nats_.rows(); ++k) {
        class_nats_(k, n) += (log_likelihood[static_cast<std::size_t>(n)] +
                              static_cast<double>(posterior(k, first + n)) -
                              log_prior_[static_cast<std::size_t>(k)]) /
                             static_cast<double>(request_.draws);
      }
    }
  }

  void predict() {
    predicted_.clear();
    for (Index n = 0; n < class_nats_.cols(); ++n) {
      predicted_.push_back(
          most_probable_class(log_prior_, {class_nats_.col(n).data(), log_prior_.size()}));
    }
  }

  Classification classification_;
  const Model<T>& model_;
  const SplitReader& split_;
  const EvaluationRequest& request_;
  double log_abs_det_;
  std::vector<std::uint64_t> chosen_;  // rows to evaluate; empty: all, in their order
  Workspace<T> workspace_;
  Matrix<T> x_;  // D x batch size
  std::vector<double> log_slope_;
  std::vector<double> logit_slope_;
  RawBatch raw_;
  // Of a conditional model:
  std::vector<double> log_prior_;
  Matrix<double> class_nats_;  // K x rows
  std::vector<Label> predicted_;
  std::optional<Error> trouble_;
};

/// Adds the samples of rows first_row, first_row + 1, ... to their blocks.
void add(std::vector<Sums>& blocks, std::int64_t first_row, const std::vector<double>& nats,
         const std::vector<double>& logit, double center) {
  for (std::size_t n = 0; n < nats.size(); ++n) {
    Sums& sums = blocks[(static_cast<std::size_t>(first_row) + n) / block_rows];
    if (!std::isfinite(nats[n])) {
      sums.nonfinite += 1;
      continue;
    }
    sums.count += 1;
    sums.nats += nats[n] - center;
    sums.squares += (nats[n] - center) * (nats[n] - center);
    sums.logit_nats += logit[n];
  }
}

Sums total_of(const std::vector<Sums>& blocks, const mpi::Communicator& comm) {
  Sums total;
  for (double Sums::*const member :
       {&Sums::nats, &Sums::squares, &Sums::logit_nats, &Sums::count, &Sums::nonfinite}) {
    std::vector<double> of_blocks;
    for (const Sums& block : blocks) of_blocks.push_back(block.*member);
    comm.allreduce_sum(of_blocks);  // exact: one rank has a block's sums, the others 0
    total.*member = std::accumulate(of_blocks.begin(), of_blocks.end(), 0.0);
  }
  return total;
}

Evaluation from_sums(const Sums& sums, double center, const SplitReader& split,
                     const EvaluationRequest& request) {
  Evaluation result;
  result.split = request.split;
  result.draws = request.draws;
  result.samples = static_cast<std::int64_t>(sums.count);
  result.nonfinite = static_cast<std::int64_t>(sums.nonfinite);
  const double n = std::max(1.0, sums.count);
  const double mean = sums.nats / n;
  const double variance = n > 1 ? std::max(0.0, (sums.squares - n * mean * mean) / (n - 1)) : 0.0;
  result.log_likelihood_pixel_nats = center + mean;
  if (split.type() == ElementType::uint8) result.log_likelihood_logit_nats = sums.logit_nats / n;
  result.bits_per_dim = bits_per_dim(result.log_likelihood_pixel_nats, split.dimension());
  if (n > 1) {
    result.standard_error_nats = std::sqrt(variance / n);
    result.standard_error_bits_per_dim =
        *result.standard_error_nats / (static_cast<double>(split.dimension()) * std::numbers::ln2);
  }
  return result;
}

/// The rows that a rank scores in one call: its part of the blocks, batch by batch.
struct Batching {
  std::int64_t blocks;
  std::int64_t rows;
  std::int64_t batch_size;
  int ranks;

  Range batch_of(int rank, std::int64_t offset) const {
    const Range own = part_of(blocks, rank, ranks);
    const std::int64_t last = std::min(own.end * block_rows, rows);
    const std::int64_t begin = std::min(own.begin * block_rows + offset, last);
    return {begin, std::min(begin + batch_size, last)};
  }
};

Batching batching_of(const SplitReader& split, const EvaluationRequest& request,
                     const mpi::Communicator& comm) {
  const auto rows = static_cast<std::int64_t>(split.rows());
  const std::int64_t wanted = request.samples > 0 ? std::min(rows, request.samples) : rows;
  const std::int64_t blocks = (wanted + block_rows - 1) / block_rows;
  return {blocks, wanted, std::min(rows, request.batch_size), comm.world_size()};
}

/// Collective over a row group: z of this rank's samples, D x n.
/// @param latent  as Evaluator::score has it
template <class T>
Matrix<T> whole_latents(const Flow<T>& flow, Range own_samples, Matrix<T> latent) {
  RowGroup<T>* group = flow.row_group();
  if (group == nullptr) return latent;
  Matrix<T> all(flow.dimension(), latent.cols());
  group->allgather(ConstMatrixMap<T>(latent.data(), latent.rows(), latent.cols()),
                   MatrixMap<T>(all.data(), all.rows(), all.cols()));
  return all.middleCols(own_samples.begin, own_samples.size());
}

/// Collective. Scores the rows of every rank, batch by batch.
/// @param take     what a batch gave
/// @param latents  or null
template <class T>
void score_batches(Evaluator<T>& evaluator, const Flow<T>& flow, const Batching& batching,
                   const mpi::Communicator& comm,
                   const std::function<void(Range rows, const std::vector<double>& nats,
                                            const std::vector<double>& logit)>& take,
                   const LatentSink<T>& latents) {
  std::vector<double> nats;
  std::vector<double> logit;
  Matrix<T> latent;
  // As many calls on every rank: those of a row group compute together.
  const std::int64_t most = part_of(batching.blocks, 0, comm.world_size()).size() * block_rows;
  for (std::int64_t offset = 0; offset < most; offset += batching.batch_size) {
    const Range batch = batching.batch_of(comm.rank(), offset);
    const bool goes_on = evaluator.score(static_cast<std::uint64_t>(batch.begin),
                                         static_cast<std::uint64_t>(batch.end), nats, logit,
                                         latents ? &latent : nullptr);
    if (goes_on) evaluator.locally([&] { take(batch, nats, logit); });
    if (latents) {
      mpi::agree(comm, evaluator.trouble());
      std::vector<Range> rows;
      for (int rank = 0; rank < comm.world_size(); ++rank) {
        rows.push_back(batching.batch_of(rank, offset));
      }
      const Matrix<T> z = whole_latents(flow, evaluator.own_samples(), std::move(latent));
      latents(rows, ConstMatrixMap<T>(z.data(), z.rows(), z.cols()));
    }
    if (!goes_on) break;
  }
  mpi::agree(comm, evaluator.trouble());
}

}  // namespace

template <class T>
double shared_log_abs_det(const Flow<T>& flow, const mpi::Communicator& comm) {
  // The ranks of a row group work on one layer together; the first of them tells the result.
  const RowGroup<T>* group = flow.row_group();
  const int together = group == nullptr ? 1 : group->size();
  std::vector<double> parts(flow.layer_count());
  const auto work = [&] {
    parts = log_abs_det_by_layer(flow, static_cast<std::size_t>(comm.rank() / together),
                                 static_cast<std::size_t>(comm.world_size() / together));
  };
  if (group == nullptr) {
    mpi::together(comm, work);
  } else {
    work();  // collective: a rank that fails alone in it leaves, and ends every rank
  }
  if (comm.rank() % together != 0) std::ranges::fill(parts, 0.0);
  comm.allreduce_sum(std::span(parts));  // exact: one rank has the value, the others 0
  return std::accumulate(parts.begin(), parts.end(), 0.0);
}

template <class T>
Evaluation evaluate_split(const Model<T>& model, const SplitReader& split,
                          const EvaluationRequest& asked, const mpi::Communicator& comm,
                          const ScoreSink& scores, const LatentSink<T>& latents) {
  const Stopwatch watch;
  const double log_abs_det = shared_log_abs_det(*model.flow, comm);
  const Batching batching = batching_of(split, asked, comm);
  EvaluationRequest request = asked;
  request.batch_size = batching.batch_size;  // memory for no more

  std::vector<Sums> block_sums(static_cast<std::size_t>(batching.blocks));
  std::optional<Evaluator<T>> evaluator;
  mpi::together(comm, [&] { evaluator.emplace(model, split, request, log_abs_det); });
  std::vector<double> nats;
  std::vector<double> logit;
  // The first sample's value is near the mean: a centre that every rank computes alike.
  double center = 0;
  if (evaluator->score(0, 1, nats, logit) && !evaluator->trouble() && std::isfinite(nats[0])) {
    center = nats[0];
  }
  const auto take = [&](Range batch, const std::vector<double>& batch_nats,
                        const std::vector<double>& batch_logit) {
    add(block_sums, batch.begin, batch_nats, batch_logit, center);
    evaluator->classify(batch_nats);
    if (scores) scores(static_cast<std::uint64_t>(batch.begin), evaluator->scores(batch_nats));
  };
  score_batches<T>(*evaluator, *model.flow, batching, comm, take, latents);
  Evaluation result = from_sums(total_of(block_sums, comm), center, split, request);
  if (!request.labels.empty() && model.flow->classes() > 0) {
    evaluator->classification().sum(comm);
    if (evaluator->classification().samples() > 0) {
      result.classification = evaluator->classification();
    }
  }
  result.log_abs_det_nats = log_abs_det;
  result.inverse_error = inverse_error(*model.flow);
  result.seconds = watch.seconds();
  return result;
}

template <class T>
void encode_split(const Model<T>& model, const SplitReader& split, const EvaluationRequest& asked,
                  const mpi::Communicator& comm, const LatentSink<T>& latents) {
  const Batching batching = batching_of(split, asked, comm);
  EvaluationRequest request = asked;
  request.batch_size = batching.batch_size;
  request.draws = 1;
  std::optional<Evaluator<T>> evaluator;
  mpi::together(comm, [&] { evaluator.emplace(model, split, request, 0.0); });
  const auto take = [](Range, const std::vector<double>&, const std::vector<double>&) {};
  score_batches<T>(*evaluator, *model.flow, batching, comm, take, latents);
}

template double shared_log_abs_det(const Flow<float>&, const mpi::Communicator&);
template double shared_log_abs_det(const Flow<double>&, const mpi::Communicator&);
template Evaluation evaluate_split(const Model<float>&, const SplitReader&,
                                   const EvaluationRequest&, const mpi::Communicator&,
                                   const ScoreSink&, const LatentSink<float>&);
template Evaluation evaluate_split(const Model<double>&, const SplitReader&,
                                   const EvaluationRequest&, const mpi::Communicator&,
                                   const ScoreSink&, const LatentSink<double>&);
template void encode_split(const Model<float>&, const SplitReader&, const EvaluationRequest&,
                           const mpi::Communicator&, const LatentSink<float>&);
template void encode_split(const Model<double>&, const SplitReader&, const EvaluationRequest&,
                           const mpi::Communicator&, const LatentSink<double>&);

}  // namespace relgrad
