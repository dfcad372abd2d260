#include "start/kinked_start.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "relgrad/core/error.hpp"
#include "relgrad/core/partition.hpp"
#include "relgrad/data/epoch_order.hpp"
#include "relgrad/model/linear.hpp"
#include "relgrad/model/workspace.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

namespace {

constexpr std::int64_t most_samples = 500;
constexpr int quantiles = 16;

/// Workspace with this rank's share of the first training samples: all of them, or in a row group,
/// whose ranks put theirs together, a part.
template <class T>
Workspace<T> first_samples(const Model<T>& model, const TrainOptions& options,
                           const SplitReader& train, const mpi::Communicator& comm) {
  const std::int64_t count = std::min<std::int64_t>(most_samples, train.rows());
  const RowGroup<T>* group = model.flow->row_group();
  const Range part =
      group == nullptr ? Range{0, count} : part_of(count, group->rank(), group->size());
  Matrix<T> x(model.flow->dimension(), part.size());
  mpi::together(comm, [&] {
    const EpochOrder order(options.seed, 0, train.rows());  // rows may lie in an order
    std::vector<std::uint64_t> rows;
    for (std::int64_t i = part.begin; i < part.end; ++i) {
      rows.push_back(order.sample_at(static_cast<std::uint64_t>(i)));
    }
    RawBatch raw;
    train.read(rows, raw);
    std::vector<double> log_slope(static_cast<std::size_t>(part.size()));
    model.transform->forward(raw, {options.seed, Purpose::dequantize_train, 0},
                             MatrixMap<T>(x.data(), x.rows(), x.cols()), log_slope);
  });
  Workspace<T> workspace(*model.flow, most_samples);
  workspace.load(x.data(), part.size());
  return workspace;
}

/// W = diag(scale) W, b = scale b + shift, where every rank has its own coordinates of both.
template <class T>
void scale_rows(const LinearLayer<T>& layer, const Vector<double>& own_scale,
                const Vector<double>& own_shift, ParameterStore<T>& store) {
  const Index dimension = layer.dimension();
  Matrix<double> both = Matrix<double>::Zero(dimension, 2);
  both.block(layer.own().begin, 0, own_scale.size(), 1) = own_scale;
  both.block(layer.own().begin, 1, own_shift.size(), 1) = own_shift;
  if (layer.row_group() != nullptr) {  // others have 0 there
    layer.row_group()->sum(std::span(both.data(), static_cast<std::size_t>(both.size())));
  }
  MatrixMap<T> weight = store.matrix(layer.weight_id());
  weight = both.col(0).template cast<T>().asDiagonal() * weight;
  VectorMap<T> bias(store.values(layer.bias_id()).data(), dimension);
  bias = (both.col(0).cwiseProduct(bias.template cast<double>()) + both.col(1)).template cast<T>();
}

struct MeanAndDeviation {
  double mean, deviation;
};
MeanAndDeviation moments_of(const Vector<double>& values) {
  const double mean = values.mean();
  return {mean, std::sqrt((values.array() - mean).square().mean())};
}

/// Log-likelihood of x in nats a sample, up to a constant, where s_a(w (x - c)) is normal:
///   log|w| + mean log s_a'(y) - log deviation of s_a(y),    y = w (x - c),
/// s_a(y) = a y + (1 - a) log(1 + e^y), s_a'(y) = a + (1 - a) / (1 + e^-y).
double fit(const Vector<double>& x, double w, double c, double a) {
  Vector<double> z(x.size());
  double log_slope = 0;
  for (Index n = 0; n < x.size(); ++n) {
    const double y = w * (x[n] - c);
    const double e = std::exp(-std::abs(y));
    z[n] = a * y + (1.0 - a) * (std::max(y, 0.0) + std::log1p(e));
    log_slope += std::log(a + (1.0 - a) * (y >= 0 ? 1.0 : e) / (1.0 + e));
  }
  return std::log(std::abs(w)) + log_slope / static_cast<double>(x.size()) -
         std::log(moments_of(z).deviation);
}

struct Kink {
  double w, c;
};
/// The best w and c of a grid: both directions, kinks sharper and softer than the deviation of x,
/// at its quantiles.
Kink best_kink(Vector<double> x, double a) {
  const double deviation = moments_of(x).deviation;
  if (!(deviation > 0)) return {1.0, 0.0};
  Vector<double> sorted = x;
  std::ranges::sort(sorted);
  Kink best{1.0 / deviation, x.mean()};
  double most = -HUGE_VAL;
  for (int quantile = 0; quantile < quantiles; ++quantile) {
    const double c = sorted[(2 * quantile + 1) * sorted.size() / (2 * quantiles)];
    for (const double sharpness : {2.0, 8.0, 32.0}) {
      for (const double sign : {-1.0, 1.0}) {
        const Kink kink{sign * sharpness / deviation, c};
        const double value = fit(x, kink.w, kink.c, a);
        if (value > most) {
          most = value;
          best = kink;
        }
      }
    }
  }
  return best;
}

template <class T>
void bend(const LinearLayer<T>& layer, const ConstMatrixMap<T>& inputs, double a,
          ParameterStore<T>& store) {
  Vector<double> scale(inputs.rows());
  Vector<double> shift(inputs.rows());
  for (Index i = 0; i < inputs.rows(); ++i) {
    const Kink kink = best_kink(inputs.row(i).template cast<double>(), a);
    scale[i] = kink.w;
    shift[i] = -kink.w * kink.c;
  }
  scale_rows(layer, scale, shift, store);
}

template <class T>
void normalize(const LinearLayer<T>& layer, const ConstMatrixMap<T>& outputs,
               ParameterStore<T>& store) {
  Vector<double> scale(outputs.rows());
  Vector<double> shift(outputs.rows());
  for (Index i = 0; i < outputs.rows(); ++i) {
    const MeanAndDeviation y = moments_of(outputs.row(i).template cast<double>());
    scale[i] = y.deviation > 0 ? 1.0 / y.deviation : 1.0;
    shift[i] = -y.mean * scale[i];
  }
  scale_rows(layer, scale, shift, store);
}

}  // namespace

