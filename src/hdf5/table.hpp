#pragma once
/// Datasets of numbers in HDF5 files of anybody: of any number type and byte order, chunked,
/// compressed, or as they come.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace relgrad::hdf5 {

/// One dataset, read by rows: along its first axis.
class Table {
 public:
  /// @param name  "/group/name", or "group/name"; empty: the only dataset of the file
  /// @throws DataError if the file is not HDF5, if there is no such dataset or several to choose
  /// from (naming them), or if it holds no numbers, has no axis, was not written to its end, or
  /// lies in other files (which a file of somebody else could choose).
  Table(const std::filesystem::path& path, const std::string& name);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  const std::string& name() const;
  const std::vector<std::uint64_t>& shape() const;  // at least one axis
  /// Type of the values that read() gives, as numpy writes it: |u1, <i8, <u8, <f4, <f8, or |b1 for
  /// truth values of h5py; the smallest of them that holds every value of the file's type.
  const std::string& numpy_type() const;
  std::uint64_t row_bytes() const;
  /// Rows to read together: whole chunks, so that none is unpacked twice, if that is not too much.
  std::uint64_t rows_at_once() const;
  /// @param to  count * row_bytes() bytes. @throws DataError
  void read(std::uint64_t first_row, std::uint64_t count, void* to) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace relgrad::hdf5
