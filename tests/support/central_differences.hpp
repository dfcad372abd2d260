#pragma once
/// Derivatives by central differences, with the error they may have; the small batches they are
/// taken on; and what every element-wise layer must satisfy against them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "relgrad/core/random.hpp"
#include "relgrad/model/layer.hpp"

namespace relgrad::test {

struct Difference {
  double value;
  double error;
};

/// d f / d x at `x` (restored on return) from steps h and h/2, extrapolated:
///   (4 D(h/2) - D(h)) / 3, error O(h^4);
/// its error is bounded by what the extrapolation changed plus rounding of f over h, times ten.
inline Difference central_difference(const std::function<double()>& f, double& x,
                                     double relative_step = 1e-3) {
  const double start = x;
  const double h = relative_step * std::max(1.0, std::abs(start));
  double size = 0.0;
  const auto slope = [&](double step) {
    x = start + step;
    const double high = f();
    x = start - step;
    const double low = f();
    x = start;
    size = std::max({size, std::abs(high), std::abs(low)});
    return (high - low) / (2.0 * step);
  };
  const double coarse = slope(h);
  const double fine = slope(0.5 * h);
  const double value = (4.0 * fine - coarse) / 3.0;
  const double rounding = 4.0 * std::numeric_limits<double>::epsilon() * (1.0 + size) / h;
  return {value, 10.0 * (rounding + 0.1 * std::abs(fine - coarse))};
}

/// rows x cols of `scale` times standard normal draws.
template <class T>
Matrix<T> normal_matrix(Index rows, Index cols, std::uint64_t seed, double scale = 1.0) {
  Matrix<T> result(rows, cols);
  RandomStream(seed, Purpose::test, 0, 0)
      .normal(std::span<T>(result.data(), static_cast<std::size_t>(result.size())));
  return result * static_cast<T>(scale);
}

template <class T>
ConstMatrixMap<T> view(const Matrix<T>& matrix) {
  return {matrix.data(), matrix.rows(), matrix.cols()};
}
template <class T>
MatrixMap<T> view(Matrix<T>& matrix) {
  return {matrix.data(), matrix.rows(), matrix.cols()};
}
template <class T>
ConstMatrixMap<T> const_view(const Matrix<T>& matrix) {
  return {matrix.data(), matrix.rows(), matrix.cols()};
}

/// A layer that keeps nothing and lets nothing leave, by itself.
template <class T>
void forward_of(const Layer<T>& layer, const ConstMatrixMap<T>& input, MatrixMap<T> output,
                std::span<double> log_likelihood) {
  const MatrixMap<T> none(nullptr, 0, input.cols());
  layer.forward({input, output, none, none, none, log_likelihood});
}
template <class T>
void backward_of(const DifferentiableLayer<T>& layer, const ConstMatrixMap<T>& input,
                 const ConstMatrixMap<T>& delta_output, MatrixMap<T> delta_input,
                 GradientSink<T>& sink) {
  const MatrixMap<T> none(nullptr, 0, input.cols());
  Matrix<T> delta = delta_output;
  layer.backward({input, none, none, none, none, {}},
                 {MatrixMap<T>(delta.data(), delta.rows(), delta.cols()), delta_input, true}, sink);
}

/// Sums alone.
template <class T>
class SumBuffer final : public GradientSink<T> {
 public:
  explicit SumBuffer(const ParameterStore<T>& store) {
    for (ParameterId id = 0; id < store.count(); ++id) sums_.emplace_back(store.info(id).size());
  }
  std::span<T> sum(ParameterId id) override { return sums_[id]; }
  using GradientSink<T>::give;
  void give(std::span<const ParameterGradient<T>> /*together*/) override {}
  std::span<T> statistics(ParameterId /*id*/, std::size_t /*size*/) override { return {}; }

