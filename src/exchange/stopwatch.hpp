#pragma once
/// Adds the seconds of its life to a cost.
#include <chrono>

#include "relgrad/exchange/exchange.hpp"

namespace relgrad {

class Stopwatch {
 public:
  explicit Stopwatch(ExchangeCost& cost) : cost_(&cost) {}
  ~Stopwatch() {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
    cost_->seconds += spent.count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  ExchangeCost* cost_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace relgrad
