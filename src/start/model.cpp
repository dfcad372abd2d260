#include "start/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/core/partition.hpp"
#include "relgrad/data/epoch_order.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "start/kinked_start.hpp"
#include "translate/translate.hpp"

namespace relgrad {

namespace {

// Values of real-valued data from which a transform is fitted (rows x D): 256 MiB of doubles.
constexpr std::int64_t fit_values_at_most = std::int64_t{1} << 25U;
constexpr std::int64_t rows_at_once = 1000;

template <class T>
std::unique_ptr<Transform<T>> fit_to_levels(const TransformOptions& options,
                                            const SplitReader& train,
                                            const mpi::Communicator& comm) {
  LevelCounts counts;
  counts.dimension = train.dimension();
  counts.counts.assign(static_cast<std::size_t>(256 * train.dimension()), 0);
  const Range part =
      part_of(static_cast<std::int64_t>(train.rows()), comm.rank(), comm.world_size());
  mpi::together(comm, [&] {
    RawBatch batch;
    for (std::int64_t row = part.begin; row < part.end; row += rows_at_once) {
      const std::int64_t end = std::min(row + rows_at_once, part.end);
      train.read_range(static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(end), batch);
      counts.add(batch);
    }
  });
  comm.allreduce_sum(std::span(counts.counts));
  return fit_transform<T>(options, counts);
}

template <class T>
std::unique_ptr<Transform<T>> fit_to_values(const TransformOptions& options,
                                            const SplitReader& train,
                                            const mpi::Communicator& comm) {
  // Every rank reads the same rows: all of them, or so many in the keyed order of an epoch, as
  // they may lie in an order of their own in the file.
  const std::int64_t rows = static_cast<std::int64_t>(train.rows());
  const std::int64_t used =
      std::min(rows, std::max<std::int64_t>(1000, fit_values_at_most / train.dimension()));
  Matrix<double> sample(train.dimension(), used);
  mpi::together(comm, [&] {
    const EpochOrder order(0, 0, train.rows());
    RawBatch batch;
    for (std::int64_t i = 0; i < used; ++i) {
      const auto at = static_cast<std::uint64_t>(i);
      const std::uint64_t row = used == rows ? at : order.sample_at(at);
      train.read_range(row, row + 1, batch);
      for (Index d = 0; d < train.dimension(); ++d) {
        sample(d, i) = static_cast<double>(batch.float32_data()[d]);
      }
    }
  });
  return fit_transform<T>(options, sample);
}

/// The transform whose fitted tables a checkpoint holds. @throws CheckpointError, DataError
template <class T>
std::unique_ptr<Transform<T>> restored_transform(const checkpoint::Found& found,
                                                 const TransformOptions& options, Index dimension) {
  std::vector<TransformTable> tables;
  for (const auto& tensor : found.manifest.at("tensors")) {
    const std::string name = tensor.at("name").get<std::string>();
    if (!name.starts_with("transform/")) continue;
    const Matrix<double> values = checkpoint::read_tensor(found, name);
    tables.push_back({name.substr(std::string("transform/").size()),
                      values.rows(),
                      values.cols(),
                      {values.data(), values.data() + values.size()}});
  }
  return restore_transform<T>(options, data_of(found).type, dimension, tables);
}

/// That of the newest checkpoint that can be read; null if there is none.
template <class T>
std::unique_ptr<Transform<T>> resumed_transform(const std::vector<checkpoint::Found>& candidates,
                                                const TransformOptions& options, Index dimension,
                                                const mpi::Communicator& comm) {
  for (const checkpoint::Found& found : candidates) {
    std::unique_ptr<Transform<T>> transform;
    double failed = 0;
    try {
      transform = restored_transform<T>(found, options, dimension);
    } catch (const Error&) {
      failed = 1;  // whoever loads the weights tells what is wrong with it
    }
    comm.allreduce_sum(std::span(&failed, 1));
    if (failed == 0) return transform;
  }
  return nullptr;
}

template <class T>
std::unique_ptr<Transform<T>> fit(const TransformOptions& options, const DatasetInfo& dataset,
                                  const SplitReader& train, const mpi::Communicator& comm) {
  if (options.kind == TransformKind::logit || options.kind == TransformKind::none) {
    return restore_transform<T>(options, dataset.type, dataset.dimension, {});  // nothing to fit
  }
  return dataset.type == ElementType::uint8 ? fit_to_levels<T>(options, train, comm)
                                            : fit_to_values<T>(options, train, comm);
}

template <class T>
constexpr checkpoint::TensorType tensor_type = sizeof(T) == 4 ? checkpoint::TensorType::float32
                                                              : checkpoint::TensorType::float64;

const nlohmann::json& model_state(const checkpoint::Found& found) {
  return found.manifest.at("state").at("model");
}

/// As frequent as in the training split.
template <class T>
void set_prior(Flow<T>& flow, const std::vector<std::uint64_t>& class_rows) {
  const auto total =
      static_cast<double>(std::accumulate(class_rows.begin(), class_rows.end(), std::uint64_t{0}));
  std::ranges::transform(class_rows, flow.prior().begin(), [&](std::uint64_t rows) {
    return static_cast<T>(static_cast<double>(rows) / total);
  });
  flow.prepare();
}

}  // namespace

template <class T>
Model<T> build_model(const TrainOptions& options, const DatasetInfo& dataset,
                     const SplitReader& train, const Products& products,
                     const mpi::Communicator& comm, RowGroup<T>* row_group,
                     const std::vector<checkpoint::Found>& resumed) {
  Model<T> model;
  model.transform_options = transform_options_of(options, dataset);
  model.transform = resumed_transform<T>(resumed, model.transform_options, dataset.dimension, comm);
  if (model.transform == nullptr) {
    model.transform = fit<T>(model.transform_options, dataset, train, comm);
  }
  const FlowSpec spec = flow_spec_of(options, dataset);
  model.flow = std::make_unique<Flow<T>>(spec, products, row_group);
  if (!resumed.empty()) return model;
  // whitening: the first layer is fitted later, by a run that does not go on from a checkpoint
  const bool is_later = options.init == "whitening" || options.init == "kinked";
  const std::string start = is_later ? "identity" : options.init;
  model.flow->initialize(parse_initialization(start), options.init_noise, options.seed);
  if (spec.classes > 0) set_prior(*model.flow, dataset.class_rows);
  if (options.init == "kinked") start_kinked(model, options, train, comm);
  return model;
}

nlohmann::json describe(const FlowSpec& flow, const TransformOptions& transform,
                        const DatasetInfo& dataset, std::string_view precision) {
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerSpec& layer : flow.layers) {
    layers.push_back({{"kind", layer.kind}, {"settings", layer.settings}});
  }
  nlohmann::json model = {{"dimension", flow.dimension()},
                          {"latent", name_of(flow.latent)},
                          {"layers", layers},
                          {"precision", precision},
                          {"transform",
                           {{"kind", name_of(transform.kind)},
                            {"logit_a", transform.logit_a},
                            {"marginal_pseudo_count", transform.marginal_pseudo_count}}},
                          {"data",
                           {{"name", dataset.name},
                            {"sample_shape", dataset.sample_shape},
                            {"type", name_of(dataset.type)},
                            {"value_range", {dataset.value_min, dataset.value_max}},
                            {"identity", dataset.identity}}}};
  if (flow.classes > 0) model["classes"] = flow.classes;
  return model;
}

