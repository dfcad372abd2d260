#include <fmt/format.h>

#include <array>

#include "data/array_header.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

ArrayHeader read_idx_header(InputFile& file) {
  struct Type {
    std::uint8_t code;
    char kind;
    std::size_t bytes;
  };
  constexpr std::array types{Type{0x08, 'u', 1}, Type{0x09, 'i', 1}, Type{0x0B, 'i', 2},
                             Type{0x0C, 'i', 4}, Type{0x0D, 'f', 4}, Type{0x0E, 'f', 8}};
  std::array<std::uint8_t, 4> magic{};
  file.read(magic.data(), magic.size(), "the IDX magic number");
  const auto [zero, zero_too, code, dimensions] = magic;
  ArrayHeader header;
  header.format = "IDX";
  header.is_big_endian = true;
  for (const Type& type : types) {
    if (code != type.code) continue;
    header.type_name = fmt::format("0x{:02X}", code);
    header.kind = type.kind;
    header.element_bytes = type.bytes;
  }
  if (zero != 0 || zero_too != 0 || header.kind == '?' || dimensions < 1 || dimensions > 4) {
    throw DataError(fmt::format(
        "{}: wrong magic number {:02x}{:02x}{:02x}{:02x}, expected IDX (0000TTDD: type TT one of "
        "08, 09, 0b to 0e, DD 1 to 4 dimensions)",
        file.name(), zero, zero_too, code, dimensions));
  }
  for (int i = 0; i < dimensions; ++i) {
    std::array<std::uint8_t, 4> word{};
    file.read(word.data(), word.size(), "the IDX header");
    header.shape.push_back((std::uint64_t{word[0]} << 24U) | (std::uint64_t{word[1]} << 16U) |
                           (std::uint64_t{word[2]} << 8U) | word[3]);
  }
  return header;
}

}  // namespace relgrad
