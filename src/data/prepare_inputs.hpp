#pragma once
/// What prepare() reads: streams of samples, and the splits that their rows go to.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/sample_source.hpp"
#include "relgrad/data/prepare.hpp"

namespace relgrad {

struct SplitRows {
  std::string name;
  std::uint64_t rows;
};

/// One stream of samples and the splits its rows go to: one after another, or those of `drawn` to
/// the second split and all others to the first.
struct PrepareInput {
  std::unique_ptr<SampleSource> source;
  std::vector<SplitRows> splits;
  std::vector<std::uint64_t> drawn;  // rising

  struct Run {
    std::size_t split;
    std::uint64_t rows;
  };
  /// The split of row `row`, and how many rows go there with it (at least one).
  Run run_at(std::uint64_t row) const;
};

/// The files that `options` name, or the synthetic source; each with its splits.
/// @param scratch  a directory for temporary files
/// @throws UsageError, DataError; DataError where a split would be empty or splits differ in shape
///         or type.
std::vector<PrepareInput> open_inputs(const PrepareOptions& options,
                                      const std::filesystem::path& scratch);

}  // namespace relgrad
