#pragma once
/// Is every number finite, and how large are they?
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "relgrad/exchange/exchange.hpp"
#include "relgrad/model/parameters.hpp"

namespace relgrad {

/// No NaN and no infinity. One read of memory.
template <class T>
bool all_finite(std::span<const T> values);

/// A number for JSON, which has no NaN and no infinity: those are "nan", "inf", "-inf".
nlohmann::json number_or_word(double value);

/// {"name", "min_abs", "max_abs", "nonfinite"}; the extremes are of finite values, null if none is.
template <class T>
nlohmann::json range_of(const std::string& name, std::span<const T> values);

/// A function of name and values, for each parameter and each block of moments this rank holds.
template <class T, class Work>
void for_each_tensor(const ParameterStore<T>& store, const Exchange<T>& exchange,
                     const Work& work) {
  for (ParameterId id = 0; id < store.count(); ++id) work(store.info(id).name, store.values(id));
  for (int m = 0; m < store.moment_count(); ++m) {
    for (ParameterId id = 0; id < store.count(); ++id) {
      if (!store.has_moments(id)) continue;
      const ParameterInfo& info = store.info(id);
      const bool is_shared = info.use.by_columns;
      const Range own =
          is_shared ? exchange.own_columns(info.col_end - info.col_begin) : Range{0, info.cols};
      if (own.size() == 0) continue;
      work("optimizer/moment" + std::to_string(m + 1) + "/" + info.name,
           store.moment(m, id).subspan(static_cast<std::size_t>(info.rows * own.begin),
                                       static_cast<std::size_t>(info.rows * own.size())));
    }
  }
}

}  // namespace relgrad