 private:
  std::vector<std::vector<T>> sums_;
};

/// L = sum_n [ <c_n, s(y_n)> + log_abs_det_n ], what a backward pass derives.
inline double weighted_objective(const Layer<double>& layer, const Matrix<double>& y,
                                 const Matrix<double>& c) {
  Matrix<double> z(y.rows(), y.cols());
  std::vector<double> log_abs_det(static_cast<std::size_t>(y.cols()));
  forward_of(layer, const_view(y), view(z), log_abs_det);
  return z.cwiseProduct(c).sum() + std::accumulate(log_abs_det.begin(), log_abs_det.end(), 0.0);
}

/// forward's log-slope is the log of forward's slope, and backward is the derivative of L by y.
inline void expect_slopes_agree_with_differences(const DifferentiableLayer<double>& layer,
                                                 Matrix<double> y, GradientSink<double>& sums) {
  for (Index n = 0; n < y.cols(); ++n) {
    for (Index i = 0; i < y.rows(); ++i) {
      Matrix<double> column = y.col(n);
      Matrix<double> z(y.rows(), 1);
      const auto value = [&] {
        std::vector<double> ignored(1);
        forward_of(layer, const_view(column), view(z), ignored);
        return z(i, 0);
      };
      const Difference slope = central_difference(value, column(i, 0), 1e-4);
      // The log-slope of one element: the others' part drops out against a batch without it.
      std::vector<double> with(1);
      forward_of(layer, const_view(column), view(z), with);
      double others = 0.0;
      for (Index j = 0; j < y.rows(); ++j) {
        if (j == i) continue;
        const auto other = [&] {
          std::vector<double> ignored(1);
          forward_of(layer, const_view(column), view(z), ignored);
          return z(j, 0);
        };
        others += std::log(central_difference(other, column(j, 0), 1e-4).value);
      }
      EXPECT_NEAR(with[0] - others, std::log(slope.value), 1e-6) << "at y = " << y(i, n);
    }
  }
  const Matrix<double> c = normal_matrix<double>(y.rows(), y.cols(), /*seed=*/11);
  Matrix<double> delta(y.rows(), y.cols());
  backward_of(layer, const_view(y), const_view(c), view(delta), sums);
  for (Index k = 0; k < y.size(); ++k) {
    const auto objective = [&] { return weighted_objective(layer, y, c); };
    const Difference expected = central_difference(objective, y.data()[k], 1e-4);
    EXPECT_NEAR(delta.data()[k], expected.value, expected.error + 1e-8) << "at y = " << y.data()[k];
  }
}

template <class T>
void expect_inverse_undoes_forward(const Layer<T>& layer, const Matrix<T>& y,
                                   double relative_error) {
  Matrix<T> z(y.rows(), y.cols());
  Matrix<T> back(y.rows(), y.cols());
  std::vector<double> log_abs_det(static_cast<std::size_t>(y.cols()));
  forward_of(layer, const_view(y), view(z), log_abs_det);
  layer.inverse(const_view(z), ConstMatrixMap<T>(nullptr, 0, z.cols()), view(back),
                InverseKind::exact);
  for (Index k = 0; k < y.size(); ++k) {
    const auto expected = static_cast<double>(y.data()[k]);
    EXPECT_NEAR(static_cast<double>(back.data()[k]), expected,
                relative_error * (1.0 + std::abs(expected)));
    EXPECT_TRUE(std::isfinite(static_cast<double>(z.data()[k])));
  }
  for (const double value : log_abs_det) EXPECT_TRUE(std::isfinite(value));
}

/// 1, -1, ..., 1e4, -1e4 and 0.
template <class T>
Matrix<T> far_out(Index rows) {
  std::vector<double> values{0.0};
  for (double size = 1e-4; size <= 1.0001e4; size *= 10.0) {
    for (const double factor : {1.0, 2.5, 6.3}) {
      values.push_back(std::min(size * factor, 1e4));
      values.push_back(-std::min(size * factor, 1e4));
    }
  }
  Matrix<T> result(rows, static_cast<Index>(values.size()));
  for (Index n = 0; n < result.cols(); ++n) {
    result.col(n).setConstant(static_cast<T>(values[static_cast<std::size_t>(n)]));
  }
  return result;
}

}  // namespace relgrad::test
