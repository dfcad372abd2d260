#pragma once
/// One step's sums of every parameter that is not a weight matrix: biases, splines. One message
/// carries them all.
#include <map>
#include <vector>

#include "relgrad/exchange/exchange.hpp"
#include "relgrad/model/flow.hpp"

namespace relgrad {

template <class T>
class SmallSums final : public SmallGradients<T> {
 public:
  /// @param exact_terms  the most samples a batch has, all ranks together, if sums must come out
  /// the
  ///                     same however they are split over ranks; 0: plain sums
  /// @param squares  room for those of add_squares
  SmallSums(const Flow<T>& flow, std::int64_t exact_terms, bool squares = false);

  void clear();
  std::span<T> sum(ParameterId id) override;
  std::optional<ExactSums> exact(ParameterId id, std::size_t size) override;
  /// Adds sums over samples of squares of the rows of Y and of Delta, D numbers of each: those of
  /// coordinates `begin` and following.
  void add_squares(ParameterId bias, const ConstMatrixMap<T>& delta,
                   const ConstMatrixMap<T>& outputs, Index begin);
  /// After exchange(): sums of squares of Y's D rows, then of Delta's D rows.
  std::span<const T> squares(ParameterId bias) const;
  /// Collective: afterwards sum(id) is that of all ranks.
  void exchange(Exchange<T>& exchange);

 private:
  // A sample's term of a derivative beyond this is held there; so large a one says that training
  // has lost its way, not where to go.
  static constexpr int limit_bits = 14;  // layers may add up two terms a sample

  const Flow<T>* flow_;
  std::vector<T> plain_;
  std::vector<std::size_t> offset_;  // of each parameter in plain_; a bias has its squares behind
  bool is_exact_;
  ExactGrid grid_;
  std::vector<double> exact_;
  struct Place {
    std::size_t offset, size;
  };
  // In exact_, in the order of the first backward pass. The squares of parameter id have the key
  // id + the number of parameters.
  std::map<ParameterId, Place> places_;
};

}  // namespace relgrad
