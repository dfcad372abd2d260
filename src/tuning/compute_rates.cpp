#include "tuning/compute_rates.hpp"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "exchange/link_rates.hpp"
#include "relgrad/exchange/exchange.hpp"
#include "relgrad/gradient/backward.hpp"
#include "relgrad/gradient/buffer.hpp"
#include "relgrad/likelihood/log_likelihood.hpp"

namespace relgrad {

namespace {

constexpr Index slice_bytes = Index{32} << 20;        // of W: more than caches hold
constexpr Index tile_bytes = Index{512} << 10;        // that the optimizer works on
constexpr Index most_sample_bytes = Index{32} << 20;  // a D x n matrix of samples

/// Whatever this process is bound to: its neighbours are bound to others.
double cores_of_machine() {
  return static_cast<double>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

/// The three products of a layer with D x c columns of W and n samples, 8 n D c flops:
/// Y = W X, W^T [Delta | Y], Delta P^T tile by tile.
template <class T>
class LayerProducts {
 public:
  LayerProducts(const Products& products, Index dimension, Index columns, Index most_samples)
      : products_(&products),
        d_(dimension),
        c_(columns),
        weight_(Matrix<T>::Constant(dimension, columns, T(0.01))),
        big_(Matrix<T>::Constant(dimension, 2 * most_samples, T(0.01))),
        small_(Matrix<T>::Constant(columns, 2 * most_samples, T(0.01))),
        tile_(Matrix<T>(dimension, tile_columns())) {}

  void run(Index n) {
    products_->gemm(Transpose::no, Transpose::no, d_, n, c_, weight_.data(), d_, small_.data(), c_,
                    Onto::zero, big_.data(), d_);
    products_->gemm(Transpose::yes, Transpose::no, c_, 2 * n, d_, weight_.data(), d_, big_.data(),
                    d_, Onto::zero, small_.data(), c_);
    for (Index begin = 0; begin < c_; begin += tile_.cols()) {
      products_->gemm(Transpose::no, Transpose::yes, d_, std::min(tile_.cols(), c_ - begin), n,
                      big_.data(), d_, small_.data() + begin, c_, Onto::zero, tile_.data(), d_);
    }
    small_.setConstant(T(0.01));  // numbers stay of a size that products meet
  }

 private:
  Index tile_columns() const {
    return std::min(relgrad::tile_columns(d_, sizeof(T)), std::max<Index>(1, c_));
  }

  const Products* products_;
  Index d_;
  Index c_;
  Matrix<T> weight_;
  Matrix<T> big_;
  Matrix<T> small_;
  Matrix<T> tile_;
};

/// seconds of n samples = passes over W + flops / rate: from two numbers of samples.
template <class T>
void measure_products(const mpi::Communicator& comm, const Products& products,
                      const StepShape& shape, ComputeRates& rates) {
  // Without full layers: products of a size that other layers have.
  const Index d = shape.layers > 0 ? shape.dimension : Index{512};
  const auto element = static_cast<Index>(sizeof(T));
  const Index columns = std::clamp<Index>(slice_bytes / (d * element), 1, d);
  const Index most = std::max<Index>(8, most_sample_bytes / (d * element));
  const Index batch = static_cast<Index>(shape.batch_size);
  const Index few = std::clamp<Index>(batch / shape.ranks, 1, most / 4);
  const Index many = std::clamp<Index>(batch, 2 * few, most);
  LayerProducts<T> layer(products, d, columns, many);
  // The fastest call: ranks compute at the same time here, in a step not all of them do.
  const double of_few = seconds_on_all_ranks(comm, [&] { layer.run(few); }).least;
  const double of_many = seconds_on_all_ranks(comm, [&] { layer.run(many); }).least;
  const double weights = static_cast<double>(d * columns);
  // At least half of what the larger batch took is its flops.
  const double a_sample = std::max((of_many - of_few) / static_cast<double>(many - few),
                                   0.5 * of_many / static_cast<double>(many));
  const double passes = std::max(of_few - a_sample * static_cast<double>(few), 1e-3 * of_few);
  rates.flops = 8 * weights / a_sample;
  rates.weight_bytes = 3 * weights * static_cast<double>(element) / passes;
}

template <class T>
double optimizer_bytes_a_second(const mpi::Communicator& comm, const StepShape& shape,
                                const OptimizerOptions& options) {
  const Optimizer<T> optimizer(options);
  const auto most = static_cast<std::size_t>(slice_bytes) / sizeof(T);
  const std::size_t count =
      std::min(most, static_cast<std::size_t>(shape.layers > 0
                                                  ? shape.dimension * shape.dimension
                                                  : std::max<Index>(1, shape.whole_parameters)));
  const std::size_t step = std::min(count, static_cast<std::size_t>(tile_bytes) / sizeof(T));
  const auto moments = static_cast<std::size_t>(optimizer.moment_count());
  std::vector<T> values(count, T{1});
  std::vector<T> moment(count * moments, T{0});
  const std::vector<T> gradient(step, T(0.01));
  const Spread seconds = seconds_on_all_ranks(comm, [&] {
    for (std::size_t begin = 0; begin < count; begin += step) {
      const std::size_t size = std::min(step, count - begin);
      UpdateTile<T> tile;
      tile.values = std::span(values).subspan(begin, size);
      tile.gradient_sum = std::span(gradient).first(size);
      tile.value_factor = T{1};
      if (moments > 0) tile.first_moment = std::span(moment).subspan(begin, size);
      if (moments > 1) tile.second_moment = std::span(moment).subspan(count + begin, size);
      optimizer.apply(tile, 0, static_cast<double>(shape.batch_size), 1e-6);
    }
  });
  return static_cast<double>(count * 2 * (1 + moments) * sizeof(T)) / seconds.least;
}

/// Forward and backward pass of one element-wise layer and the latent density.
template <class T>
double seconds_an_element(const mpi::Communicator& comm, const Products& products,
                          const LayerSpec& activation) {
  if (activation.kind == "none") return 0;
  constexpr Index dimension = 256;
  constexpr Index samples = 128;
  Flow<T> flow(FlowSpec{SampleShape(dimension), Latent::normal, {activation}}, products);
  flow.initialize(Initialization::identity, 0, 1);
  Workspace<T> workspace(flow, samples);
  workspace.set_batch(samples);
  workspace.input().setConstant(T(0.3));
  GradientBuffer<T> sink(flow.parameters(), products);
  sink.clear();
  FlowGradient<T> gradient(flow, GradientKind::relative);
  const Spread seconds = seconds_on_all_ranks(comm, [&] {
    forward(flow, workspace);
    gradient.backward(workspace, sink);
  });
  return seconds.least / static_cast<double>(dimension * samples);
}

}  // namespace

template <class T>
ComputeRates measure_compute(const mpi::Communicator& comm, const Products& products,
                             const StepShape& shape, const LayerSpec& activation,
                             const OptimizerOptions& optimizer, int threads) {
  ComputeRates rates;
  measure_products<T>(comm, products, shape, rates);
  rates.optimizer_bytes = optimizer_bytes_a_second<T>(comm, shape, optimizer);
  rates.element_seconds = seconds_an_element<T>(comm, products, activation);
  const std::vector<std::string> hosts = comm.allgather_strings(mpi::host_name());
  double busiest = 0;  // threads a core, on the machine that has most of them
  for (const std::string& host : hosts) {
    busiest = std::max(busiest, static_cast<double>(std::ranges::count(hosts, host) * threads));
  }
  std::vector<double> share = {-std::min(1.0, cores_of_machine() / busiest)};
  comm.allreduce_max(share);
  rates.share = -share[0];
  return rates;
}

template ComputeRates measure_compute<float>(const mpi::Communicator&, const Products&,
                                             const StepShape&, const LayerSpec&,
                                             const OptimizerOptions&, int);
template ComputeRates measure_compute<double>(const mpi::Communicator&, const Products&,
                                              const StepShape&, const LayerSpec&,
                                              const OptimizerOptions&, int);

}  // namespace relgrad
