#include "relgrad/gradient/backward.hpp"

#include <fmt/format.h>

#include "relgrad/core/error.hpp"
#include "relgrad/linalg/lu.hpp"

namespace relgrad {

GradientKind parse_gradient_kind(std::string_view name) {
  if (name == "relative") return GradientKind::relative;
  if (name == "plain") return GradientKind::plain;
  throw UsageError(fmt::format(
      "--gradient: '{}' is none of relative, plain; relative costs B D^2, plain D^3", name));
}

std::string_view name_of(GradientKind kind) {
  return kind == GradientKind::relative ? "relative" : "plain";
}

namespace {

template <class T>
ConstMatrixMap<T> left_half(const MatrixMap<T>& pair) {
  return {pair.data(), pair.rows(), pair.cols() / 2};
}
template <class T>
ConstMatrixMap<T> right_half(const MatrixMap<T>& pair) {
  return {pair.data() + pair.rows() * (pair.cols() / 2), pair.rows(), pair.cols() / 2};
}

/// out = W[:, I]^T in; in D x n, out |I| x n, I the layer's own coordinates (all without a row
/// group).
template <class T>
void multiply_transposed(const LinearLayer<T>& layer, const ConstMatrixMap<T>& in, T* out) {
  const Index d = layer.dimension();
  const Index own = layer.own().size();
  layer.products().gemm(Transpose::yes, Transpose::no, own, in.cols(), d, layer.weight().data(), d,
                        in.data(), d, Onto::zero, out, own);
}

/// [Delta | Y] of all coordinates: `pair` itself, or what the ranks of a row group have of it.
template <class T>
MatrixMap<T> gathered(const LinearLayer<T>& layer, const MatrixMap<T>& pair) {
  RowGroup<T>* group = layer.row_group();
  if (group == nullptr) return pair;
  const MatrixMap<T> all = group->whole(layer.dimension(), pair.cols());
  group->allgather(ConstMatrixMap<T>(pair.data(), pair.rows(), pair.cols()), all);
  return all;
}

/// Adds sum_n weights_n delta_n to this rank's coordinates of the sum of parameter `id`.
template <class T>
void add_weighted_sum(const LinearLayer<T>& layer, const ConstMatrixMap<T>& delta,
                      const Vector<T>& weights, GradientSink<T>& sink) {
  const Index dimension = delta.rows();
  const ParameterId id = layer.bias_id();
  if (const auto exact = sink.exact(id, static_cast<std::size_t>(dimension))) {
    for (Index n = 0; n < delta.cols(); ++n) {
      const T* column = delta.data() + n * dimension;
      for (Index d = 0; d < dimension; ++d) {
        const T term = weights[n] * column[d];
        exact->sums[static_cast<std::size_t>(d)] += exact->grid.round(static_cast<double>(term));
      }
    }
    return;
  }
  VectorMap<T>(sink.sum(id).data() + layer.own().begin, dimension).noalias() += delta * weights;
}

/// G_W = Delta X^T + B W^{-T},   G_b = Delta 1
template <class T>
class PlainGradient final : public LinearGradient<T> {
 public:
  void backward(const LinearLayer<T>& layer, const ConstMatrixMap<T>& input, MatrixMap<T> pair,
                MatrixMap<T> scratch, bool needs_delta_in, GradientSink<T>& sink) override {
    const ConstMatrixMap<T> delta = left_half(pair);
    if (needs_delta_in) multiply_transposed(layer, delta, scratch.data());

    add_weighted_sum<T>(layer, delta, Vector<T>::Ones(delta.cols()), sink);

    inverse_transposed_ =
        LuFactors("plain gradient", layer.weight()).inverse().transpose().template cast<T>();
    sink.outer_product(layer.weight_id(), delta, input, {T{0}, inverse_transposed_.data()});
  }

 private:
  Matrix<T> inverse_transposed_;
};

/// G_W = Delta (W^T Y)^T + B W,   G_b = Delta (1 + Y^T b) + B b            (Gresele et al. 2020)
/// Y includes the bias. W^T Delta and P = W^T Y come from one product with 2B columns.
template <class T>
class RelativeGradient final : public LinearGradient<T> {
 public:
  void backward(const LinearLayer<T>& layer, const ConstMatrixMap<T>& /*input*/, MatrixMap<T> pair,
                MatrixMap<T> scratch, bool needs_delta_in, GradientSink<T>& sink) override {
    const MatrixMap<T> all = gathered(layer, pair);
    const ConstMatrixMap<T> delta = left_half(all);
    const ConstMatrixMap<T> y = right_half(all);
    if (needs_delta_in) {
      multiply_transposed(layer, ConstMatrixMap<T>(all.data(), all.rows(), all.cols()),
                          scratch.data());
    } else {
      multiply_transposed(layer, y, scratch.data() + scratch.size() / 2);
    }

    const ConstVectorMap<T> b = layer.bias();
    weights_.setOnes(y.cols());  // 1 + y_n . b
    layer.products().gemm(Transpose::yes, Transpose::no, y.cols(), 1, y.rows(), y.data(), y.rows(),
                          b.data(), b.size(), Onto::itself, weights_.data(), y.cols());
    add_weighted_sum(layer, left_half(pair), weights_, sink);
    sink.per_sample(layer.bias_id(), {T{1}, nullptr});

    sink.outer_product(layer.weight_id(), delta, right_half(scratch), {T{1}, nullptr});
  }

 private:
  Vector<T> weights_;  // 1 + y_n . b, one per sample
};

}  // namespace

template <class T>
std::unique_ptr<LinearGradient<T>> make_linear_gradient(GradientKind kind) {
  if (kind == GradientKind::plain) return std::make_unique<PlainGradient<T>>();
  return std::make_unique<RelativeGradient<T>>();
}

template <class T>
void backward(const Flow<T>& flow, Workspace<T>& workspace, LinearGradient<T>& linear_gradient,
              GradientSink<T>& sink) {
  if (flow.layer_count() == 0) return;
  const std::size_t last = flow.layer_count() - 1;
  latent_score(flow.latent(), workspace.input_of(flow.layer_count()), workspace.delta(last));
  // `delta` is dL / d(output of layer i): in the layer's own pair, or in the scratch pair, where
  // the linear layer above left it.
  T* delta = workspace.delta(last).data();
  for (std::size_t i = last + 1; i-- > 0;) {
    const ConstMatrixMap<T> input = workspace.input_of(i);
    const ConstMatrixMap<T> delta_out(delta, input.rows(), input.cols());
    if (const auto* linear = dynamic_cast<const LinearLayer<T>*>(&flow.layer(i))) {
      if (delta != workspace.delta(i).data()) workspace.delta(i) = delta_out;
      linear_gradient.backward(*linear, input, workspace.pair(i), workspace.scratch_pair(), i > 0,
                               sink);
      delta = workspace.scratch_pair().data();
      continue;
    }
    const auto& elementwise = dynamic_cast<const ElementwiseLayer<T>&>(flow.layer(i));
    MatrixMap<T> delta_in = i > 0 ? workspace.delta(i - 1) : workspace.delta(i);
    elementwise.backward(input, delta_out, delta_in, sink);
    delta = delta_in.data();
  }
}

template std::unique_ptr<LinearGradient<float>> make_linear_gradient(GradientKind);
template std::unique_ptr<LinearGradient<double>> make_linear_gradient(GradientKind);
template void backward(const Flow<float>&, Workspace<float>&, LinearGradient<float>&,
                       GradientSink<float>&);
template void backward(const Flow<double>&, Workspace<double>&, LinearGradient<double>&,
                       GradientSink<double>&);

}  // namespace relgrad
