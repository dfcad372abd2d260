#include "commands/sample.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <vector>

#include "commands/flow_inverse.hpp"
#include "commands/score_file.hpp"
#include "commands/stop_at_once.hpp"
#include "data/progress.hpp"
#include "hdf5/file.hpp"
#include "model/latent_draws.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/escaped.hpp"
#include "relgrad/core/files.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/exchange/row_group.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/checkpoint_choice.hpp"
#include "run/image_grid.hpp"
#include "start/model.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

/// Samples of a batch, by all ranks of the flow's row group together: z ~ p_Z, x = f^{-1}(z),
/// v = transform^{-1}(x). All memory is taken at the start, but for that of the layers' inverses.
template <class T>
class Sampler {
 public:
  /// @param batch  samples at once, at most
  Sampler(const Model<T>& model, const FlowInverse<T>& inverse, const SampleOptions& options,
          Index batch)
      : model_(&model),
        inverse_(&inverse),
        options_(&options),
        own_z_(model.flow->own().size(), batch),
        own_x_(own_z_.rows(), batch),
        x_(model.flow->row_group() == nullptr ? 0 : model.flow->dimension(), batch),
        values_(model.flow->dimension(), batch),
        workspace_(*model.flow, std::min(batch, checked_together(*model.flow))) {}

  /// Samples of these numbers, D x |samples|, in data units; valid until the next call. Collective
  /// over the row group.
  MatrixMap<double> draw(Range samples) {
    const Index count = samples.size();
    draw_latents(*model_->flow, options_->seed, samples, options_->temperature, labels(samples),
                 MatrixMap<T>(own_z_.data(), own_z_.rows(), count));
    const Flow<T>& flow = *model_->flow;
    (*inverse_)(ConstMatrixMap<T>(own_z_.data(), own_z_.rows(), count),
                MatrixMap<T>(own_x_.data(), own_x_.rows(), count));
    RowGroup<T>* group = flow.row_group();
    if (group != nullptr) {
      group->allgather(ConstMatrixMap<T>(own_x_.data(), own_x_.rows(), count),
                       MatrixMap<T>(x_.data(), x_.rows(), count));
    }
    const Matrix<T>& x = group == nullptr ? own_x_ : x_;
    const MatrixMap<double> values(values_.data(), values_.rows(), count);
    model_->transform->inverse(ConstMatrixMap<T>(x.data(), x.rows(), count), values);
    check(x, count);
    return values;
  }

  /// Their classes; of a model that is not conditional, none.
  std::vector<Label> labels(Range samples) const {
    if (model_->flow->classes() == 0) return {};
    if (options_->label < 0) return draw_labels(*model_->flow, options_->seed, samples);
    return std::vector(static_cast<std::size_t>(samples.size()),
                       static_cast<Label>(options_->label));
  }

  /// max |f(f^{-1}(z)) - z| over what was drawn, in latent units.
  double reconstruction_error() const { return reconstruction_error_; }

 private:
  /// So many samples that the forward pass of the check works in some 128 MiB.
  static Index checked_together(const Flow<T>& flow) {
    Index numbers = 0;
    for (std::size_t i = 0; i < flow.layer_count(); ++i) {
      const LayerShape shape = flow.layer(i).shape();
      numbers += 2 * flow.own(shape.out.size()).size() + shape.leaves + shape.kept;
    }
    const Index ranks = flow.row_group() == nullptr ? 1 : flow.row_group()->size();
    constexpr Index room = Index{128} << 20U;
    return std::max<Index>(1, room / (ranks * std::max<Index>(1, numbers) * Index{sizeof(T)}));
  }

  void check(const Matrix<T>& x, Index count) {
    const RowGroup<T>* group = model_->flow->row_group();
    const bool brings = group == nullptr || group->rank() == 0;
    const Index most = workspace_.capacity() / (group == nullptr ? 1 : group->size());
    for (Index begin = 0; begin < count; begin += most) {
      const Index part = std::min(most, count - begin);
      workspace_.load(x.data() + begin * x.rows(), brings ? part : 0);
      forward(*model_->flow, workspace_);
      const double error = static_cast<double>(
          (workspace_.latents() - own_z_.middleCols(begin, part)).cwiseAbs().maxCoeff());
      if (!(error <= reconstruction_error_)) reconstruction_error_ = error;
    }
  }

  const Model<T>* model_;
  const FlowInverse<T>* inverse_;
  const SampleOptions* options_;
  Matrix<T> own_z_;  // this rank's coordinates
  Matrix<T> own_x_;
  Matrix<T> x_;  // all coordinates, in a row group
  Matrix<double> values_;
  Workspace<T> workspace_;
  double reconstruction_error_ = 0;
};

