#include "model/convolution_layer.hpp"

#include <cmath>

#include "convolution/exact_convolution.hpp"
#include "model/random_start.hpp"

namespace relgrad {

template <class T>
ConvolutionLayer<T>::ConvolutionLayer(ParameterStore<T>& store, const Products& products,
                                      const std::string& prefix, const SampleShape& shape,
                                      Index taps, Padding padding, bool keeps_inverse)
    : store_(&store),
      products_(&products),
      prefix_(prefix),
      shape_(shape),
      // one tap meets no border, and circular convolutions have the cheaper log|det|
      convolution_{shape.channels, shape.channels, shape.height,
                   shape.width,    taps,           taps == 1 ? Padding::circular : padding} {
  check_convolution(prefix, convolution_);
  const Index rows = shape.channels * taps * taps;
  weight_id_ = store.add(prefix + "/w", {.decays = true}, rows, shape.channels);
  bias_id_ = store.add(prefix + "/b", {}, shape.channels, 1);
  if (!keeps_inverse) return;
  inverse_id_ = store.add(prefix + "/R", {}, rows, shape.channels);
  reconstruction_id_ = store.add(prefix + "/reconstruction", {.moves = false}, 2, 1);
}

template <class T>
LayerShape ConvolutionLayer<T>::shape() const {
  return {shape_, shape_, 0, 0, keeps_inverse() ? 3 * shape_.size() : 0};
}

template <class T>
std::span<T> ConvolutionLayer<T>::convolution_scratch() const {
  scratch_.resize(static_cast<std::size_t>(convolution_scratch_size<T>(convolution_)));
  return scratch_;
}

template <class T>
void ConvolutionLayer<T>::initialize(const LayerStart& start) {
  const Index channels = shape_.channels;
  const Index taps = convolution_.taps * convolution_.taps;
  // column o: the taps of output o, input channel by input channel
  MatrixMap<T> w = store_->matrix(weight_id_);
  if (taps == 1) {
    w = orthogonal_matrix(channels, start.seed, start.layer).template cast<T>();
  } else {
    const double scale = start.noise / std::sqrt(static_cast<double>(w.rows()));
    std::vector<double> normal(static_cast<std::size_t>(w.rows()));
    for (Index o = 0; o < channels; ++o) {
      normal_column(start.seed, start.layer, o, normal);
      w.col(o) =
          (scale * Eigen::Map<const Vector<double>>(normal.data(), w.rows())).template cast<T>();
      w(o * taps + taps / 2, o) += T{1};
    }
  }
  if (keeps_inverse()) flip_weights<T>(convolution_, weights(), store_->values(inverse_id()));
}

template <class T>
void ConvolutionLayer<T>::forward(LayerPass<T> pass) const {
  convolve<T>(convolution_, weights(), bias(), pass.input, pass.output, convolution_scratch());
}

template <class T>
void ConvolutionLayer<T>::inverse(const ConstMatrixMap<T>& output,
                                  const ConstMatrixMap<T>& /*latent*/, MatrixMap<T> input,
                                  InverseKind kind) const {
  if (kind == InverseKind::exact || !keeps_inverse()) {
    ConvolutionFactors(prefix_ + "/w", convolution_, weights()).solve(bias(), output, input);
    return;
  }
  Matrix<T> z = output;
  const Index positions = convolution_.positions();
  for (Index c = 0; c < shape_.channels; ++c) {
    z.middleRows(c * positions, positions).array() -= bias()[static_cast<std::size_t>(c)];
  }
  convolve<T>(convolution_, inverse_weights(), {}, ConstMatrixMap<T>(z.data(), z.rows(), z.cols()),
              input, convolution_scratch());
}

template <class T>
double ConvolutionLayer<T>::sample_independent_log_abs_det() const {
  return ConvolutionFactors(prefix_ + "/w", convolution_, weights()).log_abs_det();
}

template class ConvolutionLayer<float>;
template class ConvolutionLayer<double>;

}  // namespace relgrad
