#pragma once
/// Some updates of a small model in double precision, on all ranks, and where they end.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "exchange/changing_exchange.hpp"
#include "relgrad/exchange/row_group.hpp"
#include "relgrad/gradient/backward.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "step/update.hpp"
#include "support/central_differences.hpp"

namespace relgrad::test {

constexpr Index dimension = 9;

struct Setting {
  OptimizerOptions optimizer;
  double clip_norm = 0;
  double lr = 0.01;
  std::string exchange = "dense";
  std::vector<std::string> changes;  // what the exchange becomes after each of the first steps
  std::int64_t row_groups = 1;       // ranks that share every W
  GradientOptions gradient;
  bool tracks = false;
  Index samples = 1;  // a rank has (rank + 2) times as many, rank 1 none
  std::int64_t layers = 2;
  ProductBackend products = ProductBackend::openblas;
  bool in_one_pass = false;  // W^T [Delta | Y] and the update, where no rank must sum
  std::int64_t exact_terms = 0;
  bool splits_evenly = false;  // `samples` in all instead, rank r the r-th part of them
};

inline Products products_of(const Setting& setting) {
  const ProductShape any{Transpose::yes, Transpose::no, dimension, 1, dimension};
  return {setting.products, {{any, setting.products, setting.in_one_pass}}, Compute::float32};
}

inline GradientOptions self_normalizing(bool symmetric) {
  GradientOptions options(GradientKind::self_normalizing);
  options.reconstruction_weight = 0.3;
  options.symmetric = symmetric;
  return options;
}

inline Flow<double> start(const GradientOptions& gradient, RowGroup<double>* row_group = nullptr,
                          std::int64_t layers = 2,
                          ProductBackend products = ProductBackend::openblas) {
  Flow<double> flow(make_flow_spec(dimension, layers, {"spline", {{"bins", 4}, {"bound", 3}}},
                                   {"spline", {{"bins", 4}, {"bound", 3}}}, Latent::normal,
                                   gradient.needs_kept_inverse()),
                    Products(products), row_group);
  flow.initialize(Initialization::identity, 0.5, 7);
  flow.prepare();
  return flow;
}

/// Every parameter whole, whatever part of it is here.
inline std::vector<double> whole_values(const Flow<double>& flow) {
  std::vector<double> all;
  for (ParameterId id = 0; id < flow.parameters().count(); ++id) {
    const ParameterInfo& info = flow.parameters().info(id);
    std::vector<double> whole(static_cast<std::size_t>(info.rows * info.cols));
    std::ranges::copy(flow.parameters().values(id), whole.begin() + info.rows * info.col_begin);
    if (flow.row_group() != nullptr && info.use.by_columns) {
      flow.row_group()->sum(whole);  // one rank has a column, the others 0
    }
    all.insert(all.end(), whole.begin(), whole.end());
  }
  return all;
}

/// After some updates: all parameters; sum_k log|det W_k| by LU, and as tracked from an LU of the
/// start.
struct End {
  std::vector<double> values;
  double log_abs_det = 0;
  double tracked = 0;
};

inline End train_tracked(const Setting& setting, int steps) {
  const auto comm = mpi::Communicator::world();
  const Products products = products_of(setting);
  const auto row_group = make_row_group<double>(comm, setting.row_groups);
  Flow<double> flow = start(setting.gradient, row_group.get(), setting.layers, setting.products);
  ChangingExchange<double> exchange(
      row_group == nullptr
          ? make_exchange<double>(setting.exchange, comm, products)
          : make_row_exchange<double>(setting.exchange, comm, *row_group, products));
  const auto update = make_update<double>(flow, exchange, products, setting.optimizer,
                                          setting.clip_norm, setting.exact_terms);
  End end;
  end.tracked = sample_independent_log_abs_det(flow);
  GradientOptions options = setting.gradient;
  options.natural = setting.optimizer.kind == OptimizerKind::natural;
  options.natural_epsilon = setting.optimizer.epsilon;
  options.weight_decay = setting.optimizer.weight_decay;
  options.tracks_log_abs_det = setting.tracks;
  FlowGradient<double> gradient(flow, options);
  const Range part = part_of(setting.samples, comm.rank(), comm.world_size());
  const Index samples = setting.splits_evenly ? part.size()
                        : comm.rank() == 1    ? 0
                                              : setting.samples * (comm.rank() + 2);
  double total = static_cast<double>(samples);
  comm.allreduce_sum(std::span(&total, 1));
  Workspace<double> workspace(flow, setting.samples * (comm.world_size() + 1));
  for (int step = 0; step < steps; ++step) {
    const auto seed = 100 * static_cast<std::uint64_t>(step);
    const Matrix<double> x =
        setting.splits_evenly
            ? Matrix<double>(normal_matrix<double>(dimension, setting.samples, seed, 2.0)
                                 .middleCols(part.begin, samples))
            : normal_matrix<double>(dimension, samples,
                                    seed + static_cast<std::uint64_t>(comm.rank()), 2.0);
    workspace.load(x.data(), samples);
    forward(flow, workspace);
    const StepNumbers numbers{step, total, setting.lr, setting.lr};
    update->begin(numbers);
    gradient.begin(numbers);
    gradient.backward(workspace, *update);
    update->finish(gradient);
    flow.prepare();
    end.tracked += gradient.log_abs_det_change().value_or(NAN);
    if (const auto at = static_cast<std::size_t>(step); at < setting.changes.size()) {
      exchange.become(make_exchange<double>(setting.changes[at], comm, products),
                      flow.parameters());
    }
  }
  end.values = whole_values(flow);
  end.log_abs_det = sample_independent_log_abs_det(flow);
  return end;
}

/// All parameters after `steps` updates.
inline std::vector<double> train(const Setting& setting, int steps) {
  return train_tracked(setting, steps).values;
}

inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double square = 0;
  for (std::size_t i = 0; i < a.size(); ++i) square += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(square);
}

}  // namespace relgrad::test
