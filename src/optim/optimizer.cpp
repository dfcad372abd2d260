#include "relgrad/optim/optimizer.hpp"

#include <fmt/format.h>

#include <cmath>

#include "core/names.hpp"
#include "optim/kernels/update.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

constexpr Names<OptimizerKind, 4> names = {{{OptimizerKind::adam, "adam"},
                                            {OptimizerKind::momentum, "momentum"},
                                            {OptimizerKind::natural, "natural"},
                                            {OptimizerKind::sgd, "sgd"}}};

}  // namespace

OptimizerKind parse_optimizer_kind(std::string_view name) {
  if (const auto kind = value_for(names, name)) return *kind;
  throw UsageError(fmt::format("--optimizer: '{}' is none of {}", name, all_words(names)));
}

std::string_view name_of(OptimizerKind kind) { return word_for(names, kind); }

template <class T>
int Optimizer<T>::moment_count() const {
  return options_.kind == OptimizerKind::sgd ? 0 : options_.kind == OptimizerKind::momentum ? 1 : 2;
}

template <class T>
void Optimizer<T>::apply(const UpdateTile<T>& tile, std::int64_t step, double samples,
                         double lr) const {
  check_size("Optimizer::apply", "gradient", static_cast<std::int64_t>(tile.gradient_sum.size()),
             static_cast<std::int64_t>(tile.values.size()));
  const kernels::UpdateLoop<T> loop{tile.values.size(),
                                    tile.values.data(),
                                    tile.gradient_sum.data(),
                                    tile.matrix,
                                    tile.matrix_factor,
                                    static_cast<T>(1.0 / samples),
                                    tile.value_factor,
                                    static_cast<T>(lr),
                                    static_cast<T>(tile.decay ? lr * options_.weight_decay : 0.0)};
  switch (options_.kind) {
    case OptimizerKind::sgd:
      kernels::update_sgd(loop);
      return;
    case OptimizerKind::momentum:
      kernels::update_momentum(loop, tile.first_moment.data(), static_cast<T>(options_.momentum));
      return;
    case OptimizerKind::natural:
      if (tile.row_factor != nullptr) {
        kernels::update_scaled(loop, tile.row_factor, tile.rows);
        return;
      }
      [[fallthrough]];
    case OptimizerKind::adam: {
      const double t = static_cast<double>(step + 1);
      kernels::update_adam(loop, tile.first_moment.data(), tile.second_moment.data(),
                           static_cast<T>(options_.beta1), static_cast<T>(options_.beta2),
                           static_cast<T>(options_.epsilon),
                           static_cast<T>(1.0 / (1.0 - std::pow(options_.beta1, t))),
                           static_cast<T>(1.0 / std::sqrt(1.0 - std::pow(options_.beta2, t))));
      return;
    }
  }
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace relgrad