/// @throws UsageError
void check_label(std::int64_t label, Index classes, const checkpoint::Found& found) {
  if (label < 0 || label < classes) return;
  if (classes == 0) {
    throw UsageError(
        fmt::format("--label: {} has no classes, as train --conditional gives them; "
                    "leave it out",
                    found.directory.string()));
  }
  throw UsageError(fmt::format("--label: {} is no class of the model; the classes are 0 ... {}",
                               label, classes - 1));
}

/// Samples as they are kept: levels of 8-bit data, else numbers in single precision. Real-valued
/// samples may overflow, far out in the latent space. @throws UsageError.
Matrix<float> as_kept(const MatrixMap<double>& values, bool are_levels,
                      const SampleOptions& options) {
  const auto is_finite = values.array().abs() <= double{std::numeric_limits<float>::max()};
  if (!is_finite.all()) {
    throw UsageError(
        fmt::format("--temperature: at {}, {} of {} samples drawn together are not finite; try {}",
                    options.temperature, values.cols() - is_finite.colwise().all().count(),
                    values.cols(), options.temperature > 1 ? "1" : "another checkpoint"));
  }
  if (are_levels) return values.array().floor().max(0.0).min(255.0).cast<float>();
  return values.cast<float>();
}

/// The file that root makes.
class SampleFile {
 public:
  /// @throws UsageError, DiskError
  SampleFile(const SampleOptions& options, const DatasetInfo& data, bool has_labels)
      : path_(options.output),
        are_levels_(data.type == ElementType::uint8),
        dimension_(data.dimension) {
    if (path_.extension() == ".png") {
      grid_.emplace(data.sample_shape, options.count);
      return;
    }
    hdf5::DatasetPlan plan{
        "/samples", are_levels_ ? hdf5::Type::uint8 : hdf5::Type::float32, {}, {}};
    plan.shape = {static_cast<std::uint64_t>(options.count),
                  static_cast<std::uint64_t>(data.dimension)};
    plan.attributes.integers["sample_shape"] = {data.sample_shape.begin(), data.sample_shape.end()};
    std::vector<hdf5::DatasetPlan> plans{plan};
    if (has_labels) plans.push_back({"/labels", hdf5::Type::int64, {plan.shape.front()}, {}});
    numbers_.emplace(path_, "--output", plans);
  }

  /// @param values  of samples first, first + 1, ..., one after another
  void add(std::int64_t first, std::span<const float> values) {
    const auto size = static_cast<std::int64_t>(values.size());
    if (grid_) {
      grid_->draw(first, ConstMatrixMap<float>(values.data(), dimension_, size / dimension_));
    } else if (are_levels_) {
      levels_.assign(values.begin(), values.end());
      numbers_->write(0, static_cast<std::uint64_t>(first * dimension_), levels_.data(),
                      levels_.size());
    } else {
      numbers_->write(0, static_cast<std::uint64_t>(first * dimension_) * sizeof(float),
                      values.data(), values.size_bytes());
    }
  }

  /// Classes of the same samples; a picture has no place for them.
  void add_labels(std::int64_t first, const std::vector<Label>& labels) {
    if (grid_ || labels.empty()) return;
    const std::vector<std::int64_t> wide(labels.begin(), labels.end());
    numbers_->write(1, static_cast<std::uint64_t>(first) * sizeof(std::int64_t), wide.data(),
                    wide.size() * sizeof(std::int64_t));
  }

  void commit() {
    if (grid_) {
      write_image_grid(path_, *grid_);
    } else {
      numbers_->commit();
    }
  }

 private:
  fs::path path_;
  bool are_levels_;
  Index dimension_;
  std::vector<std::uint8_t> levels_;
  std::optional<ImageGrid> grid_;  // of a .png, or
  std::optional<ScoreFile> numbers_;
};

/// Who draws which samples: in every round each group of ranks a batch.
struct Rounds {
  std::int64_t count;  // samples
  std::int64_t batch;
  int groups;

  std::int64_t number() const {
    const std::int64_t at_once = batch * groups;
    return (count + at_once - 1) / at_once;
  }
  Range of_group(std::int64_t round, int group) const {
    const std::int64_t begin = std::min(count, (round * groups + group) * batch);
    return {begin, std::min(count, begin + batch)};
  }
  /// Samples that each rank brings: those of its group, if it is the first of it.
  std::vector<Range> of_ranks(std::int64_t round, int ranks_per_group) const {
    std::vector<Range> ranges;
    for (int rank = 0; rank < groups * ranks_per_group; ++rank) {
      const Range all = of_group(round, rank / ranks_per_group);
      ranges.push_back(rank % ranks_per_group == 0 ? all : Range{all.begin, all.begin});
    }
    return ranges;
  }
};

