#pragma once
/// A density model: transform and flow, built from options or from a checkpoint.
#include <memory>
#include <nlohmann/json.hpp>

#include "options/options.hpp"
#include "relgrad/checkpoint/checkpoint.hpp"
#include "relgrad/data/dataset.hpp"
#include "relgrad/exchange/exchange.hpp"
#include "relgrad/gradient/backward.hpp"
#include "relgrad/model/flow.hpp"
#include "relgrad/transform/transform.hpp"

namespace relgrad {

template <class T>
struct Model {
  TransformOptions transform_options;
  std::unique_ptr<Transform<T>> transform;
  std::unique_ptr<Flow<T>> flow;
};

/// @param tracks_log_abs_det  steps tell the change of log|det|
GradientOptions gradient_options_of(const TrainOptions& options, bool tracks_log_abs_det = false);

/// Collective. The model of a run before its first step. A transform that has something to fit is
/// fitted in one pass over the training split (each rank its part, counts are added), and the flow
/// is initialised.
/// @param row_group  as Flow has it
/// @param resumed    checkpoints that the run goes on from, newest first: the transform is theirs,
///                   the training split is not read, and the flow waits for their parameters
template <class T>
Model<T> build_model(const TrainOptions& options, const DatasetInfo& dataset,
                     const SplitReader& train, const Products& products,
                     const mpi::Communicator& comm, RowGroup<T>* row_group = nullptr,
                     const std::vector<checkpoint::Found>& resumed = {});

/// Channels x height x width of images; D x 1 x 1 of other data.
SampleShape sample_shape_of(const DatasetInfo& data);

/// An element-wise layer of `kind` with the numbers that the options give it.
LayerSpec activation_spec(const std::string& kind, const TrainOptions& options);

/// The flow that --model or the short forms (--layers, --activation, ...) say.
/// @throws UsageError
FlowSpec flow_spec_of(const TrainOptions& options, const DatasetInfo& data);
/// How many of its layers are full D x D matrices.
Index linear_layers(const FlowSpec& spec);
/// `options` with --layers and --activation that have as many full layers as `spec`: what a choice
/// by the cost of full layers goes by. 0 layers where there are none.
TrainOptions with_full_layers_of(const FlowSpec& spec, const TrainOptions& options);

/// What a manifest says of a model ("model" in a checkpoint's state).
nlohmann::json describe(const FlowSpec& flow, const TransformOptions& transform,
                        const DatasetInfo& dataset, std::string_view precision);

/// Collective. The model a checkpoint holds, with its parameters; moments are left out.
/// @throws CheckpointError.
template <class T>
Model<T> restore_model(const checkpoint::Found& found, const Products& products,
                       const mpi::Communicator& comm, RowGroup<T>* row_group = nullptr);

/// The flow of a checkpoint's model.
FlowSpec flow_spec_of(const checkpoint::Found& found);
/// The data a checkpoint's model was trained on: dimension, sample shape, element type.
DatasetInfo data_of(const checkpoint::Found& found);
/// Whether the linear layers of a checkpoint's model keep learned inverses.
bool model_keeps_inverse(const checkpoint::Found& found);
/// "float32" or "float64".
std::string precision_of(const checkpoint::Found& found);

/// The blocks of a model's parameters, for save and load.
template <class T>
std::vector<checkpoint::MutableBlock> parameter_blocks(ParameterStore<T>& store);
/// The blocks of the optimizer's moments that this rank holds: of weight matrices its own columns
/// (Exchange::own_columns), of other parameters all.
template <class T>
std::vector<checkpoint::MutableBlock> moment_blocks(ParameterStore<T>& store,
                                                    const Exchange<T>& exchange);
std::vector<checkpoint::ConstBlock> as_const_blocks(
    const std::vector<checkpoint::MutableBlock>& blocks);
std::vector<checkpoint::ConstBlock> table_blocks(const std::vector<TransformTable>& tables);

}  // namespace relgrad
