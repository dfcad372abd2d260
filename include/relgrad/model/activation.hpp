#pragma once
/// Parameter-free element-wise maps (MATH section 3).
#include "relgrad/model/layer.hpp"

namespace relgrad {

/// s(y) = a y + (1 - a) log(1 + e^y), 0 < a < 1; a = 0.3 (Keller et al. 2021), 0.01 (Gresele et al.
/// 2020).
template <class T>
class SmoothLeakyRelu final : public ElementwiseLayer<T> {
 public:
  SmoothLeakyRelu(Index dimension, double slope);
  std::string_view kind() const override { return "smooth-leaky-relu"; }
  Index dimension() const override { return dimension_; }
  void forward(const ConstMatrixMap<T>& input, MatrixMap<T> output,
               std::span<double> log_abs_det) const override;
  void inverse(const ConstMatrixMap<T>& output, MatrixMap<T> input) const override;
  void backward(const ConstMatrixMap<T>& input, const ConstMatrixMap<T>& delta_out,
                MatrixMap<T> delta_in, SmallGradients<T>& gradients) const override;

 private:
  Index dimension_;
  double slope_;
};

/// s(y) = tanh(a y) + c y, a > 0, c > 0.
template <class T>
class LeakyTanh final : public ElementwiseLayer<T> {
 public:
  LeakyTanh(Index dimension, double scale, double slope);
  std::string_view kind() const override { return "leaky-tanh"; }
  Index dimension() const override { return dimension_; }
  void forward(const ConstMatrixMap<T>& input, MatrixMap<T> output,
               std::span<double> log_abs_det) const override;
  void inverse(const ConstMatrixMap<T>& output, MatrixMap<T> input) const override;
  void backward(const ConstMatrixMap<T>& input, const ConstMatrixMap<T>& delta_out,
                MatrixMap<T> delta_in, SmallGradients<T>& gradients) const override;

 private:
  Index dimension_;
  double scale_;
  double slope_;
};

}  // namespace relgrad
