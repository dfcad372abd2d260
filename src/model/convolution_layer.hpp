#pragma once
/// A convolution over the channels of an image, y = w * x + b, with as many channels out as in.
#include <optional>
#include <utility>

#include "convolution/convolution.hpp"
#include "relgrad/linalg/products.hpp"
#include "relgrad/model/layer.hpp"

namespace relgrad {

template <class T>
class ConvolutionLayer final : public Layer<T> {
 public:
  /// Declares "PREFIX/w" (C k k x C: column o holds the taps of output channel o, as PyTorch's
  /// row-major C_out x C_in x k x k) and "PREFIX/b" (C x 1). With `keeps_inverse` also
  ///   "PREFIX/R"               the kernel of a learned inverse, of the shape of w
  ///   "PREFIX/reconstruction"  as of LinearLayer
  /// @throws UsageError unless k is 1, 3, 5 or 7
  ConvolutionLayer(ParameterStore<T>& store, const Products& products, const std::string& prefix,
                   const SampleShape& shape, Index taps, Padding padding,
                   bool keeps_inverse = false);

  std::string_view kind() const override { return "conv"; }
  /// Scratch: three batches, for the reconstruction error of a learned inverse.
  LayerShape shape() const override;
  void accept(LayerVisitor<T>& visitor) override { visitor.visit(*this); }
  /// k = 1: a random rotation of the channels (Glow); larger kernels: the identity, with noise of
  /// standard deviation `noise` / sqrt(C k k) on every weight. R = flip(w), b = 0.
  void initialize(const LayerStart& start) override;
  /// Cost: 2 C^2 k^2 HW flops per sample.
  void forward(LayerPass<T> pass) const override;
  /// exact: by the factors of the layer's matrix in double precision, made at each call. learned:
  /// x = R * (y - b), one convolution.
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  bool has_sample_independent_part() const override { return true; }
  /// log|det| of the layer's matrix, with pivoting (convolution/exact_convolution.hpp).
  double sample_independent_log_abs_det() const override;
  bool learns_inverse() const override { return keeps_inverse(); }
  bool keeps_inverse() const { return inverse_id_.has_value(); }

  const std::string& prefix() const { return prefix_; }
  const ConvolutionShape& convolution() const { return convolution_; }
  const Products& products() const { return *products_; }
  ParameterStore<T>& parameters() const { return *store_; }
  ParameterId weight_id() const { return weight_id_; }
  ParameterId bias_id() const { return bias_id_; }
  // only of a layer that keeps its inverse
  ParameterId inverse_id() const { return inverse_id_.value(); }
  ParameterId reconstruction_id() const { return reconstruction_id_.value(); }
  std::span<const T> weights() const { return std::as_const(*store_).values(weight_id_); }
  std::span<const T> bias() const { return std::as_const(*store_).values(bias_id_); }
  std::span<const T> reconstruction() const override {
    if (!keeps_inverse()) return {};
    return std::as_const(*store_).values(reconstruction_id());
  }
  std::span<const T> inverse_weights() const { return std::as_const(*store_).values(inverse_id()); }
  /// Memory for one convolution on this thread; valid until the next call.
  std::span<T> convolution_scratch() const;

 private:
  ParameterStore<T>* store_;
  const Products* products_;
  std::string prefix_;
  SampleShape shape_;
  ConvolutionShape convolution_;
  ParameterId weight_id_;
  ParameterId bias_id_;
  std::optional<ParameterId> inverse_id_;
  std::optional<ParameterId> reconstruction_id_;
  mutable std::vector<T> scratch_;
};

}  // namespace relgrad
