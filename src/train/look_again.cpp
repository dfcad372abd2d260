/// What a run makes of the exchange that `auto` chose, once steps show what it takes.
#include <span>

#include "relgrad/core/log.hpp"
#include "train/training_loop.hpp"
#include "tuning/product_choice.hpp"

namespace relgrad {

template <class T>
std::vector<StepCost> Trainer<T>::costs_to_look_at() const {
  std::vector<StepCost> costs = sharing_.costs();
  if (!log_abs_det_.tracks()) return costs;
  std::erase_if(costs, [](const StepCost& cost) {
    return cost.choice.name != "factor" && cost.choice.name != "gathered";
  });
  return costs;
}

template <class T>
nlohmann::json Trainer<T>::choices() const {
  nlohmann::json exchange;  // null: a resumed run measures again
  if (second_look_.has_settled()) exchange = to_json(exchange_choice_);
  return {{"products", to_json(products_)}, {"exchange", exchange}};
}

template <class T>
void Trainer<T>::look_again(double step_seconds) {
  if (!second_look_.add(step_seconds)) return;
  double most = second_look_.seconds();
  comm_.allreduce_max(std::span(&most, 1));
  const SecondLook::Decision decision = second_look_.decide(most);
  if (!decision.words.empty()) {
    progress_.end_line();
    log_info(decision.words);
  }
  if (decision.change) {
    heartbeat_.at(Place::sum);
    exchange_choice_ = *decision.change;
    exchange_.become(sharing_.make_exchange(*decision.change), model_.flow->parameters());
  }
  if (decision.is_final) checkpoints_.set_choices(choices());
}

template std::vector<StepCost> Trainer<float>::costs_to_look_at() const;
template std::vector<StepCost> Trainer<double>::costs_to_look_at() const;
template nlohmann::json Trainer<float>::choices() const;
template nlohmann::json Trainer<double>::choices() const;
template void Trainer<float>::look_again(double);
template void Trainer<double>::look_again(double);

}  // namespace relgrad
