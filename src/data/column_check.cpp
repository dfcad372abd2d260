#include "data/column_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <span>
#include <string_view>

#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/data/epoch_order.hpp"

namespace relgrad {

namespace {

constexpr std::uint64_t sampled_values_at_most = std::uint64_t{1} << 24U;  // 64 MiB
constexpr std::uint64_t sampled_rows_at_most = 50000;
constexpr std::size_t named_at_most = 5;

std::uint64_t rows_to_sample(std::uint64_t rows, std::uint64_t columns) {
  const std::uint64_t wanted =
      std::clamp<std::uint64_t>(sampled_values_at_most / columns, 1000, sampled_rows_at_most);
  return std::min(rows, wanted);
}

/// "3 of 64 columns WHAT: a; b; c; ..." as a warning, if there are any.
void warn(const std::string& where, std::uint64_t columns, const std::string& what,
          std::vector<std::string> found, const std::string& advice) {
  if (found.empty()) return;
  const std::size_t count = found.size();
  if (count > named_at_most) {
    found.resize(named_at_most);
    found.emplace_back("...");
  }
  log_warning(fmt::format("{}: {} of {} columns {}: {}; {}", where, count, columns, what,
                          fmt::join(found, ", "), advice));
}

bool is_level_part(float value) {
  const float level = std::nearbyint(value * 255.0F);
  return level >= 0 && level <= 255 && std::abs(value - level / 255.0F) <= 1e-6F;
}

}  // namespace

ColumnCheck::ColumnCheck(std::uint64_t rows, std::uint64_t columns)
    : columns_(columns),
      extremes_(columns),
      sample_(static_cast<Index>(rows_to_sample(rows, columns)), static_cast<Index>(columns)) {
  sampled_rows_ = draw_rows(0, rows, static_cast<std::uint64_t>(sample_.rows()));
}

void ColumnCheck::add(const float* values, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i, ++done_, values += columns_) {
    for (std::uint64_t d = 0; d < columns_; ++d) {
      Extremes& extremes = extremes_[d];
      if (done_ == 0 || values[d] < extremes.least) {
        extremes.least = values[d];
        extremes.row_of_least = done_;
      }
      if (done_ == 0 || values[d] > extremes.most) {
        extremes.most = values[d];
        extremes.row_of_most = done_;
      }
    }
    for (std::uint64_t d = 0; all_levels_ && d < columns_; ++d) {
      all_levels_ = values[d] >= 0 && values[d] <= 255 && values[d] == std::trunc(values[d]);
    }
    for (std::uint64_t d = 0; all_integers_ && d < columns_; ++d) {
      all_integers_ = values[d] == std::trunc(values[d]);
    }
    for (std::uint64_t d = 0; all_level_parts_ && d < columns_; ++d) {
      all_level_parts_ = is_level_part(values[d]);
    }
    if (sampled_ < sampled_rows_.size() && sampled_rows_[sampled_] == done_) {
      std::copy_n(values, columns_, sample_.row(static_cast<Index>(sampled_)).begin());
      ++sampled_;
    }
  }
}

void ColumnCheck::expect_no_levels(const std::string& where) const {
  // Small numbers in a large unit are all near 0 / 255, and are no levels.
  constexpr float half_a_level = 0.5F / 255;
  const bool has_levels =
      std::ranges::any_of(extremes_, [](const Extremes& e) { return e.most > half_a_level; });
  if (done_ == 0 || (!all_levels_ && !(all_level_parts_ && has_levels))) return;
  throw DataError(fmt::format(
      "{}: all values are levels {} stored as real numbers, which have no density: its likelihood "
      "would rise without bound; save {}.astype('uint8')",
      where, all_levels_ ? "from 0 to 255" : "k/255", all_levels_ ? "x" : "(x * 255).round()"));
}

void ColumnCheck::report(const std::string& where) {
  if (sampled_ < 20) return;
  report_constant_columns(where);
  if (!report_scaled_levels(where)) report_repeated_values(where);
  report_extreme_values(where);
  const std::size_t equal = report_equal_columns(where);
  report_dependent_columns(where, equal);
}

void ColumnCheck::report_constant_columns(const std::string& where) const {
  std::vector<std::string> found;
  for (std::size_t d = 0; d < extremes_.size(); ++d) {
    if (extremes_[d].least == extremes_[d].most) {
      found.push_back(fmt::format("column {} is {:g}", d, extremes_[d].least));
    }
  }
  warn(where, columns_, "are constant", found, "their density has no meaning: leave them out");
}

// Pixels and counts stay few different values however they are scaled.
bool ColumnCheck::report_scaled_levels(const std::string& where) const {
  constexpr Index values_at_most = Index{1} << 20U;
  const Index rows = std::clamp<Index>(values_at_most / sample_.cols(), 1, sample_.rows());
  const Matrix<float> part = sample_.topRows(rows);
  std::vector<float> values(part.data(), part.data() + part.size());
  std::ranges::sort(values);
  const auto distinct =
      static_cast<std::size_t>(std::unique(values.begin(), values.end()) - values.begin());
  const bool are_few = distinct <= 4096 && 10 * distinct < static_cast<std::size_t>(part.size());
  if (!are_few && !all_integers_) return false;
  log_warning(fmt::format(
      "{}: {}, from {:g} to {:g}: pixels or counts that were scaled? The likelihood of such values "
      "rises without bound; save values from 0 to 255 as uint8, or add uniform noise of one step",
      where,
      all_integers_ ? "all values are integers"
                    : fmt::format("{} values are only {} different ones", part.size(), distinct),
      values.front(), values[distinct - 1]));
  return true;
}

