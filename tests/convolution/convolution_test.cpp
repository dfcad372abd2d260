#include "convolution/convolution.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <limits>

#include "convolution/convolution_matrix.hpp"
#include "convolution/kernels/convolution_kernels.hpp"
#include "relgrad/core/error.hpp"
#include "support/count_allocations.hpp"

namespace relgrad {
namespace {

using test::const_view;
using test::convolution_matrix;
using test::normal_matrix;
using test::normal_numbers;
using test::view;

std::string name_of(const ConvolutionShape& shape) {
  return testing::PrintToString(shape.channels_in) + " -> " +
         testing::PrintToString(shape.channels_out) + ", " + testing::PrintToString(shape.height) +
         " x " + testing::PrintToString(shape.width) + ", k " + testing::PrintToString(shape.taps) +
         (shape.padding == Padding::zero ? ", zero" : ", circular");
}

/// Channels that fill blocks and do not, planes that are square and not, smaller than the kernel.
std::vector<ConvolutionShape> shapes() {
  std::vector<ConvolutionShape> result;
  for (const Padding padding : {Padding::zero, Padding::circular}) {
    for (const Index taps : {1, 3, 5, 7}) {
      result.push_back({1, 1, 6, 9, taps, padding});
      result.push_back({2, 3, 5, 4, taps, padding});
      result.push_back({4, 4, 3, 7, taps, padding});
      result.push_back({3, 6, 4, 3, taps, padding});
      result.push_back({9, 1, 1, 2, taps, padding});
      result.push_back({1, 2, 1, 1, taps, padding});
    }
  }
  return result;
}

constexpr std::uint64_t seed = 20;
constexpr Index batch = 19;  // one whole tile of any width, and a part of one

template <class T>
struct Case {
  explicit Case(const ConvolutionShape& of)
      : shape(of),
        weights(normal_numbers<T>(of.weights(), seed)),
        bias(normal_numbers<T>(of.channels_out, seed + 1)),
        input(normal_matrix<T>(of.inputs(), batch, seed + 2)),
        delta(normal_matrix<T>(of.outputs(), batch, seed + 3)),
        scratch(static_cast<std::size_t>(convolution_scratch_size<T>(of)),
                std::numeric_limits<T>::quiet_NaN()) {}

  Matrix<T> forward() { return forward_of(input); }
  Matrix<T> forward_of(const Matrix<T>& x) {
    Matrix<T> y(shape.outputs(), x.cols());
    convolve<T>(shape, weights, bias, const_view(x), view(y), scratch);
    return y;
  }
  Matrix<T> transposed() {
    Matrix<T> result(shape.inputs(), batch);
    convolve_transposed<T>(shape, weights, const_view(delta), view(result), scratch);
    return result;
  }
  /// Of the weights, then of the bias.
  Vector<T> gradient() {
    std::vector<T> weight_sums(weights.size());
    std::vector<T> bias_sums(bias.size());
    add_weight_gradient<T>(shape, const_view(input), const_view(delta), weight_sums, bias_sums,
                           scratch);
    weight_sums.insert(weight_sums.end(), bias_sums.begin(), bias_sums.end());
    return Eigen::Map<Vector<T>>(weight_sums.data(), static_cast<Index>(weight_sums.size()));
  }

