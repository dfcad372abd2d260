#pragma once
/// An exchange that can become another one between two steps.
#include <memory>

#include "relgrad/exchange/exchange.hpp"
#include "relgrad/model/parameters.hpp"

namespace relgrad {

/// Does what the exchange in it does. Everything that holds it goes on holding it after a change.
template <class T>
class ChangingExchange final : public Exchange<T> {
 public:
  using Apply = typename Exchange<T>::Apply;
  explicit ChangingExchange(std::unique_ptr<Exchange<T>> now) : now_(std::move(now)) {}

  /// Collective, between two steps. Every rank gets the moments of the columns that other ranks
  /// updated, as `next` may give it others to update.
  void become(std::unique_ptr<Exchange<T>> next, ParameterStore<T>& store);

  std::string_view name() const override { return now_->name(); }
  Range own_columns(Index cols) const override { return now_->own_columns(cols); }
  void outer_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                     const Apply& apply, const ReadNext<T>& beside = {}) override {
    now_->outer_product(left, right, apply, beside);
  }
  bool has_inner_product() const override { return now_->has_inner_product(); }
  void inner_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& outputs,
                     const Range& coordinates, Matrix<double>& inner) override {
    now_->inner_product(left, outputs, coordinates, inner);
  }
  void publish(MatrixMap<T> updated) override { now_->publish(updated); }
  void sum(std::span<T> values) override { now_->sum(values); }
  void sum_exact(std::span<double> values) override { now_->sum_exact(values); }
  double sum_over_columns(double value) override { return now_->sum_over_columns(value); }
  ExchangeCost take_cost() override;
  bool column_pass(const ConstMatrixMap<T>& w, const ConstMatrixMap<T>& left,
                   const ConstMatrixMap<T>& factors, MatrixMap<T> products,
                   const Apply& apply) override {
    return now_->column_pass(w, left, factors, products, apply);
  }
  Exchange<T>* alone() override { return now_->alone(); }
  int rank() const override { return now_->rank(); }
  int world_size() const override { return now_->world_size(); }
  void gather(std::span<const T> mine, std::span<T> all,
              std::span<const std::int64_t> counts) override {
    now_->gather(mine, all, counts);
  }

 private:
  std::unique_ptr<Exchange<T>> now_;
};

}  // namespace relgrad
