#include "step/update.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "core/stopwatch.hpp"
#include "relgrad/gradient/buffer.hpp"
#include "step/held_gradients.hpp"
#include "step/small_sums.hpp"

namespace relgrad {

namespace {

/// The part of parameter `id` that holds columns from `col_begin`, with its gradient's sum.
template <class T>
UpdateTile<T> tile_of(ParameterStore<T>& store, ParameterId id, Index col_begin,
                      std::span<const T> gradient_sum, const PerSampleTerm<T>& term) {
  const ParameterInfo& info = store.info(id);
  const std::size_t first = static_cast<std::size_t>(info.rows * col_begin);
  UpdateTile<T> tile;
  tile.values = store.values(id).subspan(first, gradient_sum.size());
  tile.gradient_sum = gradient_sum;
  tile.value_factor = term.value_factor;
  tile.matrix = term.matrix == nullptr ? nullptr : term.matrix + first;
  tile.matrix_factor = term.matrix_factor;
  tile.row_factor = term.row_factor;
  tile.rows = static_cast<std::size_t>(info.rows);
  if (store.has_moments(id)) {
    tile.first_moment = store.moment(0, id).subspan(first, gradient_sum.size());
  }
  if (store.has_moments(id) && store.moment_count() > 1) {
    tile.second_moment = store.moment(1, id).subspan(first, gradient_sum.size());
  }
  tile.decay = info.use.decays;
  return tile;
}

/// Whether a parameter is moved by small sums.
bool is_small(const ParameterInfo& info) { return info.use.moves && !info.use.by_columns; }

/// What a tile's update reads beside its gradient.
template <class T>
ReadNext<T> read_by_update(ParameterStore<T>& store, ParameterId id) {
  return {store.values(id).data(), store.moment_count() > 0 ? store.moment(0, id).data() : nullptr,
          store.moment_count() > 1 ? store.moment(1, id).data() : nullptr};
}

double lr_of(const ParameterInfo& info, const StepNumbers& numbers) {
  return info.use.rate == ParameterUse::Rate::elementwise ? numbers.spline_lr : numbers.lr;
}

/// What every update does: sums of small parameters go where SmallSums keeps them.
template <class T>
class SummedUpdate : public Update<T> {
 public:
  SummedUpdate(Flow<T>& flow, Exchange<T>& exchange, const OptimizerOptions& options,
               std::int64_t exact_terms)
      : store_(&flow.parameters()),
        exchange_(&exchange),
        optimizer_(options),
        small_(flow.parameters(), exact_terms) {}

  std::span<T> sum(ParameterId id) override { return small_.sum(id); }
  std::optional<ExactSums> exact(ParameterId id, std::size_t size) override {
    return small_.exact(id, size);
  }
  std::span<T> statistics(ParameterId id, std::size_t size) override {
    return small_.statistics(id, size);
  }
  std::optional<ExactSums> exact_statistics(ParameterId id, std::size_t size) override {
    return small_.exact_statistics(id, size);
  }

 protected:
  ParameterStore<T>* store_;
  Exchange<T>* exchange_;
  Optimizer<T> optimizer_;
  SmallSums<T> small_;
};

template <class T>
class FusedUpdate final : public SummedUpdate<T> {
 public:
  using Base = SummedUpdate<T>;
  FusedUpdate(Flow<T>& flow, Exchange<T>& exchange, const OptimizerOptions& options,
              std::int64_t exact_terms)
      : Base(flow, exchange, options, exact_terms),
        may_hold_(exact_terms == 0),
        small_terms_(flow.parameters().count()) {}

  void begin(const StepNumbers& numbers) override {
    alone_ = may_hold_ ? exchange_->alone() : nullptr;
    if (alone_ == nullptr) held_ = {};  // its memory, where the exchange has changed
    small_.begin(numbers);
    std::ranges::fill(small_terms_, PerSampleTerm<T>{});
    held_.clear();
  }

  void give(std::span<const ParameterGradient<T>> together) override {
    if (alone_ != nullptr) return held_.hold(together);
    move(together, *exchange_);
  }

  bool multiply_and_move(const WeightPass<T>& pass) override {
    const auto apply_tile = [&](Index col_begin, const ConstMatrixMap<T>& tile) {
      apply_to(pass.id, pass.every_sample, col_begin, tile);
    };
    if (!exchange_->column_pass(std::as_const(*store_).matrix(pass.id), pass.left, pass.factors,
                                pass.products, std::ref(apply_tile))) {
      return false;
    }
    if (pass.outputs) {
      small_.take_inner_product(pass.id, {pass.left, pass.left, pass.outputs}, *exchange_);
    }
    return true;
  }

