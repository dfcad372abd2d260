#pragma once
/// What the header of an array file, .npy or IDX, says of the values that follow.
#include <cstdint>
#include <string>
#include <vector>

#include "data/input_file.hpp"

namespace relgrad {

struct ArrayHeader {
  const char* format = "";  // "npy", "IDX": for messages
  std::string type_name;    // as written: "<f4", "0x0D"
  char kind = '?';          // 'f' real, 'i' signed, 'u' unsigned, 'b' truth value; '?' any other
  std::size_t element_bytes = 0;
  bool is_big_endian = false;
  bool is_fortran_order = false;
  std::vector<std::uint64_t> shape;

  /// Bytes of all elements. @throws DataError naming `file` if they are no number.
  std::uint64_t content_bytes(const InputFile& file) const;
};

// Both leave `file` at its first value. @throws DataError.

/// numpy.lib.format: magic, version, length, and a Python dictionary of type, order and shape.
ArrayHeader read_npy_header(InputFile& file);
/// yann.lecun.com/exdb/mnist: 0, 0, type, number of dimensions, then the dimensions as big-endian
/// 32-bit integers; the values are big-endian, the last dimension runs fastest.
ArrayHeader read_idx_header(InputFile& file);

/// The bytes before the values of an .npy file in C order.
/// @param type  "<f8"
std::string npy_header(const std::string& type, const std::vector<std::uint64_t>& shape);

/// The element at `bytes` as a number; of 64-bit integers, the nearest double.
double value_of(const ArrayHeader& header, const std::uint8_t* bytes);
/// The element at `bytes`, which must be of kind 'i', 'u' or 'b'.
std::int64_t integer_of(const ArrayHeader& header, const std::uint8_t* bytes);

}  // namespace relgrad
