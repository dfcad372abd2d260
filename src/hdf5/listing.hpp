#pragma once
/// What an HDF5 file of anybody holds, for people to read.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace relgrad::hdf5 {

struct DatasetListed {
  std::string name;                  // "/group/name"
  std::vector<std::uint64_t> shape;  // C order
  std::string type;                  // "float64"; "int32, big-endian, chunked"; "compound"
  std::uint64_t bytes = 0;           // that its values take in the file, compressed or not
};

/// Every dataset of the file, by name, whatever its type and layout; no value is read.
/// @throws DataError if it is not HDF5, or is cut.
std::vector<DatasetListed> list(const std::filesystem::path& path);

}  // namespace relgrad::hdf5
