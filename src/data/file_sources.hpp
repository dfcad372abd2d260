#pragma once
/// Sources that are one file of records: IDX and npy (arrays), CIFAR.
#include <memory>

#include "data/input_file.hpp"
#include "data/sample_source.hpp"

namespace relgrad {

std::unique_ptr<SampleSource> read_idx(std::unique_ptr<InputFile> file);
std::unique_ptr<SampleSource> read_npy(std::unique_ptr<InputFile> file);
std::unique_ptr<SampleSource> open_cifar(const std::filesystem::path& path);

/// A one-dimensional array of integers, a few at a time.
class LabelSource {
 public:
  virtual ~LabelSource() = default;
  std::uint64_t rows() const { return rows_; }
  virtual void next(std::uint64_t count, std::int64_t* labels) = 0;

 protected:
  std::uint64_t rows_ = 0;
};
std::unique_ptr<LabelSource> read_idx_labels(std::unique_ptr<InputFile> file);
std::unique_ptr<LabelSource> read_npy_labels(std::unique_ptr<InputFile> file);

}  // namespace relgrad
