#include "convolution/exact_convolution.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "convolution/frequency_blocks.hpp"
#include "convolution/row_recursion.hpp"
#include "linalg/banded_lu.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

/// Samples that are solved for together, in double precision.
constexpr Index solved_together = 64;

void check_square(std::string_view where, const ConvolutionShape& shape) {
  check_convolution(where, shape);
  if (shape.channels_in != shape.channels_out) {
    throw UsageError(fmt::format(
        "{}: {} channels in and {} out; a convolution has an inverse only where both are the same.",
        where, shape.channels_in, shape.channels_out));
  }
}

/// T with its numbers ordered (h, w, channel), which keeps them nearest to the diagonal.
BandedMatrix banded_matrix(const ConvolutionShape& shape, std::span<const double> weights) {
  const Index channels = shape.channels_in;
  const Index k = shape.taps;
  const Index r = (k - 1) / 2;
  const Index band = std::min(r * (shape.width + 1) * channels + channels, shape.inputs()) - 1;
  BandedMatrix matrix(shape.inputs(), band, band);
  const auto number = [&](Index h, Index w, Index c) {
    return (h * shape.width + w) * channels + c;
  };
  for (Index o = 0; o < channels; ++o) {
    for (Index c = 0; c < channels; ++c) {
      const double* taps = weights.data() + (o * channels + c) * k * k;
      for (Index h = 0; h < shape.height; ++h) {
        for (Index i = std::max<Index>(0, r - h); i < std::min(k, shape.height + r - h); ++i) {
          for (Index w = 0; w < shape.width; ++w) {
            for (Index j = std::max<Index>(0, r - w); j < std::min(k, shape.width + r - w); ++j) {
              matrix(number(h, w, o), number(h + i - r, w + j - r, c)) = taps[i * k + j];
            }
          }
        }
      }
    }
  }
  return matrix;
}

/// to = samples with their channels innermost where `from` has them outermost, or the other way.
void move_channels(const ConvolutionShape& shape, bool innermost, const double* from, Index count,
                   double* to) {
  const Index positions = shape.positions();
  for (Index n = 0; n < count; ++n, from += shape.inputs(), to += shape.inputs()) {
    for (Index c = 0; c < shape.channels_in; ++c) {
      for (Index p = 0; p < positions; ++p) {
        const Index outer = c * positions + p;
        const Index inner = p * shape.channels_in + c;
        to[innermost ? inner : outer] = from[innermost ? outer : inner];
      }
    }
  }
}

}  // namespace

double convolution_log_abs_det_flops(const ConvolutionShape& shape) {
  const auto channels = static_cast<double>(shape.channels_in);
  if (shape.padding == Padding::circular || shape.taps == 1) {
    return 10 * static_cast<double>(shape.positions()) * channels * channels * channels;
  }
  const Index rows = (shape.taps - 1) / 2;  // of the image, per block
  const double block = channels * static_cast<double>(shape.width * rows);
  return 14 * std::ceil(static_cast<double>(shape.height) / static_cast<double>(rows)) * block *
         block * block;
}

template <class T>
struct ConvolutionLogAbsDet<T>::State {
  ConvolutionShape shape;
  std::optional<RowRecursion<T>> rows;            // padding by zeros
  std::optional<FrequencyBlocks<T>> frequencies;  // circular
};

template <class T>
ConvolutionLogAbsDet<T>::ConvolutionLogAbsDet(std::string_view where, const ConvolutionShape& shape)
    : state_(std::make_unique<State>()) {
  check_square(where, shape);
  state_->shape = shape;
  if (shape.padding == Padding::circular) {
    state_->frequencies.emplace(shape);
  } else {
    state_->rows.emplace(shape);
  }
}
template <class T>
ConvolutionLogAbsDet<T>::~ConvolutionLogAbsDet() = default;
template <class T>
ConvolutionLogAbsDet<T>::ConvolutionLogAbsDet(ConvolutionLogAbsDet&&) noexcept = default;
template <class T>
ConvolutionLogAbsDet<T>& ConvolutionLogAbsDet<T>::operator=(ConvolutionLogAbsDet&&) noexcept =
    default;

template <class T>
double ConvolutionLogAbsDet<T>::evaluate(std::string_view where, std::span<const T> weights,
                                         const Products& products, std::span<T> gradient) {
  const Index count = state_->shape.weights();
  check_size(where, "weights", static_cast<Index>(weights.size()), count);
  check_size(where, "gradient", static_cast<Index>(gradient.size()), count);
  if (state_->rows) {
    const double log_abs_det = state_->rows->factor(where, weights, products);
    state_->rows->gradient(products, gradient);
    return log_abs_det;
  }
  const double log_abs_det = state_->frequencies->invert(where, weights);
  state_->frequencies->gradient(gradient);
  return log_abs_det;
}

struct ConvolutionFactors::State {
  ConvolutionShape shape;
  std::vector<double> weights;
  Products products{ProductBackend::openblas};
  double log_abs_det = 0.0;
  std::optional<FrequencyBlocks<double>> frequencies;  // circular
  std::optional<BandedLuFactors> banded;               // padding by zeros
  std::optional<RowRecursion<double>> rows;            // likewise; none where a block is singular

  void factor(std::string_view where);
  void solve_banded(MatrixMap<double> samples);
  bool solve_by_rows(MatrixMap<double> samples);
};

