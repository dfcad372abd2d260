#pragma once
/// HDF5 files as relgrad uses them: write-once, serial, contiguous datasets whose raw bytes are
/// read and written with pread/pwrite at the dataset's offset (the HDF5 library of Debian is not
/// thread-safe and hides ENOSPC; raw access avoids both). hdf5/ is the only room that includes
/// <hdf5.h>.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace relgrad::hdf5 {

enum class Type { uint8, int64, float32, float64 };
std::size_t bytes_of(Type type);
std::string_view name_of(Type type);

/// Integers (a scalar is one) and texts that explain a dataset to its readers.
struct Attributes {
  std::map<std::string, std::vector<std::int64_t>> integers;
  std::map<std::string, std::string> texts;
};

struct DatasetPlan {
  std::string name;  // absolute: "/layer/0/W"; groups are made
  Type type = Type::float32;
  std::vector<std::uint64_t> shape;  // C order
  Attributes attributes;
};

/// Where a dataset's raw little-endian bytes lie in its file.
struct Place {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// Creates `path` (which must not exist) with these datasets, early allocated, never filled, and
/// closes it: the bytes are then written by the caller at the places returned, in order.
/// @throws DiskError with the path and the reason; `path` does not exist then, unless it did
/// before.
std::vector<Place> create(const std::filesystem::path& path, const std::vector<DatasetPlan>& plans);

struct DatasetFound {
  std::string name;
  Type type = Type::float32;
  std::vector<std::uint64_t> shape;
  Place place;
  Attributes attributes;
};

/// Every dataset of the file, by name. @throws DataError if it is not HDF5, is cut, or holds a
/// dataset that is not contiguous or of an unknown type.
std::map<std::string, DatasetFound> contents(const std::filesystem::path& path);

/// A file open for raw reading or writing; loops over short reads and writes and EINTR.
class RawFile {
 public:
  enum class Mode { read, write };
  /// Only regular files are read: a pipe would block. @throws DataError (read), DiskError (write)
  RawFile(const std::filesystem::path& path, Mode mode);
  ~RawFile();
  RawFile(RawFile&& other) noexcept;
  RawFile& operator=(RawFile&& other) noexcept;
  void read_at(std::uint64_t offset, void* to, std::uint64_t bytes) const;  // @throws DataError
  void write_at(std::uint64_t offset, const void* from,
                std::uint64_t bytes) const;  // @throws DiskError
  /// Reserves the blocks of the first `bytes` bytes, so that a full disk or a quota is noticed
  /// before writing; does nothing if the file system cannot do this. @throws DiskError
  void reserve(std::uint64_t bytes) const;
  void sync() const;  // fsync; @throws DiskError
  std::uint64_t size() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// fsync of a directory, so that names made or renamed in it survive a crash.
void sync_directory(const std::filesystem::path& directory);

// Checksums are XXH3-64, as "xxh3:0123456789abcdef".

/// Of a whole file, read in pieces.
std::string checksum_of_file(const std::filesystem::path& path);
/// Of a whole file, the bytes of `place` being kept at `to` on the way.
std::string read_and_checksum(const RawFile& file, const Place& place, std::byte* to);
/// Of the first and last 64 KiB of a file; of all of it if it is smaller than both.
std::string checksum_of_ends(const RawFile& file);

}  // namespace relgrad::hdf5