  ConvolutionShape shape;
  std::vector<T> weights;
  std::vector<T> bias;
  Matrix<T> input;
  Matrix<T> delta;
  std::vector<T> scratch;
};

TEST(Convolution, ForwardAndItsTransposeAreProductsWithTheMatrix) {
  for (const ConvolutionShape& shape : shapes()) {
    SCOPED_TRACE(name_of(shape) + ", seed 20");
    Case<double> test(shape);
    const Matrix<double> matrix = convolution_matrix(shape, test.weights);
    Matrix<double> expected = matrix * test.input;
    for (Index o = 0; o < shape.channels_out; ++o) {
      expected.middleRows(o * shape.positions(), shape.positions()).array() +=
          test.bias[static_cast<std::size_t>(o)];
    }
    EXPECT_LE((test.forward() - expected).cwiseAbs().maxCoeff(), 1e-12);
    EXPECT_LE((test.transposed() - matrix.transpose() * test.delta).cwiseAbs().maxCoeff(), 1e-12);
  }
}

// L = sum(delta o y) is linear in weights and bias, so differences have no error but rounding.
TEST(Convolution, GradientsAgreeWithCentralDifferences) {
  for (const ConvolutionShape& shape : shapes()) {
    SCOPED_TRACE(name_of(shape) + ", seed 20");
    Case<double> test(shape);
    const Vector<double> gradient = test.gradient();
    const auto objective = [&] { return test.forward().cwiseProduct(test.delta).sum(); };
    for (Index i = 0; i < gradient.size(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      double& parameter =
          at < test.weights.size() ? test.weights[at] : test.bias[at - test.weights.size()];
      const auto expected = test::central_difference(objective, parameter, 1.0);
      ASSERT_NEAR(gradient(i), expected.value, expected.error + 1e-10) << "parameter " << i;
    }
    const Matrix<double> delta_in = test.transposed();
    for (Index i = 0; i < delta_in.rows(); ++i) {
      const auto expected = test::central_difference(objective, test.input(i, batch - 1), 1.0);
      ASSERT_NEAR(delta_in(i, batch - 1), expected.value, expected.error + 1e-10) << "input " << i;
    }
  }
}

// Each output is a sum of C_in k^2 products of numbers of size 1: rounding errors of the products
// and of the partial sums add up like a random walk, 8 standard deviations of it.
TEST(Convolution, InSinglePrecisionIsThatInDoubleUpToRounding) {
  for (const ConvolutionShape& shape : shapes()) {
    SCOPED_TRACE(name_of(shape) + ", seed 20");
    Case<float> single(shape);
    Case<double> test(shape);
    test.weights.assign(single.weights.begin(), single.weights.end());
    test.bias.assign(single.bias.begin(), single.bias.end());
    test.input = single.input.cast<double>();
    test.delta = single.delta.cast<double>();
    const auto tolerance = [](Index terms) {
      return 8.0 * static_cast<double>(terms) * std::numeric_limits<float>::epsilon();
    };
    const Index square = shape.taps * shape.taps;
    EXPECT_LE((single.forward().cast<double>() - test.forward()).cwiseAbs().maxCoeff(),
              tolerance(shape.channels_in * square + 1));
    EXPECT_LE((single.transposed().cast<double>() - test.transposed()).cwiseAbs().maxCoeff(),
              tolerance(shape.channels_out * square));
    EXPECT_LE((single.gradient().cast<double>() - test.gradient()).cwiseAbs().maxCoeff(),
              tolerance(shape.positions() * batch));
  }
}

TEST(Convolution, OfASampleDependsNeitherOnItsBatchNorOnThreads) {
  const ConvolutionShape shape{5, 6, 7, 6, 3, Padding::zero};
  const Index count = 100;
  const Matrix<float> x = normal_matrix<float>(shape.inputs(), count, seed);
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  Case<float> alone(shape);
  const Matrix<float> expected = alone.forward_of(x);
  const Matrix<float> one = alone.forward_of(x.col(37));
  EXPECT_EQ(one, expected.col(37));

  omp_set_num_threads(3);
  Case<float> together(shape);
  EXPECT_EQ(together.forward_of(x), expected);
  omp_set_num_threads(threads);
}

TEST(Convolution, WeightGradientDoesNotDependOnThreads) {
  const ConvolutionShape shape{7, 9, 16, 16, 3, Padding::circular};
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const Vector<float> expected = Case<float>(shape).gradient();
  omp_set_num_threads(3);
  EXPECT_EQ(Case<float>(shape).gradient(), expected);
  omp_set_num_threads(threads);
}

// The halves are those of two ranks: their exact sums are that of the whole batch, bit by bit.
TEST(Convolution, ExactWeightGradientDoesNotDependOnHowSamplesAreSplit) {
  const ConvolutionShape shape{3, 5, 4, 6, 3, Padding::zero};
  Case<float> test(shape);
  const ExactGrid grid(/*limit_bits=*/12, /*terms=*/batch);
  const auto sums_of = [&](std::initializer_list<Index> cuts) {
    std::vector<double> weight_sums(test.weights.size());
    std::vector<double> bias_sums(test.bias.size());
    Index begin = 0;
    for (const Index end : cuts) {
      const Matrix<float> x = test.input.middleCols(begin, end - begin);
      const Matrix<float> delta = test.delta.middleCols(begin, end - begin);
      add_weight_gradient_exact<float>(shape, const_view(x), const_view(delta), grid, weight_sums,
                                       bias_sums, test.scratch);
      begin = end;
    }
    weight_sums.insert(weight_sums.end(), bias_sums.begin(), bias_sums.end());
    return weight_sums;
  };
  const std::vector<double> whole = sums_of({batch});
  EXPECT_EQ(sums_of({1, 7, batch}), whole);
  EXPECT_EQ(sums_of({18, batch}), whole);

  // Each term is off by half a step of the grid, 2^-35 here, and by its own rounding in float.
  const Vector<float> expected = test.gradient();
  for (Index i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(whole[static_cast<std::size_t>(i)], static_cast<double>(expected(i)), 1e-3);
  }
}

TEST(Convolution, AllocatesNothing) {
  if (!RELGRAD_COUNTS_ALLOCATIONS) GTEST_SKIP() << "the address sanitizer has its own malloc";
  const ConvolutionShape shape{6, 6, 8, 8, 3, Padding::zero};
  Case<float> test(shape);
  Matrix<float> y(shape.outputs(), batch);
  std::vector<float> weight_sums(test.weights.size());
  std::vector<float> bias_sums(test.bias.size());
  const auto step = [&] {
    convolve<float>(shape, test.weights, test.bias, const_view(test.input), view(y), test.scratch);
    convolve_transposed<float>(shape, test.weights, const_view(test.delta), view(y), test.scratch);
    add_weight_gradient<float>(shape, const_view(test.input), const_view(test.delta), weight_sums,
                               bias_sums, test.scratch);
  };
  step();
  EXPECT_EQ(test::allocations_in(step), 0);
}

TEST(Convolution, MayWriteOverItsInput) {
  const ConvolutionShape shape{4, 4, 5, 5, 3, Padding::zero};
  Case<double> test(shape);
  Matrix<double> in_place = test.input;
  convolve<double>(shape, test.weights, test.bias, const_view(in_place), view(in_place),
                   test.scratch);
  EXPECT_EQ(in_place, test.forward());
}

TEST(Convolution, CircularIsZeroPaddedForKernelsOfOneTap) {
  Case<double> zero({3, 2, 4, 5, 1, Padding::zero});
  Case<double> circular({3, 2, 4, 5, 1, Padding::circular});
  EXPECT_EQ(circular.forward(), zero.forward());
  EXPECT_EQ(circular.gradient(), zero.gradient());
}

// Kernels of every width that this CPU has: one vector of samples, all of them and some.
template <class T>
void expect_all_widths_agree() {
  const kernels::ConvolutionPlanes planes{5, 7, 3, /*circular=*/true};
  const Index channels_in = 3;
  const Index channels_out = 5;
  const std::vector<T> weights =
      normal_numbers<T>(8 * channels_in * 9, seed);  // packed in two blocks
  const std::vector<T> bias = normal_numbers<T>(8, seed + 1);
  const Matrix<T> x = normal_matrix<T>(channels_in * planes.size(), 16, seed + 2);
  const auto run = [&](kernels::VectorWidth width) {
    const auto& of = kernels::convolution_kernels<T>(width);
    Matrix<T> y(channels_out * planes.size(), 15);
    std::vector<T> padded(static_cast<std::size_t>(channels_in * planes.padded_size() * of.lanes));
    std::vector<T> plain(static_cast<std::size_t>(y.rows() * of.lanes));
    for (Index n = 0; n < y.cols(); n += of.lanes) {
      const Index count = std::min<Index>(of.lanes, y.cols() - n);
      of.gather(planes, {x.col(n).data(), x.rows(), count}, 0, channels_in, padded.data());
      of.convolve(planes, channels_in, channels_out, weights.data(), bias.data(), padded.data(),
                  plain.data());
      of.scatter(plain.data(), {y.col(n).data(), y.rows(), count});
    }
    return y;
  };
  const Matrix<T> expected = run(kernels::VectorWidth::bits_512);
  const double tolerance = 8.0 * 28.0 * static_cast<double>(std::numeric_limits<T>::epsilon());
  for (const auto width : {kernels::VectorWidth::bits_128, kernels::VectorWidth::bits_256}) {
    EXPECT_LE((run(width) - expected).cwiseAbs().maxCoeff(), tolerance);
  }
}

TEST(ConvolutionKernels, OfAllVectorWidthsAgree) {
  expect_all_widths_agree<float>();
  expect_all_widths_agree<double>();
}

TEST(FlipWeights, GivesTheMatrixTransposed) {
  for (const ConvolutionShape& shape : shapes()) {
    SCOPED_TRACE(name_of(shape));
    const std::vector<double> weights = normal_numbers<double>(shape.weights(), seed);
    std::vector<double> flipped(weights.size());
    flip_weights<double>(shape, weights, flipped);
    // Taps that wrap around to the same place are added in another order.
    const Matrix<double> matrix = convolution_matrix(shape, weights);
    const Matrix<double> transposed = convolution_matrix(shape.transposed(), flipped);
    EXPECT_LE((transposed - matrix.transpose()).cwiseAbs().maxCoeff(), 1e-14 * matrix.norm());
  }
}

TEST(TapMultiplicity, CountsTheEntriesOfTheMatrix) {
  for (const ConvolutionShape& shape : shapes()) {
    SCOPED_TRACE(name_of(shape));
    const Matrix<double> ones = Matrix<double>::Ones(shape.outputs(), shape.inputs());
    const std::vector<double> expected = test::sums_along_taps(shape, ones);
    const Index k = shape.taps;
    for (Index i = 0; i < k; ++i) {
      for (Index j = 0; j < k; ++j) {
        EXPECT_EQ(static_cast<double>(tap_multiplicity(shape, i, j)),
                  expected[static_cast<std::size_t>(i * k + j)]);
      }
    }
  }
}

TEST(Convolution, RefusesWhatIsNoConvolution) {
  EXPECT_THROW(check_convolution("layer/0", {1, 1, 4, 4, 2, Padding::zero}), UsageError);
  EXPECT_THROW(check_convolution("layer/0", {0, 1, 4, 4, 3, Padding::zero}), UsageError);
  EXPECT_NO_THROW(check_convolution("layer/0", {2, 1, 4, 4, 7, Padding::zero}));
  Case<float> test({1, 1, 4, 4, 3, Padding::zero});
  test.scratch.resize(8);
  EXPECT_THROW(test.forward(), ShapeError);
}

}  // namespace
}  // namespace relgrad
