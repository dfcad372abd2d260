#include "commands/sample.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "commands/score_file.hpp"
#include "hdf5/file.hpp"
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

struct Samples {
  Matrix<double> values;            // D x N, data units
  double reconstruction_error = 0;  // max |f(f^{-1}(z)) - z|, in latent units
};

/// z ~ p_Z, x = f^{-1}(z), v = transform^{-1}(x): the memory for all of it, then the work.
template <class T>
class Draw {
 public:
  /// Draws z: every rank of the flow's row group the same. Not collective.
  Draw(const Model<T>& model, const SampleOptions& options)
      : model_(&model),
        options_(&options),
        own_z_(model.flow->own().size(), options.count),
        own_x_(own_z_.rows(), options.count),
        x_(model.flow->row_group() == nullptr ? 0 : model.flow->dimension(), options.count),
        workspace_(*model.flow, options.count) {
    samples_.values.resize(model.flow->dimension(), options.count);
    Vector<T> z(model.flow->dimension());
    for (Index n = 0; n < options.count; ++n) {
      const RandomStream stream(options.seed, Purpose::sample_latent, 0,
                                static_cast<std::uint64_t>(n));
      sample_latent(model.flow->latent(), stream, options.temperature,
                    std::span(z.data(), static_cast<std::size_t>(z.size())));
      own_z_.col(n) = z.segment(model.flow->own().begin, own_z_.rows());
    }
  }

  /// Collective over the flow's row group.
  Samples samples() {
    const Flow<T>& flow = *model_->flow;
    flow.inverse(ConstMatrixMap<T>(own_z_.data(), own_z_.rows(), own_z_.cols()),
                 MatrixMap<T>(own_x_.data(), own_x_.rows(), own_x_.cols()),
                 options_->inverse == "learned" ? InverseKind::learned : InverseKind::exact);
    RowGroup<T>* group = flow.row_group();
    if (group != nullptr) {
      group->allgather(ConstMatrixMap<T>(own_x_.data(), own_x_.rows(), own_x_.cols()),
                       MatrixMap<T>(x_.data(), x_.rows(), x_.cols()));
    }
    Matrix<T>& x = group == nullptr ? own_x_ : x_;
    model_->transform->inverse(
        ConstMatrixMap<T>(x.data(), x.rows(), x.cols()),
        MatrixMap<double>(samples_.values.data(), x.rows(), samples_.values.cols()));

    const bool brings = group == nullptr || group->rank() == 0;
    workspace_.load(x.data(), brings ? options_->count : 0);
    forward(flow, workspace_);
    const auto z_again = workspace_.latents();
    samples_.reconstruction_error = static_cast<double>((z_again - own_z_).cwiseAbs().maxCoeff());
    return std::move(samples_);
  }

 private:
  const Model<T>* model_;
  const SampleOptions* options_;
  Matrix<T> own_z_;  // this rank's coordinates
  Matrix<T> own_x_;
  Matrix<T> x_;  // all coordinates, in a row group
  Workspace<T> workspace_;
  Samples samples_;
};

/// Real-valued samples may overflow, far out in the latent space. @throws UsageError.
void check_finite(const Samples& samples, const SampleOptions& options) {
  if (samples.values.allFinite()) return;
  const Index finite = samples.values.array().isFinite().colwise().all().count();
  throw UsageError(fmt::format("--temperature: at {}, {} of {} samples are not finite; try {}",
                               options.temperature, samples.values.cols() - finite,
                               samples.values.cols(),
                               options.temperature > 1 ? "1" : "another checkpoint"));
}

void write_h5(const fs::path& output, const Samples& samples, const DatasetInfo& data) {
  const bool bytes = data.type == ElementType::uint8;
  const auto rows = static_cast<std::uint64_t>(samples.values.cols());
  const auto dimension = static_cast<std::uint64_t>(samples.values.rows());
  ScoreFile file(
      output, "--output",
      {{"/samples",
        bytes ? hdf5::Type::uint8 : hdf5::Type::float32,
        {rows, dimension},
        {{{"sample_shape", {data.sample_shape.begin(), data.sample_shape.end()}}}, {}}}});
  if (bytes) {
    const Matrix<std::uint8_t> levels =
        samples.values.array().floor().max(0.0).min(255.0).template cast<std::uint8_t>();
    file.write(0, 0, levels.data(), static_cast<std::uint64_t>(levels.size()));
  } else {
    const Matrix<float> values = samples.values.cast<float>();
    file.write(0, 0, values.data(), static_cast<std::uint64_t>(values.size()) * sizeof(float));
  }
  file.commit();
}

template <class T>
Samples draw_from(const checkpoint::Found& found, const SampleOptions& options,
                  const mpi::Communicator& comm) {
  const Products products(parse_product_backend(options.products));
  const auto row_group = make_row_group<T>(comm, options.row_groups);
  const Model<T> model = restore_model<T>(found, products, comm, row_group.get());
  Samples samples;
  try {
    // The draws do not depend on ranks; the root's are the ones that are written.
    std::optional<Draw<T>> draw;
    mpi::together(comm, [&] {
      if (comm.is_root() || row_group != nullptr) draw.emplace(model, options);
      if (comm.is_root() && row_group == nullptr) samples = draw->samples();
    });
    if (row_group != nullptr) samples = draw->samples();
    mpi::together(comm, [&] {
      if (comm.is_root()) check_finite(samples, options);
    });
  } catch (const Error& error) {
    if (error.code() != exit_code_machine || !error.agreed()) throw;
    mpi::throw_on_all_ranks(MachineError(fmt::format(
        "out of memory: draw fewer samples at once with --count (now {})", options.count)));
  }
  comm.allreduce_max(std::span(&samples.reconstruction_error, 1));
  return samples;
}

}  // namespace

int sample(const SampleOptions& options, const mpi::Communicator& comm) {
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
  const Samples samples = precision_of(found) == "float64" ? draw_from<double>(found, options, comm)
                                                           : draw_from<float>(found, options, comm);
  mpi::together(comm, [&] {
    if (!comm.is_root()) return;
    if (output.extension() == ".png") {
      write_image_grid(output, samples.values, data.sample_shape);
    } else {
      write_h5(output, samples, data);
    }
    fmt::print("{} samples in {}; {} inverse, max reconstruction error {:.2e} (latent units)\n",
               options.count, output.string(), options.inverse, samples.reconstruction_error);
  });
  return 0;
}

}  // namespace relgrad
