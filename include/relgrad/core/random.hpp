#pragma once
/// Counter-based random numbers (Random123, Philox4x32-10; Salmon et al., SC 2011): every draw is a
/// pure function of (seed, purpose, epoch, item, position), never of rank, thread or batch
/// position.
#include <array>
#include <cstdint>
#include <span>

namespace relgrad {

/// What a draw is for. Values are part of the reproducibility promise: never renumber.
enum class Purpose : std::uint8_t {
  dequantize_train = 1,
  dequantize_eval = 2,
  epoch_order = 3,
  initialize = 4,
  sample_latent = 5,
  synthetic = 6,
  test = 7,
  probe = 8,  // vectors that estimate a norm
};

/// The stream of one item (a sample, a layer, ...) in one epoch. Words are kept apart, never
/// summed.
class RandomStream {
 public:
  /// @param epoch  epoch of training, or index of the draw in evaluation
  /// @param item   global sample index, layer index, ...; below 2^56
  RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t epoch, std::uint64_t item);

  /// Four 32-bit words number `block` of the stream; any order, no state.
  std::array<std::uint32_t, 4> block(std::uint32_t block) const;

  /// out[i] = uniform in (0, 1) at position i: (23 bits + 1/2) / 2^23 for float,
  /// (32 bits + 1/2) / 2^32 for double; never 0 or 1.
  void uniform(std::span<float> out) const;
  void uniform(std::span<double> out) const;
  /// out[i] = standard normal at position i (Box-Muller in double precision).
  void normal(std::span<float> out) const;
  void normal(std::span<double> out) const;

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 3> counter_high_;
};

}  // namespace relgrad