void ConvolutionFactors::State::factor(std::string_view where) {
  if (shape.padding == Padding::circular) {
    frequencies.emplace(shape);
    log_abs_det = frequencies->invert(where, weights);
    return;
  }
  banded.emplace(where, banded_matrix(shape, weights));
  log_abs_det = banded->log_abs_det();
  try {
    rows.emplace(shape);
    rows->factor(where, weights, products);
  } catch (const DivergedError&) {
    rows.reset();
  }
}

void ConvolutionFactors::State::solve_banded(MatrixMap<double> samples) {
  Matrix<double> ordered(samples.rows(), samples.cols());
  move_channels(shape, true, samples.data(), samples.cols(), ordered.data());
  banded->solve_in_place(MatrixMap<double>(ordered.data(), ordered.rows(), ordered.cols()));
  move_channels(shape, false, ordered.data(), samples.cols(), samples.data());
}

/// x <- x + T^{-1} (y - T x), until what is left of y is as small as rounding allows. False, and
/// samples as they were, where it is not: blocks that were not pivoted across made it so.
bool ConvolutionFactors::State::solve_by_rows(MatrixMap<double> samples) {
  constexpr int most_rounds = 3;
  constexpr double relative_residual = 1e-12;
  if (!rows) return false;
  std::vector<double> scratch(static_cast<std::size_t>(convolution_scratch_size<double>(shape)));
  Matrix<double> x = Matrix<double>::Zero(samples.rows(), samples.cols());
  Matrix<double> residual = samples;
  Matrix<double> ordered(samples.rows(), samples.cols());
  const MatrixMap<double> residual_view(residual.data(), residual.rows(), residual.cols());
  for (int round = 0; round < most_rounds; ++round) {
    move_channels(shape, true, residual.data(), samples.cols(), ordered.data());
    rows->solve_in_place(products,
                         MatrixMap<double>(ordered.data(), ordered.rows(), ordered.cols()));
    move_channels(shape, false, ordered.data(), samples.cols(), residual.data());
    x += residual;
    convolve<double>(shape, weights, {}, ConstMatrixMap<double>(x.data(), x.rows(), x.cols()),
                     residual_view, scratch);
    residual = samples - residual;
    // Rounding of T x: a sum of C k^2 products, of the size of x and of the weights.
    const double largest = std::max(samples.cwiseAbs().maxCoeff(), x.cwiseAbs().maxCoeff());
    if (residual.cwiseAbs().maxCoeff() <= relative_residual * largest) {
      samples = x;
      return true;
    }
  }
  return false;
}

template <class T>
ConvolutionFactors::ConvolutionFactors(std::string_view where, const ConvolutionShape& shape,
                                       std::span<const T> weights)
    : state_(std::make_unique<State>()) {
  check_square(where, shape);
  check_size(where, "weights", static_cast<Index>(weights.size()), shape.weights());
  state_->shape = shape;
  state_->weights.assign(weights.begin(), weights.end());
  state_->factor(where);
}
ConvolutionFactors::~ConvolutionFactors() = default;
ConvolutionFactors::ConvolutionFactors(ConvolutionFactors&&) noexcept = default;
ConvolutionFactors& ConvolutionFactors::operator=(ConvolutionFactors&&) noexcept = default;

double ConvolutionFactors::log_abs_det() const { return state_->log_abs_det; }

template <class T>
void ConvolutionFactors::solve(std::span<const T> bias, const ConstMatrixMap<T>& output,
                               MatrixMap<T> input) const {
  const ConvolutionShape& shape = state_->shape;
  check_size("ConvolutionFactors::solve", "rows of output", output.rows(), shape.inputs());
  check_size("ConvolutionFactors::solve", "rows of input", input.rows(), shape.inputs());
  check_size("ConvolutionFactors::solve", "columns of input", input.cols(), output.cols());
  for (Index begin = 0; begin < output.cols(); begin += solved_together) {
    const Index count = std::min(solved_together, output.cols() - begin);
    Matrix<double> samples = output.middleCols(begin, count).template cast<double>();
    for (std::size_t c = 0; c < bias.size(); ++c) {
      samples.middleRows(static_cast<Index>(c) * shape.positions(), shape.positions()).array() -=
          static_cast<double>(bias[c]);
    }
    const MatrixMap<double> view(samples.data(), samples.rows(), count);
    if (state_->frequencies) {
      state_->frequencies->solve(ConstMatrixMap<double>(view.data(), view.rows(), count), view);
    } else if (!state_->solve_by_rows(view)) {
      state_->solve_banded(view);
    }
    input.middleCols(begin, count) = samples.template cast<T>();
  }
}

template class ConvolutionLogAbsDet<float>;
template class ConvolutionLogAbsDet<double>;
#define RELGRAD_INSTANTIATE_CONVOLUTION_FACTORS(T)                                           \
  template ConvolutionFactors::ConvolutionFactors(std::string_view, const ConvolutionShape&, \
                                                  std::span<const T>);                       \
  template void ConvolutionFactors::solve(std::span<const T>, const ConstMatrixMap<T>&,      \
                                          MatrixMap<T>) const;
RELGRAD_INSTANTIATE_CONVOLUTION_FACTORS(float)
RELGRAD_INSTANTIATE_CONVOLUTION_FACTORS(double)
#undef RELGRAD_INSTANTIATE_CONVOLUTION_FACTORS

}  // namespace relgrad
