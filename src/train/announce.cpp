#include "train/announce.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <cmath>

#include "mpi/waiting.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/model/model_line.hpp"
#include "run/progress.hpp"
#include "tuning/product_choice.hpp"

namespace relgrad {

int cores_available() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

template <class T>
void announce(const TrainOptions& options, const DatasetInfo& dataset, const Model<T>& model,
              const Exchange<T>& exchange, const Products& products, int world_size) {
  Index parameters = 0;
  for (ParameterId id = 0; id < model.flow->parameters().count(); ++id) {
    parameters += model.flow->parameters().info(id).rows * model.flow->parameters().info(id).cols;
  }
  std::string sharing;
  if (const RowGroup<T>* group = model.flow->row_group()) {
    sharing = fmt::format(" ({} ranks share every W)", group->size());
  }
  log_info(fmt::format("{}: {} training samples, {} dimensions, {}", dataset.name,
                       dataset.split("train").rows, dataset.dimension, name_of(dataset.type)));
  const Index classes = model.flow->classes();
  log_info(fmt::format("model: {} transform > {} > {} latent{}; {} parameters, {}",
                       name_of(model.transform->kind()), model_line(model.flow->spec().layers),
                       name_of(model.flow->latent()),
                       classes == 0 ? "" : fmt::format(" of each of {} classes", classes),
                       parameters, options.precision));
  log_info(fmt::format("{} rank{} x {} thread{}, {} gradient, {} exchange{}", world_size,
                       world_size == 1 ? "" : "s", options.threads, options.threads == 1 ? "" : "s",
                       options.gradient, exchange.name(), sharing));
  if (world_size > 1) log_info("waiting ranks " + mpi::how_ranks_wait());
  log_info(fmt::format("products: {}", describe(products)));
  if (options.threads > cores_available()) {
    log_warning(fmt::format(
        "--threads {} on {} core{}: start mpirun with --bind-to none or --map-by slot:PE={}",
        options.threads, cores_available(), cores_available() == 1 ? "" : "s", options.threads));
  }
}

template void announce(const TrainOptions&, const DatasetInfo&, const Model<float>&,
                       const Exchange<float>&, const Products&, int);
template void announce(const TrainOptions&, const DatasetInfo&, const Model<double>&,
                       const Exchange<double>&, const Products&, int);

void announce_end(const TrainOptions& options, const RunState& state, double seconds) {
  const std::string done = fmt::format("done: {} steps in {}", state.step, duration_text(seconds));
  if (std::isfinite(state.best_val_bits_per_dim)) {
    log_info(fmt::format("{}; best validation {:.4f} bits/dim at step {}", done,
                         state.best_val_bits_per_dim, state.best_step));
  } else {
    log_info(done);
  }
  log_info(fmt::format("next: relgrad evaluate --run {} --data {}", options.run, options.data));
}

}  // namespace relgrad
