#include "tuning/second_look.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace relgrad {

namespace {

constexpr std::array<double, 2> pauses = {60, 240};  // seconds between looks
constexpr double question_every = 5;                 // seconds: whether a pause is over
constexpr double worth_it = 0.97;                    // of the time: noise does not change anything

}  // namespace

SecondLook::SecondLook(const std::vector<StepCost>& costs) : waits_(warm_up) {
  if (costs.size() < 2) return;
  for (const StepCost& cost : costs) candidates_.push_back({cost.choice, cost.seconds()});
}

bool SecondLook::add(double seconds) {
  if (candidates_.empty()) return false;
  if (rests_) rested_ += seconds;
  if (waits_ > 0) {
    --waits_;
    return false;
  }
  if (rests_) return true;
  steps_.push_back(seconds);
  return steps_.size() == counted;
}

double SecondLook::seconds() const {
  if (rests_) return rested_;
  std::vector<double> sorted = steps_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  return *middle;
}

SecondLook::Decision SecondLook::decide(double most) {
  if (!rests_) return decide_by_median(most);
  rests_ = most < pauses[looks_ - 1];
  waits_ = rests_ ? static_cast<std::int64_t>(question_every / best_seconds_) : 0;
  return {};
}

SecondLook::Decision SecondLook::decide_by_median(double seconds) {
  steps_.clear();
  waits_ = warm_up;
  Candidate& here = candidates_[now_];
  const bool is_trial = now_ != best_;
  here.tried = true;
  Decision decision;
  if (!is_trial || seconds < worth_it * best_seconds_) {
    if (is_trial) {
      decision.words = fmt::format("exchange {} takes {:.2f} ms per step instead of {:.2f}: kept",
                                   here.choice.text(), 1e3 * seconds, 1e3 * best_seconds_);
    }
    best_ = now_;
    best_seconds_ = seconds;
  }
  const Candidate* next = nullptr;
  for (const Candidate& other : candidates_) {
    if (other.tried || other.predicted >= worth_it * best_seconds_) continue;
    if (next == nullptr || other.predicted < next->predicted) next = &other;
  }
  if (next == nullptr) {
    decision.is_final = true;
    if (now_ != best_) {
      decision.change = candidates_[best_].choice;
      decision.words = fmt::format("exchange {} takes {:.2f} ms per step: back to {} ({:.2f} ms)",
                                   here.choice.text(), 1e3 * seconds,
                                   candidates_[best_].choice.text(), 1e3 * best_seconds_);
    }
    now_ = best_;
    for (Candidate& candidate : candidates_) candidate.tried = false;
    rests_ = true;
    rested_ = 0;
    waits_ = static_cast<std::int64_t>(question_every / best_seconds_);
    if (looks_++ == pauses.size()) candidates_.clear();
    return decision;
  }
  if (!decision.words.empty()) decision.words += "; ";
  decision.words += fmt::format(
      "exchange {} takes {:.2f} ms per step, {:.2f} were predicted: {} is tried, predicted {:.2f}",
      here.choice.text(), 1e3 * seconds, 1e3 * here.predicted, next->choice.text(),
      1e3 * next->predicted);
  decision.change = next->choice;
  now_ = static_cast<std::size_t>(next - candidates_.data());
  return decision;
}

}  // namespace relgrad