// A density rises without bound at values that repeat, as a constant column's does.
void ColumnCheck::report_repeated_values(const std::string& where) const {
  std::vector<std::string> repeated;
  for (Index d = 0; d < sample_.cols(); ++d) {
    const Extremes& extremes = extremes_[static_cast<std::size_t>(d)];
    if (extremes.least == extremes.most) continue;
    std::vector<float> values(sample_.col(d).begin(), sample_.col(d).end());
    std::ranges::sort(values);
    std::size_t distinct = 0;
    std::size_t most = 0;
    float frequent = 0;
    for (std::size_t begin = 0; begin < values.size(); ++distinct) {
      std::size_t end = begin + 1;
      while (end < values.size() && values[end] == values[begin]) ++end;
      if (end - begin > most) {
        most = end - begin;
        frequent = values[begin];
      }
      begin = end;
    }
    const bool few = distinct * 4 < values.size();
    if (few || most > std::max<std::size_t>(10, values.size() / 20)) {
      repeated.push_back(fmt::format(
          "column {} ({} values in {} rows, {:.0f} % of them {:g})", d, distinct, values.size(),
          100 * static_cast<double>(most) / static_cast<double>(values.size()), frequent));
    }
  }
  warn(where, columns_, "repeat few values", repeated,
       "the likelihood of such values rises without bound; save pixels and counts up to 255 as "
       "uint8, add uniform noise of one step to others, or leave the columns out");
}

void ColumnCheck::report_extreme_values(const std::string& where) const {
  // Times the range of the inner 98 % of the other values: of one value, and of one that repeats.
  constexpr double far = 1000;
  constexpr double far_for_repeated = 10;
  std::vector<std::string> found;
  for (Index d = 0; d < sample_.cols(); ++d) {
    std::vector<float> values(sample_.col(d).begin(), sample_.col(d).end());
    std::ranges::sort(values);
    const Extremes& extremes = extremes_[static_cast<std::size_t>(d)];
    const std::span<const float> others(std::ranges::upper_bound(values, extremes.least),
                                        std::ranges::lower_bound(values, extremes.most));
    if (extremes.least == extremes.most || others.size() < 20) continue;
    const double low = others[others.size() / 100];
    const double high = others[others.size() - 1 - others.size() / 100];
    for (const auto& [value, row] : {std::pair(extremes.least, extremes.row_of_least),
                                     std::pair(extremes.most, extremes.row_of_most)}) {
      const double beyond = std::max(low - value, value - high);
      const auto count = std::ranges::count(values, value);
      if (high > low && beyond > (count > 1 ? far_for_repeated : far) * (high - low)) {
        found.push_back(fmt::format("column {}, row {}{}: {:g} ({:g} to {:g} elsewhere)", d, row,
                                    count > 1 ? " and others" : "", value, low, high));
      }
    }
  }
  warn(where, columns_, "have values far from all others", found,
       "a fill value? remove these rows");
}

std::size_t ColumnCheck::report_equal_columns(const std::string& where) const {
  std::map<std::string_view, Index> first;
  std::vector<std::string> found;
  for (Index d = 0; d < sample_.cols(); ++d) {
    const std::string_view bytes(reinterpret_cast<const char*>(sample_.col(d).data()),
                                 static_cast<std::size_t>(sample_.rows()) * sizeof(float));
    const auto [same, is_new] = first.emplace(bytes, d);
    const Extremes& extremes = extremes_[static_cast<std::size_t>(d)];
    if (!is_new && extremes.least != extremes.most) {
      found.push_back(fmt::format("{} equals {}", d, same->second));
    }
  }
  warn(where, columns_, "equal others", found,
       "the likelihood rises without bound; leave them out");
  return found.size();
}

// x = Q R with columns exchanged: a column whose part outside the columns before it is nearly 0 is
// a combination of these.
void ColumnCheck::report_dependent_columns(const std::string& where, std::size_t equal) const {
  constexpr Index columns_at_most = 512;  // rows x columns^2 multiplications
  constexpr Index rows_at_most = 4096;
  constexpr double nothing = 2e-6;  // of a standard deviation: rounding of single precision
  const Index rows = std::min(sample_.rows(), rows_at_most);
  if (sample_.cols() > columns_at_most || sample_.cols() < 2 || rows < 2 * sample_.cols()) return;
  Matrix<double> x = sample_.topRows(rows).cast<double>();
  x.rowwise() -= x.colwise().mean();
  for (Index d = 0; d < x.cols(); ++d) {
    const double norm = x.col(d).norm();
    if (norm > 0) x.col(d) /= norm;
  }
  const Eigen::ColPivHouseholderQR<Matrix<double>> qr(x);
  std::vector<std::string> found;
  for (Index k = 1; k < x.cols(); ++k) {
    const Index d = qr.colsPermutation().indices()[k];
    const bool is_constant = x.col(d).squaredNorm() == 0;
    if (!is_constant && std::abs(qr.matrixQR()(k, k)) < nothing) {
      found.push_back(fmt::format("column {}", d));
    }
  }
  if (found.size() <= equal) return;  // which are named already
  warn(where, columns_, "are linear combinations of others", found,
       "the likelihood rises without bound; leave them out");
}

}  // namespace relgrad
