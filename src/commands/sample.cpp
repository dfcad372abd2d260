#include "commands/sample.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "commands/image_grid.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/exchange/row_group.hpp"
#include "relgrad/hdf5/file.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "run/checkpoint_choice.hpp"
#include "start/model.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

struct Samples {
  Matrix<double> values;            // D x N, data units
  double reconstruction_error = 0;  // max |f(f^{-1}(z)) - z|, in latent units
};

/// z ~ p_Z, x = f^{-1}(z), v = transform^{-1}(x). Collective over the flow's row group, every rank
/// of which draws the same.
template <class T>
Samples draw(const Model<T>& model, const SampleOptions& options) {
  const Index dimension = model.flow->dimension();
  Matrix<T> z(dimension, options.count);
  for (Index n = 0; n < options.count; ++n) {
    const RandomStream stream(options.seed, Purpose::sample_latent, 0,
                              static_cast<std::uint64_t>(n));
    sample_latent(model.flow->latent(), stream, options.temperature,
                  std::span(z.col(n).data(), static_cast<std::size_t>(dimension)));
  }
  RowGroup<T>* group = model.flow->row_group();
  const Range own = model.flow->own();
  const Matrix<T> own_z = z.middleRows(own.begin, own.size());
  Matrix<T> x(own.size(), options.count);
  model.flow->inverse(ConstMatrixMap<T>(own_z.data(), own.size(), options.count),
                      MatrixMap<T>(x.data(), own.size(), options.count),
                      options.inverse == "learned" ? InverseKind::learned : InverseKind::exact);
  if (group != nullptr) {
    const Matrix<T> own_x = std::exchange(x, Matrix<T>(dimension, options.count));
    group->allgather(ConstMatrixMap<T>(own_x.data(), own.size(), options.count),
                     MatrixMap<T>(x.data(), dimension, options.count));
  }

  Samples samples;
  samples.values.resize(dimension, options.count);
  model.transform->inverse(ConstMatrixMap<T>(x.data(), dimension, options.count),
                           MatrixMap<double>(samples.values.data(), dimension, options.count));

  Workspace<T> workspace(*model.flow, options.count);
  const bool brings = group == nullptr || group->rank() == 0;
  workspace.load(x.data(), brings ? options.count : 0);
  forward(*model.flow, workspace);
  const auto z_again = workspace.latents();
  samples.reconstruction_error = static_cast<double>((z_again - own_z).cwiseAbs().maxCoeff());
  return samples;
}

void write_h5(const fs::path& output, const Samples& samples, const DatasetInfo& data) {
  const bool bytes = data.type == ElementType::uint8;
  const auto rows = static_cast<std::uint64_t>(samples.values.cols());
  const auto dimension = static_cast<std::uint64_t>(samples.values.rows());
  std::error_code ignored;
  fs::remove(output, ignored);
  const auto places = hdf5::create(
      output, {{"/samples",
                bytes ? hdf5::Type::uint8 : hdf5::Type::float32,
                {rows, dimension},
                {{{"sample_shape", {data.sample_shape.begin(), data.sample_shape.end()}}}, {}}}});
  const hdf5::RawFile file(output, hdf5::RawFile::Mode::write);
  if (bytes) {
    const Matrix<std::uint8_t> levels =
        samples.values.array().floor().max(0.0).min(255.0).template cast<std::uint8_t>();
    file.write_at(places[0].offset, levels.data(), places[0].bytes);
  } else {
    const Matrix<float> values = samples.values.cast<float>();
    file.write_at(places[0].offset, values.data(), places[0].bytes);
  }
}

template <class T>
Samples draw_from(const checkpoint::Found& found, const SampleOptions& options,
                  const mpi::Communicator& comm) {
  const Products products(parse_product_backend(options.products));
  const auto row_group = make_row_group<T>(comm, options.row_groups);
  const Model<T> model = restore_model<T>(found, products, comm, row_group.get());
  Samples samples;
  // The draws do not depend on ranks; the root's are the ones that are written.
  mpi::together(comm, [&] {
    if (comm.is_root() || row_group != nullptr) samples = draw(model, options);
  });
  comm.allreduce_max(std::span(&samples.reconstruction_error, 1));
  return samples;
}

}  // namespace

int sample(const SampleOptions& options, const mpi::Communicator& comm) {
  set_threads(static_cast<int>(options.threads));
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
    if (output.extension() == ".png" && !data.is_image()) {
      throw UsageError(
          fmt::format("--output: the model's samples have {} dimensions and are no images; name a "
                      "file that ends "
                      "in .h5",
                      data.dimension));
    }
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
