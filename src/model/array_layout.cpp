#include "model/array_layout.hpp"

namespace relgrad {

ArrayLayout array_layout(const std::string& kind, const std::string& tensor, const SampleShape& in,
                         Index rows, Index cols) {
  const Index channels = in.channels;
  const bool is_bias = tensor == "b";
  if (kind == "linear" && tensor == "R-transposed") return {{cols, rows}};  // R by rows
  if (kind == "conv" && !is_bias) {
    Index taps = 1;
    while (taps * taps * channels < rows) ++taps;
    return {{channels, channels, taps, taps}};
  }
  if (kind == "spectral" && is_bias) return {{channels, in.height, in.width}};
  if (kind == "spectral") return {{channels, channels, in.height, in.width}};
  if (tensor == "first_weight") return {{cols, channels / 2, 3, 3}};
  if (tensor == "middle_weight") return {{cols, rows}};
  if (tensor == "last_weight") return {{channels, rows, 3, 3}, 9, rows};
  const bool is_matrix = kind == "spline" || tensor == "W" || cols > 1;
  return is_matrix ? ArrayLayout{{rows, cols}, cols, rows} : ArrayLayout{{rows}};
}

}  // namespace relgrad
