#pragma once
/// A density model: transform and flow, built from options or from a checkpoint.
#include <memory>
#include <nlohmann/json.hpp>

#include "options/options.hpp"
#include "relgrad/checkpoint/checkpoint.hpp"
#include "relgrad/data/dataset.hpp"
#include "relgrad/exchange/exchange.hpp"
#include "relgrad/model/flow.hpp"
#include "relgrad/transform/transform.hpp"

namespace relgrad {

template <class T>
struct Model {
  TransformOptions transform_options;
  std::unique_ptr<Transform<T>> transform;
  std::unique_ptr<Flow<T>> flow;
};

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
