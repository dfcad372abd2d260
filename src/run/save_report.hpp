#pragma once
/// What a run says of checkpoints that cannot be saved: all of it once, then only that it goes on,
/// and when it is over.
#include <cstdint>
#include <string>

namespace relgrad {

class SaveReport {
 public:
  /// After a save at `step` that failed: the trouble in full when it is new, else how many times.
  std::string failed(std::int64_t step, const std::string& trouble);
  /// After one that worked: empty unless the last one failed.
  std::string worked(std::int64_t step);

 private:
  int failures_ = 0;  // in a row
  std::int64_t first_step_ = 0;
  std::string trouble_;
};

/// "1st", "2nd", "3rd", "4th", "11th", "21st".
std::string ordinal(int number);

}  // namespace relgrad