/// Samples that a rank draws at once: so many that the batch and what a layer's inverse works in
/// take at most 256 MiB.
std::int64_t batch_of(const SampleOptions& options, Index dimension) {
  constexpr std::int64_t room = std::int64_t{256} << 20U;
  constexpr std::int64_t bytes_per_value = 64;  // of latents, samples, layers, rounded up
  return std::clamp<std::int64_t>(room / (bytes_per_value * dimension), 1,
                                  std::min(options.batch_size, options.count));
}

/// Collective. Draws all samples into a new file; returns the reconstruction error.
template <class T>
double draw_into_file(const checkpoint::Found& found, const SampleOptions& options,
                      const DatasetInfo& data, const mpi::Communicator& comm) {
  const Products products(parse_product_backend(options.products));
  const auto group = make_row_group<T>(comm, options.row_groups);
  const Model<T> model = restore_model<T>(found, products, comm, group.get());
  const FlowInverse<T> inverse(
      *model.flow, options.inverse == "learned" ? InverseKind::learned : InverseKind::exact, comm,
      group.get());
  const int together = group == nullptr ? 1 : group->size();
  const Rounds rounds{options.count, batch_of(options, data.dimension),
                      comm.world_size() / together};

  std::optional<SampleFile> file;  // of root
  std::optional<Sampler<T>> sampler;
  mpi::together(comm, [&] {
    if (comm.is_root()) file.emplace(options, data, model.flow->classes() > 0);
    sampler.emplace(model, inverse, options, rounds.batch);
  });
  RowsToRoot to_root(comm, data.dimension);
  Progress progress("samples", static_cast<std::uint64_t>(options.count));
  for (std::int64_t round = 0; round < rounds.number(); ++round) {
    const Range mine = rounds.of_group(round, comm.rank() / together);
    std::optional<MatrixMap<double>> drawn;
    // collective over a group: a rank that fails alone in it leaves, and ends every rank
    if (group != nullptr && mine.size() > 0) drawn.emplace(sampler->draw(mine));
    Matrix<float> kept;
    mpi::together(comm, [&] {
      if (group == nullptr && mine.size() > 0) drawn.emplace(sampler->draw(mine));
      if (drawn) kept = as_kept(*drawn, data.type == ElementType::uint8, options);
    });
    to_root.hand_over(
        rounds.of_ranks(round, together), {kept.data(), static_cast<std::size_t>(kept.size())},
        [&](std::int64_t first, std::span<const float> values) {
          file->add(first, values);
          const auto count = static_cast<std::int64_t>(values.size()) / data.dimension;
          file->add_labels(first, sampler->labels({first, first + count}));
        });
    if (comm.is_root()) {
      const Range last = rounds.of_group(round, rounds.groups - 1);
      progress.add(static_cast<std::uint64_t>(last.end - rounds.of_group(round, 0).begin));
    }
  }
  mpi::together(comm, [&] {
    if (file) file->commit();
  });
  double error = sampler->reconstruction_error();
  comm.allreduce_max(std::span(&error, 1));
  return error;
}

}  // namespace

int sample(const SampleOptions& options, const mpi::Communicator& comm) {
  const StopAtOnce stop(comm.is_root());
  mpi::together(comm, [&] { set_threads(static_cast<int>(options.threads)); });
  const checkpoint::Found found = choose_checkpoint(options.run, options.checkpoint, comm);
  const DatasetInfo data = data_of(found);
  const fs::path output = options.output;
  mpi::together(comm, [&] {
    if (output.extension() != ".png" && output.extension() != ".h5") {
      throw UsageError(fmt::format("--output: {} ends neither in .png nor in .h5", options.output));
    }
    if (options.inverse == "learned" && !model_keeps_inverse(found)) {
      throw UsageError(fmt::format(
          "--inverse: {} has no learned inverses, as --gradient self-normalizing trains "
          "them; use --inverse exact",
          found.directory.string()));
    }
    check_label(options.label, flow_spec_of(found).classes, found);
    if (comm.is_root()) refuse_existing(output, "--output");
    if (output.extension() == ".png" && !data.is_image()) {
      throw UsageError(
          fmt::format("--output: the model's samples have {} dimensions and are no images; name a "
                      "file that ends "
                      "in .h5",
                      data.dimension));
    }
    if (output.extension() == ".png") check_image_grid(data.sample_shape, options.count);
  });
  const double error = precision_of(found) == "float64"
                           ? draw_into_file<double>(found, options, data, comm)
                           : draw_into_file<float>(found, options, data, comm);
  mpi::together(comm, [&] {
    if (!comm.is_root()) return;
    fmt::print("{} samples in {}; {} inverse, max reconstruction error {:.2e} (latent units)\n",
               options.count, printable(output.string()), options.inverse, error);
  });
  return 0;
}

}  // namespace relgrad
