#include "run/fault.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <thread>

#include "options/option_value.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

std::int64_t number_in(const std::string& item, const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) {
    throw UsageError(
        fmt::format("RELGRAD_FAULT: '{}' is not KIND:STEP or KIND:STEP:RANK; write nan:5:1", item));
  }
  return std::stoll(text);
}

}  // namespace

template <class T>
Faults<T>::Faults(const char* wanted, int rank) {
  for (const std::string& item : split(wanted == nullptr ? "" : wanted, ',')) {
    const std::vector<std::string> parts = split(item, ':');
    if (parts.empty() || (parts[0] != "nan" && parts[0] != "hang" && parts[0] != "data")) continue;
    const std::int64_t step = number_in(item, parts.size() > 1 ? parts[1] : "");
    const std::int64_t on_rank = parts.size() > 2 ? number_in(item, parts[2]) : 0;
    if (on_rank == rank) faults_.push_back({parts[0], step});
  }
}

template <class T>
Faults<T> Faults<T>::of_rank(int rank) {
#ifdef RELGRAD_FAULTS
  return {std::getenv("RELGRAD_FAULT"), rank};
#else
  return {nullptr, rank};
#endif
}

template <class T>
bool Faults<T>::take(const std::string& kind, std::int64_t step) {
  return std::erase_if(faults_, [&](const Fault& fault) {
           return fault.kind == kind && fault.step == step;
         }) > 0;
}

template <class T>
void Faults<T>::break_data(std::int64_t step) {
  if (take("data", step)) throw DataError("RELGRAD_FAULT asks for data that cannot be read");
}

template <class T>
void Faults<T>::hang(std::int64_t step) {
  if (!take("hang", step)) return;
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

template <class T>
const PreparedBatch<T>* Faults<T>::poisoned(std::int64_t step, const PreparedBatch<T>* batch) {
  if (batch == nullptr || batch->count == 0 || !take("nan", step)) return batch;
  poisoned_ = *batch;
  poisoned_.x(0, batch->count - 1) = std::numeric_limits<T>::quiet_NaN();
  return &poisoned_;
}

template class Faults<float>;
template class Faults<double>;

}  // namespace relgrad
