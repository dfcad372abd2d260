#pragma once
/// The gradients of a step, held until its end, when those of all ranks travel in one message.
#include <array>
#include <span>
#include <vector>

#include "relgrad/exchange/exchange.hpp"
#include "relgrad/model/gradient_sink.hpp"

namespace relgrad {

template <class T>
class HeldGradients {
 public:
  void clear();
  /// Copies factors: their memory may be reused.
  void hold(std::span<const ParameterGradient<T>> together);
  /// Collective. Factors become those of all ranks' samples, in the order of the global batch, and
  /// `sums` the sums of all ranks', added in the order of the ranks.
  /// @param samples  of all ranks, split as part_of does
  /// @throws ShapeError where this rank's factors are of another number of samples
  void gather(Exchange<T>& exchange, Index samples, std::span<T> sums);
  /// After gather: those given together, again.
  template <class Visit>
  void for_each_group(const Visit& visit) {
    std::vector<ParameterGradient<T>> together;
    for (std::size_t i = 0; i < held_.size(); ++i) {
      together.push_back(with_factors(held_[i]));
      if (i + 1 < held_.size() && held_[i + 1].group == held_[i].group) continue;
      visit(std::span<const ParameterGradient<T>>(together));
      together.clear();
    }
  }

 private:
  struct Held {
    ParameterId id;
    PerSampleTerm<T> every_sample;
    int group;
    Index begin;                   // of its factors: numbers per sample before them
    std::array<Index, 3> rows;     // of left, right and outputs; 0: none
    std::array<Index, 3> columns;  // of them per sample
    Index numbers(std::size_t which) const { return rows[which] * columns[which]; }  // per sample
  };
  ParameterGradient<T> with_factors(const Held& held) const;

  std::vector<Held> held_;
  int groups_ = 0;
  Index per_sample_ = 0;  // numbers of all factors
  Index samples_ = 0;     // of all ranks, once gathered
  std::vector<T> message_, all_, factors_;
};

}  // namespace relgrad