  void finish(FlowGradient<T>& gradient) override {
    if (alone_ == nullptr) {
      small_.exchange(*exchange_);
    } else {
      held_.gather(*exchange_, static_cast<Index>(small_.numbers().samples), small_.message());
      small_.take_message();
      held_.for_each_group(
          [&](std::span<const ParameterGradient<T>> together) { move(together, *alone_); });
    }
    gradient.take_exact_sums(small_);
    for (ParameterId id = 0; id < store_->count(); ++id) {
      const ParameterInfo& info = store_->info(id);
      if (!is_small(info)) continue;
      apply(tile_of(*store_, id, 0, std::span<const T>(this->sum(id)), small_terms_[id]),
            lr_of(info, small_.numbers()));
    }
    gradient.finish(small_);
  }

 private:
  using Base::exchange_;
  using Base::optimizer_;
  using Base::small_;
  using Base::store_;

  /// Parameter `id` is about to move: if one of `later` reads it, what it was is kept, of the
  /// columns that this rank updates.
  void keep_for(std::span<const ParameterGradient<T>> later, ParameterId id) {
    const MatrixMap<T> values = store_->matrix(id);
    const bool is_read = std::ranges::any_of(later, [&](const ParameterGradient<T>& gradient) {
      return gradient.every_sample.matrix == values.data();
    });
    if (!is_read) return;
    const Range own = exchange_->own_columns(values.cols());
    kept_.resize(static_cast<std::size_t>(values.rows() * own.size()));
    std::copy_n(values.data() + values.rows() * own.begin, kept_.size(), kept_.data());
    kept_of_ = values.data();
    kept_begin_ = own.begin;
  }

  void move(std::span<const ParameterGradient<T>> together, Exchange<T>& exchange) {
    for (std::size_t i = 0; i < together.size(); ++i) {
      const ParameterGradient<T>& gradient = together[i];
      if (!gradient.factors) {
        small_terms_[gradient.id] = gradient.every_sample;
        continue;
      }
      keep_for(together.subspan(i + 1), gradient.id);
      move(gradient, exchange);
    }
    kept_of_ = nullptr;
  }

  void move(const ParameterGradient<T>& gradient, Exchange<T>& exchange) {
    const auto apply_tile = [&](Index col_begin, const ConstMatrixMap<T>& tile) {
      apply_to(gradient.id, gradient.every_sample, col_begin, tile);
    };
    exchange.outer_product(gradient.factors->left, gradient.factors->right, std::ref(apply_tile),
                           read_by_update(*store_, gradient.id));
    if (gradient.factors->outputs) {
      small_.take_inner_product(gradient.id, *gradient.factors, exchange);
    }
    exchange.publish(store_->matrix(gradient.id));
  }

  /// `tile`: columns of the gradient's sum from `col_begin`.
  void apply_to(ParameterId id, const PerSampleTerm<T>& term, Index col_begin,
                const ConstMatrixMap<T>& tile) {
    UpdateTile<T> part =
        tile_of(*store_, id, col_begin,
                std::span(tile.data(), static_cast<std::size_t>(tile.size())), term);
    if (kept_of_ != nullptr && term.matrix == kept_of_) {
      part.matrix = kept_.data() + tile.rows() * (col_begin - kept_begin_);
    }
    apply(part, lr_of(store_->info(id), small_.numbers()));
  }

  void apply(const UpdateTile<T>& tile, double lr) {
    const TimedScope timed(this->optimizer_seconds_);
    optimizer_.apply(tile, small_.numbers().step, small_.numbers().samples, lr);
  }

  bool may_hold_;
  Exchange<T>* alone_ = nullptr;  // not null: gradients are held until the end of this step
  HeldGradients<T> held_;
  std::vector<PerSampleTerm<T>> small_terms_;
  std::vector<T> kept_;
  const T* kept_of_ = nullptr;
  Index kept_begin_ = 0;
};

template <class T>
class ClippedUpdate final : public SummedUpdate<T> {
 public:
  using Base = SummedUpdate<T>;
  ClippedUpdate(Flow<T>& flow, Exchange<T>& exchange, const Products& products,
                const OptimizerOptions& options, double clip_norm, std::int64_t exact_terms)
      : Base(flow, exchange, options, exact_terms),
        gradient_(flow.parameters(), products),
        clip_norm_(clip_norm),
        small_terms_(flow.parameters().count()) {}

  void begin(const StepNumbers& numbers) override {
    small_.begin(numbers);
    gradient_.clear();
    std::ranges::fill(small_terms_, PerSampleTerm<T>{});
  }