FlowSpec flow_spec_of(const checkpoint::Found& found) {
  const nlohmann::json& state = model_state(found);
  FlowSpec spec;
  spec.sample = sample_shape_of(data_of(found));
  spec.latent = parse_latent(state.at("latent").get<std::string>());
  spec.classes = state.value("classes", Index{0});  // older checkpoints have none
  for (const auto& layer : state.at("layers")) {
    spec.layers.push_back({layer.at("kind").get<std::string>(),
                           layer.at("settings").get<std::map<std::string, double>>()});
  }
  return spec;
}

DatasetInfo data_of(const checkpoint::Found& found) {
  const nlohmann::json& model = model_state(found);
  DatasetInfo data;
  data.name = model.at("data").at("name").get<std::string>();
  data.dimension = model.at("dimension").get<Index>();
  data.sample_shape = model.at("data").at("sample_shape").get<std::vector<Index>>();
  data.type = model.at("data").at("type").get<std::string>() == "uint8" ? ElementType::uint8
                                                                        : ElementType::float32;
  data.identity = model.at("data").at("identity").get<std::string>();
  const auto range = model.at("data").value("value_range", std::vector<double>{0.0, 0.0});
  data.value_min = range.at(0);
  data.value_max = range.at(1);
  return data;
}

bool model_keeps_inverse(const checkpoint::Found& found) {
  const auto& layers = model_state(found).at("layers");
  return std::ranges::any_of(
      layers, [](const auto& layer) { return layer.at("settings").contains("inverse"); });
}

