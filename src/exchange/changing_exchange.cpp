#include "exchange/changing_exchange.hpp"

#include <utility>

namespace relgrad {

template <class T>
void ChangingExchange<T>::become(std::unique_ptr<Exchange<T>> next, ParameterStore<T>& store) {
  for (ParameterId id = 0; id < store.count(); ++id) {
    const ParameterInfo& info = store.info(id);
    if (!info.use.moves || !info.use.by_columns || !store.has_moments(id)) continue;
    for (int m = 0; m < store.moment_count(); ++m) {
      now_->publish(MatrixMap<T>(store.moment(m, id).data(), info.rows, info.cols));
    }
  }
  this->cost_.bytes_sent += now_->take_cost().bytes_sent;  // its seconds are no step's
  now_ = std::move(next);
}

template <class T>
ExchangeCost ChangingExchange<T>::take_cost() {
  ExchangeCost cost = now_->take_cost();
  cost.bytes_sent += std::exchange(this->cost_, {}).bytes_sent;
  return cost;
}

template class ChangingExchange<float>;
template class ChangingExchange<double>;

}  // namespace relgrad
