#pragma once
/// The net inside coupling and split layers, as in Glow (Kingma and Dhariwal 2018, arXiv
/// 1807.03039) and Self Normalizing Flows (Keller et al. 2021, arXiv 2011.07248):
///   h1 = relu(w1 * x + b1)       3 x 3
///   h2 = relu(W2 h1 + b2)        1 x 1
///   y  = exp(3 g) (w3 * h2 + b3) 3 x 3; w3, b3 and g (one number per output channel) start at zero
/// `*` is a cross-correlation with zero padding, so every plane stays H x W.
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "relgrad/core/exact_sum.hpp"
#include "relgrad/core/types.hpp"
#include "relgrad/linalg/products.hpp"

namespace relgrad {

namespace kernels {
template <class Word>
struct Taps;
}

struct NetShape {
  Index channels_in;
  Index channels_out;
  Index height;
  Index width;
  Index hidden;  // channels of h1 and of h2
  Index plane() const { return height * width; }
};

/// The parameters of a net, in the order of NetSpans.
enum NetTensor : std::size_t {
  first_weight,    // 9 C_in x hidden: column o holds the taps of output o, (channel, dy, dx)
  first_bias,      // hidden
  middle_weight,   // hidden x hidden: column o holds the weights of output o
  middle_bias,     // hidden
  last_weight,     // hidden x 9 C_out: column (output channel, dy, dx) holds the inputs of one tap
  last_bias,       // C_out
  last_log_scale,  // C_out; called g above
  net_tensor_count
};
struct NetTensorInfo {
  std::string_view name;  // "first_weight", ...
  Index rows;
  Index cols;
  std::size_t size() const { return static_cast<std::size_t>(rows * cols); }
};
std::array<NetTensorInfo, net_tensor_count> net_tensors(const NetShape& shape);

/// One span per parameter, of the sizes that net_tensors() states, column-major.
template <class T>
using NetSpans = std::array<std::span<T>, net_tensor_count>;

/// The same rows of every sample in a batch: those of sample n begin at data + n * stride.
template <class T>
struct SampleRows {
  T* data;
  Index stride;
  operator SampleRows<const T>() const { return {data, stride}; }
};

/// Starts w1, b1, W2 and b2 uniform in +-1/sqrt(inputs of one output), as PyTorch and the code of
/// Self Normalizing Flows do; the last convolution at zero.
/// @param item  names the net among all draws of this seed, e.g. the index of its layer
template <class T>
void initialize_net(const NetShape& shape, std::uint64_t seed, std::uint64_t item,
                    const NetSpans<T>& parameters);

/// What a forward pass leaves for the backward pass.
enum class NetMemory {
  output,  // the output alone; the backward pass computes h1 and h2 again (about 1/6 more flops)
  hidden   // the output, h1 and h2
};

/// Every call works on blocks of samples (about 256 positions), one thread per block, in about
/// 256 (9 C_in + 9 C_out + 4 hidden) numbers of memory per thread, which stays with the thread.
/// Results depend neither on the number of threads nor, with ordered products, on where in a batch
/// a sample stands; sums over samples (backward) do depend on how a batch is split over ranks,
/// but for backward_exact().
template <class T>
class CouplingNet {
  using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

 public:
  /// @param products  must outlive the net
  /// @throws UsageError unless all sizes are positive.
  CouplingNet(const NetShape& shape, const Products& products,
              NetMemory memory = NetMemory::output);

  const NetShape& shape() const { return shape_; }
  Index input_size() const { return shape_.channels_in * shape_.plane(); }
  Index output_size() const { return shape_.channels_out * shape_.plane(); }
  /// Numbers per sample that forward() leaves in `kept`.
  Index kept_size() const;

  /// y of `batch` samples. `kept` is one block of batch * kept_size() numbers; it begins with
  /// the outputs, sample after sample: output_size() numbers each, channels outermost.
  void forward(const NetSpans<const T>& parameters, SampleRows<const T> input, Index batch,
               std::span<T> kept) const;

  /// Given delta = dL/dy, ADDS dL/dx to `delta_input` and the sums over samples of dL/d(parameter)
  /// to `gradients`. `input`, `batch` and `kept` are those of forward(), with the same parameters.
  void backward(const NetSpans<const T>& parameters, SampleRows<const T> input, Index batch,
                std::span<const T> kept, SampleRows<const T> delta, SampleRows<T> delta_input,
                const NetSpans<T>& gradients) const;

  /// The same with sums that come out the same however samples are split over ranks: the terms of
  /// every sample are rounded to `grid` and added exactly. Takes ordered products for bits that do
  /// not depend on the machine. The added cost per sample and parameter is one rounding.
  void backward_exact(const NetSpans<const T>& parameters, SampleRows<const T> input, Index batch,
                      std::span<const T> kept, SampleRows<const T> delta, SampleRows<T> delta_input,
                      const ExactGrid& grid, const NetSpans<double>& sums) const;

 private:
  struct Block;
  Index samples_per_block() const;
  kernels::Taps<Word> shifts(Index positions) const;
  void load_input(const Block& block, SampleRows<const T> input) const;
  void hidden_layers(const Block& block, const NetSpans<const T>& parameters) const;
  void load_delta(const Block& block, const T* outputs, SampleRows<const T> delta) const;
  void deltas(const Block& block, const NetSpans<const T>& parameters) const;
  void add_gradients(const Block& block, Index begin, Index positions, Onto onto,
                     const NetSpans<T>& gradients) const;
  /// Runs the backward pass on one block but for the parameters' sums, which `add` takes.
  template <class Add>
  void backward_block(Index first, Index count, const NetSpans<const T>& parameters,
                      SampleRows<const T> input, Index batch, std::span<const T> kept,
                      SampleRows<const T> delta, SampleRows<T> delta_input, const Add& add) const;

  NetShape shape_;
  const Products* products_;
  NetMemory memory_;
  std::vector<Word> inside_;  // where each of the nine taps stays inside its plane, for one block
};

}  // namespace relgrad
