#pragma once
/// Arrays in other containers, unpacked as .npy into a file without a name: what reads .npy then
/// reads them all, from front to back and again.
#include <filesystem>
#include <memory>
#include <string>

#include "data/input_file.hpp"

namespace relgrad {

// `scratch` is the folder where the file takes space. All @throw DataError.

/// @param member  name of an array, without ".npy"; empty: the only one
std::unique_ptr<InputFile> unpack_npz(const std::filesystem::path& path, const std::string& member,
                                      const std::filesystem::path& scratch);
/// @param dataset  "/group/name"; empty: the only one
std::unique_ptr<InputFile> unpack_hdf5(const std::filesystem::path& path,
                                       const std::string& dataset,
                                       const std::filesystem::path& scratch);
/// Numbers between commas, semicolons or tabs, a row per line, below a line of names or none.
std::unique_ptr<InputFile> unpack_csv(const std::filesystem::path& path,
                                      const std::filesystem::path& scratch);

}  // namespace relgrad
