#pragma once
/// `--exchange auto` after the first steps: whether they take what the cost model predicted.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "exchange/cost_model.hpp"

namespace relgrad {

/// Times steps at the start of a run, after a minute and after five. Where they take longer than
/// another exchange was predicted to, that one is tried for as many steps, and kept if it is
/// faster. Every rank has one and hears the same numbers, so all ranks do the same.
class SecondLook {
 public:
  static constexpr int warm_up = 3;  // steps after a change that are not counted
  static constexpr int counted = 20;

  /// @param costs  [0] of the exchange that was taken, then of those that the run may change to;
  ///               none of those: there is never anything to decide
  explicit SecondLook(const std::vector<StepCost>& costs);

  /// A step took `seconds` on this rank. True, on every rank at the same step: decide() must
  /// follow.
  bool add(double seconds);
  /// What to decide by, on this rank: the median of the steps counted, or the seconds since the
  /// last look.
  double seconds() const;

  /// Whether a look has ended, or never begins: what runs is what is to be kept.
  bool has_settled() const { return candidates_.empty() || looks_ > 0; }

  struct Decision {
    std::optional<ExchangeChoice> change;  // to what
    bool is_final = false;                 // what runs now is kept until the next look
    std::string words;                     // for the log; empty: nothing to say
  };
  /// @param most  the largest seconds() of all ranks
  Decision decide(double most);

 private:
  struct Candidate {
    ExchangeChoice choice;
    double predicted;
    bool tried = false;  // in this look
  };
  Decision decide_by_median(double seconds);

  std::vector<Candidate> candidates_;
  std::size_t now_ = 0;
  std::size_t best_ = 0;
  double best_seconds_ = 0;
  std::size_t looks_ = 0;      // that have ended
  std::int64_t waits_ = 0;     // steps until the next counted one, or the next question
  bool rests_ = false;         // between two looks
  double rested_ = 0;          // seconds
  std::vector<double> steps_;  // seconds
};

}  // namespace relgrad
