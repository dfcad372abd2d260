#include "run/sample_grids.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <vector>

#include "model/latent_draws.hpp"
#include "model/operations.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/log.hpp"
#include "run/image_grid.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

/// 36 images; of 4 ... 12 classes, as many of each class as there are classes: a class per row.
Index grid_count(const FlowSpec& flow) {
  return flow.classes >= 4 && flow.classes <= 12 ? flow.classes * flow.classes : 36;
}

std::vector<Label> class_per_row(Index classes) {
  std::vector<Label> labels;
  for (Index n = 0; n < classes * classes; ++n) labels.push_back(static_cast<Label>(n / classes));
  return labels;
}

/// The step of step-N.png.
std::optional<std::int64_t> step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  constexpr std::string_view begin = "step-";
  constexpr std::string_view end = ".png";
  if (!name.starts_with(begin) || !name.ends_with(end)) return std::nullopt;
  std::int64_t step = 0;
  const char* const last = name.data() + name.size() - end.size();
  const auto [stopped, error] = std::from_chars(name.data() + begin.size(), last, step);
  return error == std::errc() && stopped == last ? std::optional(step) : std::nullopt;
}

}  // namespace

template <class T>
std::optional<InverseKind> sample_grid_inverse(const TrainOptions& options, const Flow<T>& flow,
                                               const DatasetInfo& dataset, std::uint64_t rows) {
  const bool is_picture = dataset.is_image() &&
                          (dataset.sample_shape.front() == 1 || dataset.sample_shape.front() == 3);
  if (options.sample_grids == "off" || !is_picture || flow.row_group() != nullptr) return {};
  // A step's backward pass takes twice the operations of its forward pass.
  const double samples = static_cast<double>(rows) * static_cast<double>(options.eval_every);
  const double training = 3 * samples * forward_operations(flow.spec());
  constexpr double cheap = 1e9;
  constexpr double part = 0.02;
  const double inverse = inverse_operations(flow.spec(), grid_count(flow.spec()));
  if (options.sample_grids == "on" || inverse <= std::max(cheap, part * training)) {
    return InverseKind::exact;
  }
  if (flow.keeps_inverse()) return InverseKind::learned;
  return std::nullopt;
}

template <class T>
SampleGrids<T>::SampleGrids(const Model<T>& model, const DatasetInfo& dataset, std::uint64_t seed,
                            std::optional<InverseKind> inverse, RunDirectory* run)
    : model_(&model), dataset_(&dataset), inverse_(inverse), run_(run) {
  if (run == nullptr || !inverse) return;
  const Flow<T>& flow = *model.flow;
  z_.resize(flow.dimension(), grid_count(flow.spec()));
  const Range draws{0, z_.cols()};
  draw_latents(flow, seed, draws, 1.0, {}, MatrixMap<T>(z_.data(), z_.rows(), z_.cols()));
  if (flow.classes() == 0) return;
  labels_ = z_.cols() == flow.classes() * flow.classes() ? class_per_row(flow.classes())
                                                         : draw_labels(flow, seed, draws);
}

template <class T>
void SampleGrids<T>::cut(std::int64_t step) const {
  if (run_ == nullptr) return;
  run_->check_ours();
  std::vector<fs::path> later;
  std::error_code error;
  for (fs::directory_iterator entry(run_->path() / "samples", error), end; !error && entry != end;
       entry.increment(error)) {
    const auto of = step_of(entry->path());
    if (of && *of > step) later.push_back(entry->path());
  }
  for (const fs::path& path : later) fs::remove(path, error);
}

template <class T>
std::string SampleGrids<T>::draw(std::int64_t step) {
  if (run_ == nullptr || !inverse_ || !run_->is_ours()) return {};
  const fs::path path = run_->path() / "samples" / fmt::format("step-{:09}.png", step);
  try {
    std::string picture = png();
    std::error_code ignored;  // the write tells it
    fs::create_directory(path.parent_path(), ignored);
    replace_file(path, picture);
    return picture;
  } catch (const std::exception& error) {  // a disk, no memory, a singular W: the run needs none
    if (!warned_) log_warning(fmt::format("{}: no picture: {}", path.string(), error.what()));
    warned_ = true;
    return {};
  }
}

/// z -> x = f^{-1}(z) -> v = transform^{-1}(x), as pixels.
template <class T>
std::string SampleGrids<T>::png() const {
  Matrix<T> z = z_;
  for (std::size_t n = 0; n < labels_.size(); ++n) {  // means and scales move from step to step
    model_->flow->move_to_class(labels_[n], std::span(z.col(static_cast<Index>(n)).data(),
                                                      static_cast<std::size_t>(z.rows())));
  }
  Matrix<T> x(z.rows(), z.cols());
  model_->flow->inverse(ConstMatrixMap<T>(z.data(), z.rows(), z.cols()),
                        MatrixMap<T>(x.data(), x.rows(), x.cols()), *inverse_);
  Matrix<double> values(x.rows(), x.cols());
  model_->transform->inverse(ConstMatrixMap<T>(x.data(), x.rows(), x.cols()),
                             MatrixMap<double>(values.data(), values.rows(), values.cols()));
  return image_grid_png(values, dataset_->sample_shape);
}

template std::optional<InverseKind> sample_grid_inverse(const TrainOptions&, const Flow<float>&,
                                                        const DatasetInfo&, std::uint64_t);
template std::optional<InverseKind> sample_grid_inverse(const TrainOptions&, const Flow<double>&,
                                                        const DatasetInfo&, std::uint64_t);
template class SampleGrids<float>;
template class SampleGrids<double>;

}  // namespace relgrad
