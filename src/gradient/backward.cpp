#include "relgrad/gradient/backward.hpp"

#include <fmt/format.h>

#include <vector>

#include "gradient/linear_gradient.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/linalg/inverse.hpp"

namespace relgrad {

GradientKind parse_gradient_kind(std::string_view name) {
  if (name == "relative") return GradientKind::relative;
  if (name == "self-normalizing") return GradientKind::self_normalizing;
  if (name == "plain") return GradientKind::plain;
  throw UsageError(
      fmt::format("--gradient: '{}' is none of relative, self-normalizing, plain; the first two "
                  "cost B D^2, plain D^3",
                  name));
}

std::string_view name_of(GradientKind kind) {
  switch (kind) {
    case GradientKind::relative:
      return "relative";
    case GradientKind::self_normalizing:
      return "self-normalizing";
    case GradientKind::plain:
      break;
  }
  return "plain";
}

namespace {

/// G_W = Delta X^T + B W^{-T},   G_b = Delta 1
template <class T>
class PlainGradient final : public LinearGradient<T> {
 public:
  explicit PlainGradient(std::int64_t inverse_every) : inverse_every_(inverse_every) {}

  void begin(Flow<T>& flow, std::int64_t step, const ColumnShare<T>& /*share*/) override {
    if (inverse_every_ == 1 || step % inverse_every_ != 0) return;
    for (std::size_t i = 0; i < flow.layer_count(); ++i) {
      if (auto* linear = dynamic_cast<LinearLayer<T>*>(&flow.layer(i))) linear->refresh_inverse();
    }
  }

  void backward(const LinearLayer<T>& layer, const ConstMatrixMap<T>& input, MatrixMap<T> pair,
                MatrixMap<T> scratch, bool needs_delta_in, GradientSink<T>& sink) override {
    const ConstMatrixMap<T> delta = left_half(pair);
    if (needs_delta_in) multiply_transposed(layer, layer.weight(), delta, scratch.data());

    add_weighted_sum<T>(layer, delta, Vector<T>::Ones(delta.cols()), sink);

    const T* inverse = nullptr;
    if (inverse_every_ > 1) {
      inverse = layer.inverse_transposed().data();
    } else {
      const Index d = layer.dimension();
      inverse_.resize(d, d);
      inverse_transposed("plain gradient: W", layer.weight(), layer.products(),
                         MatrixMap<T>(inverse_.data(), d, d));
      inverse = inverse_.data();
    }
    sink.outer_product(layer.weight_id(), delta, input, {T{0}, inverse});
  }

 private:
  std::int64_t inverse_every_;
  Matrix<T> inverse_;  // W^{-T}
};

/// x[i, :] *= factor[i]
template <class T>
void scale_rows(MatrixMap<T> x, const T* factor) {
  const Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>> factors(factor, x.rows());
  for (Index n = 0; n < x.cols(); ++n) x.col(n).array() *= factors;
}

template <class T>
MatrixMap<T> half(MatrixMap<T> pair, int which) {
  return {pair.data() + which * (pair.size() / 2), pair.rows(), pair.cols() / 2};
}

/// G_W = Delta (W^T Y)^T + B W,   G_b = Delta (1 + Y^T b) + B b            (Gresele et al. 2020)
/// Y includes the bias. W^T Delta and P = W^T Y come from one product with 2B columns.
/// With scales, E = Delta Y^T + B I becomes R E C: R Delta takes the place of Delta, C Y that of Y,
/// and R C W that of W.
template <class T>
class RelativeGradient final : public LinearGradient<T> {
 public:
  void backward(const LinearLayer<T>& layer, const ConstMatrixMap<T>& /*input*/, MatrixMap<T> pair,
                MatrixMap<T> scratch, bool needs_delta_in, GradientSink<T>& sink) override {
    const MatrixMap<T> all = gathered(layer, pair);
    const ConstMatrixMap<T> delta = left_half(all);
    const ConstMatrixMap<T> y = right_half(all);
    const auto scales = sink.relative_scales(layer.bias_id());
    if (scales) {
      sink.add_squares(layer.bias_id(), left_half(pair), right_half(pair), layer.own().begin);
      scale_rows(half(all, 1), scales->columns);
    }
    if (needs_delta_in) {
      multiply_transposed(layer, layer.weight(),
                          ConstMatrixMap<T>(all.data(), all.rows(), all.cols()), scratch.data());
    } else {
      multiply_transposed(layer, layer.weight(), y, scratch.data() + scratch.size() / 2);
    }

    const ConstVectorMap<T> b = layer.bias();
    weights_.assign(static_cast<std::size_t>(y.cols()), T{1});  // 1 + y_n . b
    layer.products().gemm(Transpose::yes, Transpose::no, y.cols(), 1, y.rows(), y.data(), y.rows(),
                          b.data(), b.size(), Onto::itself, weights_.data(), y.cols());
    if (scales) {
      scale_rows(half(all, 0), scales->rows);
      if (all.data() != pair.data()) {
        scale_rows(half(pair, 0), scales->rows + layer.own().begin);
      }
    }
    const PerSampleTerm<T> term{T{1}, nullptr, T{1}, scales ? scales->product : nullptr};
    add_weighted_sum(layer, left_half(pair), ConstVectorMap<T>(weights_.data(), y.cols()), sink);
    sink.per_sample(layer.bias_id(), term);

    sink.relative(delta, y, term.row_factor);
    sink.outer_product(layer.weight_id(), delta, right_half(scratch), term);
  }

 private:
  std::vector<T> weights_;  // 1 + y_n . b, one per sample; keeps its memory
};

}  // namespace

template <class T>
std::unique_ptr<LinearGradient<T>> make_linear_gradient(const GradientOptions& options) {
  switch (options.kind) {
    case GradientKind::plain:
      return std::make_unique<PlainGradient<T>>(options.inverse_every);
    case GradientKind::self_normalizing:
      return options.newton_rows > 0 ? make_newton_gradient<T>(options.newton_rows)
                                     : make_self_normalizing_gradient<T>(options);
    case GradientKind::relative:
      break;
  }
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

template std::unique_ptr<LinearGradient<float>> make_linear_gradient(const GradientOptions&);
template std::unique_ptr<LinearGradient<double>> make_linear_gradient(const GradientOptions&);
template void backward(const Flow<float>&, Workspace<float>&, LinearGradient<float>&,
                       GradientSink<float>&);
template void backward(const Flow<double>&, Workspace<double>&, LinearGradient<double>&,
                       GradientSink<double>&);

}  // namespace relgrad