  void give(std::span<const ParameterGradient<T>> together) override {
    for (const ParameterGradient<T>& gradient : together) {
      if (!gradient.factors) {
        small_terms_[gradient.id] = gradient.every_sample;
        continue;
      }
      gradient_.set_every_sample(gradient.id, gradient.every_sample);
      const std::span<T> whole = gradient_.sum(gradient.id);
      const auto keep_tile = [&](Index col_begin, const ConstMatrixMap<T>& tile) {
        std::copy_n(tile.data(), tile.size(), whole.data() + col_begin * tile.rows());
      };
      exchange_->outer_product(gradient.factors->left, gradient.factors->right,
                               std::ref(keep_tile));
      if (gradient.factors->outputs) {
        small_.take_inner_product(gradient.id, *gradient.factors, *exchange_);
      }
    }
  }

  void finish(FlowGradient<T>& gradient) override {
    small_.exchange(*exchange_);
    gradient.take_exact_sums(small_);
    for (ParameterId id = 0; id < store_->count(); ++id) {
      if (!is_small(store_->info(id))) continue;
      gradient_.set_every_sample(id, small_terms_[id]);
      std::ranges::copy(this->sum(id), gradient_.sum(id).begin());
    }
    const StepNumbers& numbers = small_.numbers();
    gradient_.add_per_sample_terms(numbers.samples);
    const TimedScope timed(this->optimizer_seconds_);
    const double norm = std::sqrt(square_of_norm()) / numbers.samples;
    // Dividing by more samples scales the mean gradient down to the limit.
    small_.set_divisor(numbers.samples * std::max(1.0, norm / clip_norm_));
    for (ParameterId id = 0; id < store_->count(); ++id) {
      if (!store_->info(id).use.moves) continue;
      optimizer_.apply(
          tile_of(*store_, id, 0, std::span<const T>(gradient_.sum(id)), PerSampleTerm<T>{}),
          numbers.step, small_.divisor(), lr_of(store_->info(id), numbers));
    }
    gradient.finish(small_);
  }

 private:
  using Base::exchange_;
  using Base::optimizer_;
  using Base::small_;
  using Base::store_;

  double square_of_norm() {
    double of_matrices = 0;
    double of_others = 0;
    for (ParameterId id = 0; id < store_->count(); ++id) {
      double square = 0;
      for (const T g : gradient_.sum(id)) square += static_cast<double>(g) * static_cast<double>(g);
      (store_->info(id).use.by_columns ? of_matrices : of_others) += square;
    }
    return exchange_->sum_over_columns(of_matrices) + of_others;
  }

  GradientBuffer<T> gradient_;
  double clip_norm_;
  // Of small parameters. What they point to may come with the sums of all ranks.
  std::vector<PerSampleTerm<T>> small_terms_;
};

}  // namespace

template <class T>
std::string why_log_abs_det_is_not_tracked(OptimizerKind optimizer, GradientKind gradient,
                                           const Exchange<T>& exchange) {
  if (optimizer != OptimizerKind::sgd && optimizer != OptimizerKind::natural) {
    return fmt::format("the step of {} is not of low rank, those of sgd and natural are",
                       name_of(optimizer));
  }
  if (gradient != GradientKind::relative) {
    return fmt::format("the step of the {} gradient is no multiple of W", name_of(gradient));
  }
  if (!exchange.has_inner_product()) {
    return fmt::format("{} exchange brings no factors of all ranks together", exchange.name());
  }
  return "";
}

template <class T>
std::unique_ptr<Update<T>> make_update(Flow<T>& flow, Exchange<T>& exchange,
                                       const Products& products, const OptimizerOptions& options,
                                       double clip_norm, std::int64_t exact_terms) {
  const Optimizer<T> optimizer(options);
  flow.parameters().allocate_moments(optimizer.moment_count(), optimizer.weights_have_moments());
  if (clip_norm > 0) {
    return std::make_unique<ClippedUpdate<T>>(flow, exchange, products, options, clip_norm,
                                              exact_terms);
  }
  return std::make_unique<FusedUpdate<T>>(flow, exchange, options, exact_terms);
}

#define RELGRAD_INSTANTIATE(T)                                                             \
  template std::string why_log_abs_det_is_not_tracked(OptimizerKind, GradientKind,         \
                                                      const Exchange<T>&);                 \
  template std::unique_ptr<Update<T>> make_update(Flow<T>&, Exchange<T>&, const Products&, \
                                                  const OptimizerOptions&, double, std::int64_t);
RELGRAD_INSTANTIATE(float)
RELGRAD_INSTANTIATE(double)
#undef RELGRAD_INSTANTIATE

}  // namespace relgrad
