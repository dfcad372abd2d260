#include "convolution/frequency_blocks.hpp"

#include <algorithm>

namespace relgrad {

template <class T>
FrequencyBlocks<T>::FrequencyBlocks(const ConvolutionShape& shape)
    : shape_(shape),
      channels_(shape.channels_in),
      fourier_(shape.height, shape.width),
      inverter_(shape.channels_in) {
  const auto pairs = static_cast<std::size_t>(channels_ * channels_);
  planes_.resize(pairs * static_cast<std::size_t>(shape.positions()));
  spectra_.resize(pairs * static_cast<std::size_t>(fourier_.frequencies()));
  blocks_.resize(spectra_.size());
}

template <class T>
Index FrequencyBlocks<T>::position(Index i, Index j, Index sign) const {
  const Index r = (shape_.taps - 1) / 2;
  const auto inside = [](Index at, Index size) { return ((at % size) + size) % size; };
  return inside(sign * (i - r), shape_.height) * shape_.width +
         inside(sign * (j - r), shape_.width);
}

// y(h, w) = sum_{i, j} w(i, j) x(h + i - r, w + j - r), so Y(f) = K_f X(f) where K is the DFT of
// the taps at the mirrored positions (r - i, r - j).
template <class T>
double FrequencyBlocks<T>::invert(std::string_view where, std::span<const T> weights) {
  const Index square = shape_.taps * shape_.taps;
  const Index pairs = channels_ * channels_;
  std::fill(planes_.begin(), planes_.end(), T(0));
  for (Index pair = 0; pair < pairs; ++pair) {
    T* plane = planes_.data() + pair * shape_.positions();
    const T* taps = weights.data() + pair * square;
    for (Index i = 0; i < shape_.taps; ++i) {
      for (Index j = 0; j < shape_.taps; ++j)
        plane[position(i, j, -1)] += taps[i * shape_.taps + j];
    }
  }
  fourier_.forward(planes_.data(), spectra_.data(), pairs);

  double log_abs_det = 0.0;
  const Index frequencies = fourier_.frequencies();
  for (Index f = 0; f < frequencies; ++f) {
    for (Index pair = 0; pair < pairs; ++pair) {
      entry(f, pair / channels_, pair % channels_) =
          spectra_[static_cast<std::size_t>(pair * frequencies + f)];
    }
    log_abs_det += static_cast<double>(fourier_.multiplicity(f)) *
                   inverter_.invert(where, channels_, &entry(f, 0, 0));
  }
  return log_abs_det;
}

// d/dw(o, c, i, j) = sum_f K_f^{-1}(c, o) exp(2 pi i <f, (i - r, j - r)>)
//                  = HW IDFT(K^{-1}(c, o)) at (i - r, j - r)
template <class T>
void FrequencyBlocks<T>::gradient(std::span<T> gradient) {
  const Index square = shape_.taps * shape_.taps;
  const Index pairs = channels_ * channels_;
  const Index frequencies = fourier_.frequencies();
  for (Index pair = 0; pair < pairs; ++pair) {
    for (Index f = 0; f < frequencies; ++f) {
      spectra_[static_cast<std::size_t>(pair * frequencies + f)] =
          entry(f, pair % channels_, pair / channels_);
    }
  }
  fourier_.inverse(spectra_.data(), planes_.data(), pairs);
  const auto positions = static_cast<T>(shape_.positions());
  for (Index pair = 0; pair < pairs; ++pair) {
    const T* plane = planes_.data() + pair * shape_.positions();
    T* taps = gradient.data() + pair * square;
    for (Index i = 0; i < shape_.taps; ++i) {
      for (Index j = 0; j < shape_.taps; ++j) {
        taps[i * shape_.taps + j] = positions * plane[position(i, j, 1)];
      }
    }
  }
}

// X(f) = K_f^{-1} Y(f)
template <class T>
void FrequencyBlocks<T>::solve(const ConstMatrixMap<T>& output, MatrixMap<T> input) const {
  const Index frequencies = fourier_.frequencies();
  const Index batch = output.cols();
  Matrix<std::complex<T>> spectra(frequencies, channels_ * batch);
  fourier_.forward(output.data(), spectra.data(), spectra.cols());
  Matrix<std::complex<T>> of_frequency(channels_, batch);
  for (Index f = 0; f < frequencies; ++f) {
    const Eigen::Map<const Matrix<std::complex<T>>> inverse(
        blocks_.data() + f * channels_ * channels_, channels_, channels_);
    auto row = spectra.row(f).reshaped(channels_, batch);
    of_frequency.noalias() = inverse * row;
    row = of_frequency;
  }
  fourier_.inverse(spectra.data(), input.data(), spectra.cols());
}

template class FrequencyBlocks<float>;
template class FrequencyBlocks<double>;

}  // namespace relgrad