template <class T>
void start_kinked(Model<T>& model, const TrainOptions& options, const SplitReader& train,
                  const mpi::Communicator& comm) {
  const Flow<T>& flow = *model.flow;
  if (flow.layer_count() < 2 || flow.layer(1).kind() != "smooth-leaky-relu") {
    mpi::throw_on_all_ranks(
        UsageError("--init: kinked is for --activation smooth-leaky-relu and two layers or more; "
                   "use identity"));
  }
  ParameterStore<T>& store = model.flow->parameters();
  Workspace<T> workspace = first_samples(model, options, train, comm);
  const std::vector<LinearLayer<T>*> linear_layers = model.flow->linear_layers();
  for (std::size_t i = 0; i < flow.layer_count(); ++i) {
    const auto forward = [&] { flow.layer(i).forward(workspace.pass(i)); };
    const auto found = std::ranges::find_if(
        linear_layers, [&](const LinearLayer<T>* layer) { return layer == &flow.layer(i); });
    if (found != linear_layers.end()) {
      LinearLayer<T>* const linear = *found;
      if (i == 0) {
        bend(*linear, workspace.input_of(0), options.leaky_slope, store);
      } else {
        forward();
        const MatrixMap<T> outputs = workspace.value(i);
        normalize(*linear, ConstMatrixMap<T>(outputs.data(), outputs.rows(), outputs.cols()),
                  store);
      }
      if (linear->keeps_inverse()) linear->refresh_inverse();
    }
    forward();
  }
}

template void start_kinked(Model<float>&, const TrainOptions&, const SplitReader&,
                           const mpi::Communicator&);
template void start_kinked(Model<double>&, const TrainOptions&, const SplitReader&,
                           const mpi::Communicator&);

}  // namespace relgrad
