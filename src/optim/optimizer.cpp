#include "relgrad/optim/optimizer.hpp"

#include <fmt/format.h>

#include <cmath>

#include "optim/kernels/update.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

OptimizerKind parse_optimizer_kind(std::string_view name) {
  if (name == "sgd") return OptimizerKind::sgd;
  if (name == "momentum") return OptimizerKind::momentum;
  if (name == "adam") return OptimizerKind::adam;
  if (name == "natural") return OptimizerKind::natural;
  throw UsageError(fmt::format("--optimizer: '{}' is none of adam, momentum, natural, sgd", name));
}

std::string_view name_of(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::sgd:
      return "sgd";
    case OptimizerKind::momentum:
      return "momentum";
    case OptimizerKind::natural:
      return "natural";
    case OptimizerKind::adam:
      break;
  }
  return "adam";
}

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
