#pragma once
/// RUN/samples/step-000012000.png: what the model draws from the same latent vectors, validation by
/// validation.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "options/options.hpp"
#include "relgrad/data/dataset.hpp"
#include "run/run_directory.hpp"
#include "start/model.hpp"

namespace relgrad {

/// Whether and by which inverse a run draws grids. Nothing: --sample-grids off; data that are no
/// images of one or three channels; layers whose columns ranks share; with auto, an exact inverse
/// that takes more than 10^9 operations and more than 2 % of the steps between two validations,
/// where no inverse is learned.
/// @param rows  of the training split
template <class T>
std::optional<InverseKind> sample_grid_inverse(const TrainOptions& options, const Flow<T>& flow,
                                               const DatasetInfo& dataset, std::uint64_t rows);

template <class T>
class SampleGrids {
 public:
  /// Draws 36 latent vectors, those of `relgrad sample --seed SEED`; of a model of 4 ... 12 classes
  /// as many that each class has a row. The model and `run` must
  /// outlive it.
  /// @param run      null on ranks that do not write: they do nothing
  /// @param inverse  as sample_grid_inverse() has it
  SampleGrids(const Model<T>& model, const DatasetInfo& dataset, std::uint64_t seed,
              std::optional<InverseKind> inverse, RunDirectory* run);

  /// Removes the grids of later steps, which a resumed run draws again.
  void cut(std::int64_t step) const;
  /// Not collective. Draws and writes the grid of `step`; returns the PNG, or "" where there is
  /// none. A failure costs the picture, not the run: it is warned of once.
  std::string draw(std::int64_t step);

 private:
  std::string png() const;

  const Model<T>* model_;
  const DatasetInfo* dataset_;
  std::optional<InverseKind> inverse_;
  RunDirectory* run_;
  Matrix<T> z_;                // D x N, before they are taken to their classes
  std::vector<Label> labels_;  // N, of a conditional model; otherwise none
  bool warned_ = false;
};

}  // namespace relgrad