std::string precision_of(const checkpoint::Found& found) {
  return model_state(found).at("precision").get<std::string>();
}

template <class T>
Model<T> restore_model(const checkpoint::Found& found, const Products& products,
                       const mpi::Communicator& comm, RowGroup<T>* row_group) {
  const nlohmann::json& state = model_state(found);
  Model<T> model;
  const FlowSpec spec = flow_spec_of(found);
  model.flow = std::make_unique<Flow<T>>(spec, products, row_group);
  checkpoint::load(comm, found, parameter_blocks(model.flow->parameters()));
  model.flow->prepare();

  const auto& transform = state.at("transform");
  model.transform_options.kind = parse_transform_kind(transform.at("kind").get<std::string>());
  model.transform_options.logit_a = transform.at("logit_a").get<double>();
  model.transform_options.marginal_pseudo_count =
      transform.at("marginal_pseudo_count").get<double>();
  mpi::together(comm, [&] {
    model.transform = restored_transform<T>(found, model.transform_options, spec.dimension());
  });
  return model;
}

template <class T>
std::vector<checkpoint::MutableBlock> parameter_blocks(ParameterStore<T>& store) {
  std::vector<checkpoint::MutableBlock> blocks;
  for (ParameterId id = 0; id < store.count(); ++id) {
    const ParameterInfo& info = store.info(id);
    blocks.push_back({info.name, tensor_type<T>, info.rows, info.cols, info.col_begin, info.col_end,
                      store.values(id).data()});
  }
  return blocks;
}

template <class T>
std::vector<checkpoint::MutableBlock> moment_blocks(ParameterStore<T>& store,
                                                    const Exchange<T>& exchange) {
  std::vector<checkpoint::MutableBlock> blocks;
  for (int m = 0; m < store.moment_count(); ++m) {
    for (ParameterId id = 0; id < store.count(); ++id) {
      if (!store.has_moments(id)) continue;
      const ParameterInfo& info = store.info(id);
      if (!info.use.moves) continue;
      const Range own = info.use.by_columns ? exchange.own_columns(info.col_end - info.col_begin)
                                            : Range{0, info.cols};
      if (own.size() == 0) continue;
      blocks.push_back({fmt::format("optimizer/moment{}/{}", m + 1, info.name), tensor_type<T>,
                        info.rows, info.cols, info.col_begin + own.begin, info.col_begin + own.end,
                        store.moment(m, id).data() + info.rows * own.begin});
    }
  }
  return blocks;
}

std::vector<checkpoint::ConstBlock> as_const_blocks(
    const std::vector<checkpoint::MutableBlock>& blocks) {
  std::vector<checkpoint::ConstBlock> result;
  for (const auto& b : blocks) {
    result.push_back({b.name, b.type, b.rows, b.cols, b.col_begin, b.col_end, b.data});
  }
  return result;
}

std::vector<checkpoint::ConstBlock> table_blocks(const std::vector<TransformTable>& tables) {
  std::vector<checkpoint::ConstBlock> result;
  for (const auto& t : tables) {
    result.push_back({"transform/" + t.name, checkpoint::TensorType::float64, t.rows, t.cols, 0,
                      t.cols, t.values.data()});
  }
  return result;
}

template Model<float> build_model(const TrainOptions&, const DatasetInfo&, const SplitReader&,
                                  const Products&, const mpi::Communicator&, RowGroup<float>*,
                                  const std::vector<checkpoint::Found>&);
template Model<double> build_model(const TrainOptions&, const DatasetInfo&, const SplitReader&,
                                   const Products&, const mpi::Communicator&, RowGroup<double>*,
                                   const std::vector<checkpoint::Found>&);
template Model<float> restore_model(const checkpoint::Found&, const Products&,
                                    const mpi::Communicator&, RowGroup<float>*);
template Model<double> restore_model(const checkpoint::Found&, const Products&,
                                     const mpi::Communicator&, RowGroup<double>*);
template std::vector<checkpoint::MutableBlock> parameter_blocks(ParameterStore<float>&);
template std::vector<checkpoint::MutableBlock> parameter_blocks(ParameterStore<double>&);
template std::vector<checkpoint::MutableBlock> moment_blocks(ParameterStore<float>&,
                                                             const Exchange<float>&);
template std::vector<checkpoint::MutableBlock> moment_blocks(ParameterStore<double>&,
                                                             const Exchange<double>&);

}  // namespace relgrad
