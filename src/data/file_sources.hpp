#pragma once
/// Sources that are one file of records: IDX and npy (arrays), CIFAR.
#include <memory>

#include "data/sample_source.hpp"

namespace relgrad {

std::unique_ptr<SampleSource> open_idx(const std::filesystem::path& path);
std::unique_ptr<SampleSource> open_npy(const std::filesystem::path& path);
std::unique_ptr<SampleSource> open_cifar(const std::filesystem::path& path);

/// A one-dimensional IDX or .npy file of integers, a few at a time.
class LabelSource {
 public:
  virtual ~LabelSource() = default;
  std::uint64_t rows() const { return rows_; }
  virtual void next(std::uint64_t count, std::int64_t* labels) = 0;

 protected:
  std::uint64_t rows_ = 0;
};
std::unique_ptr<LabelSource> open_idx_labels(const std::filesystem::path& path);
std::unique_ptr<LabelSource> open_npy_labels(const std::filesystem::path& path);

}  // namespace relgrad
