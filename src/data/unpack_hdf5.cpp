#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "data/array_header.hpp"
#include "data/interrupt_guard.hpp"
#include "data/scratch_file.hpp"
#include "data/unpack.hpp"
#include "hdf5/table.hpp"

namespace relgrad {

namespace fs = std::filesystem;

std::unique_ptr<InputFile> unpack_hdf5(const fs::path& path, const std::string& dataset,
                                       const fs::path& scratch) {
  const hdf5::Table table(path, dataset);
  ScratchFile content(scratch);
  const std::string header = npy_header(table.numpy_type(), table.shape());
  content.append({reinterpret_cast<const std::uint8_t*>(header.data()), header.size()});
  const std::uint64_t rows = table.shape().front();
  std::vector<std::uint8_t> bytes;
  for (std::uint64_t first = 0; first < rows;) {
    InterruptGuard::check();
    const std::uint64_t count = std::min(table.rows_at_once(), rows - first);
    bytes.resize(count * table.row_bytes());
    table.read(first, count, bytes.data());
    content.append(bytes);
    first += count;
  }
  return std::make_unique<InputFile>(content, fmt::format("{}:{}", path.string(), table.name()));
}

}  // namespace relgrad
