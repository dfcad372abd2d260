#include "run/run_checkpoints.hpp"

#include <fmt/format.h>

#include "options/option_table.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

template <class T>
RunCheckpoints<T>::RunCheckpoints(const TrainOptions& options, const DatasetInfo& dataset,
                                  Model<T>& model, const Exchange<T>& exchange,
                                  const nlohmann::json& choices, const mpi::Communicator& comm,
                                  const RunDirectory* run)
    : options_(&options),
      dataset_(&dataset),
      model_(&model),
      exchange_(&exchange),
      choices_(choices),
      comm_(&comm),
      run_(run) {}

template <class T>
void RunCheckpoints<T>::check_may_write() const {
  if (run_ != nullptr) run_->check_ours();
}

template <class T>
checkpoint::Save RunCheckpoints<T>::begin(const RunState& state, checkpoint::Writing writing) {
  return begin_in(options_->run, state, writing);
}

template <class T>
checkpoint::SaveResult RunCheckpoints<T>::save_aside(const std::filesystem::path& directory,
                                                     const RunState& state) {
  return begin_in(directory, state, checkpoint::Writing::at_once).finish();
}

template <class T>
checkpoint::Save RunCheckpoints<T>::begin_in(const std::filesystem::path& directory,
                                             const RunState& state, checkpoint::Writing writing) {
  const std::vector<TransformTable> tables = model_->transform->tables();
  auto all = as_const_blocks(blocks());
  for (const auto& block : table_blocks(tables)) all.push_back(block);
  const checkpoint::Retention retention{static_cast<int>(options_->keep_last), 1,
                                        static_cast<int>(options_->keep_every)};
  return {*comm_, directory, state.step, manifest_state(state),
          all,    retention, writing,    [this] { check_may_write(); }};
}

template <class T>
RunState RunCheckpoints<T>::load(const ResumePoint& resume) {
  for (const checkpoint::Found& candidate : resume.candidates) {
    try {
      checkpoint::load(*comm_, candidate, blocks());
    } catch (const CheckpointError& error) {  // on all ranks alike: the next older one is tried
      log_warning(error.what());
      continue;
    }
    model_->flow->prepare();
    const RunState state = run_state_from(candidate.manifest.at("state"));
    log_info(fmt::format("resumed from {} (step {}, epoch {:.2f})", candidate.directory.string(),
                         state.step, state.epochs_done()));
    return state;
  }
  mpi::throw_on_all_ranks(CheckpointError(
      fmt::format("--resume: none of the {} checkpoints can be loaded; restore one from a copy, or "
                  "start again in another --run",
                  resume.candidates.size())));
}

template <class T>
std::vector<checkpoint::MutableBlock> RunCheckpoints<T>::blocks() {
  auto blocks = parameter_blocks(model_->flow->parameters());
  for (const auto& block : moment_blocks(model_->flow->parameters(), *exchange_)) {
    blocks.push_back(block);
  }
  return blocks;
}

template <class T>
nlohmann::json RunCheckpoints<T>::manifest_state(const RunState& state) const {
  nlohmann::json json = to_json(state);
  json["seed"] = options_->seed;
  json["options"] = to_map(*options_);
  json["model"] =
      describe(model_->flow->spec(), model_->transform_options, *dataset_, options_->precision);
  json["world_size"] = comm_->world_size();
  json["choices"] = choices_;
  return json;
}

template class RunCheckpoints<float>;
template class RunCheckpoints<double>;

}  // namespace relgrad
