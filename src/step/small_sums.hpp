#pragma once
/// One step's sums of every parameter whose gradient does not come as factors: biases, splines,
/// convolutions. One message carries them all.
#include <map>
#include <vector>

#include "relgrad/exchange/exchange.hpp"
#include "relgrad/model/gradient_sink.hpp"

namespace relgrad {

template <class T>
class SmallSums final : public StepSums<T> {
 public:
  /// @param exact_terms  the most samples a batch has, all ranks together, if sums must come out
  ///                     the same however they are split over ranks; 0: plain sums
  SmallSums(const ParameterStore<T>& store, std::int64_t exact_terms);

  void begin(const StepNumbers& numbers);
  std::span<T> sum(ParameterId id) override;
  std::optional<ExactSums> exact(ParameterId id, std::size_t size) override;
  std::span<T> statistics(ParameterId id, std::size_t size);
  std::optional<ExactSums> exact_statistics(ParameterId id, std::size_t size);
  /// Collective, after the outer product of `factors.left`: keeps Y^T left of all ranks.
  void take_inner_product(ParameterId id, const Factors<T>& factors, Exchange<T>& exchange);
  /// Collective: afterwards sums and statistics are those of all ranks.
  void exchange(Exchange<T>& exchange);
  /// The same in two parts, for plain sums: what is to be summed, in place, and that it was.
  std::span<T> message();
  void take_message();
  void set_divisor(double divisor) { divisor_ = divisor; }

  const StepNumbers& numbers() const override { return numbers_; }
  double divisor() const override { return divisor_; }
  std::span<const T> total(ParameterId id) const override {
    return std::span(plain_).subspan(offset_[id], store_->info(id).size());
  }
  std::span<const T> statistics(ParameterId id) const override { return statistics_.at(id); }
  const Matrix<double>& inner_product(ParameterId id) const override {
    return inner_products_.at(id);
  }

 private:
  // A sample's term of a derivative beyond this is held there; so large a one says that training
  // has lost its way, not where to go.
  static constexpr int limit_bits = 14;  // layers may add up two terms a sample

  const ParameterStore<T>* store_;
  StepNumbers numbers_;
  double divisor_ = 0;
  std::vector<T> plain_;
  std::vector<std::size_t> offset_;  // of each parameter in plain_
  std::map<ParameterId, std::vector<T>> statistics_;
  bool is_exact_;
  ExactGrid grid_;
  // Statistics of parameter id have the key id + the number of parameters.
  std::map<ParameterId, std::vector<double>> exact_;
  std::vector<double> message_;   // all of exact_
  std::vector<T> plain_message_;  // plain_ and all of statistics_
  std::map<ParameterId, Matrix<double>> inner_products_;
};

}  // namespace relgrad
