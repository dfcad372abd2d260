#include "data/array_header.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>

#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

std::uint64_t bits_of(const ArrayHeader& header, const std::uint8_t* bytes) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < header.element_bytes; ++i) {
    const std::size_t from = header.is_big_endian ? i : header.element_bytes - 1 - i;
    bits = (bits << 8U) | bytes[from];
  }
  return bits;
}

/// IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction.
double half_value(std::uint64_t bits) {
  const auto exponent = static_cast<int>((bits >> 10U) & 31U);
  const auto fraction = static_cast<double>(bits & 1023U);
  const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
  if (exponent == 31) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  return sign *
         (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024.0 + fraction, exponent - 25));
}

}  // namespace

std::uint64_t ArrayHeader::content_bytes(const InputFile& file) const {
  std::uint64_t bytes = element_bytes;
  for (const std::uint64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) {
      throw DataError(fmt::format("{}: {} shape too large: damaged", file.name(), format));
    }
  }
  return bytes;
}

double value_of(const ArrayHeader& header, const std::uint8_t* bytes) {
  if (header.kind != 'f') {
    const std::int64_t value = integer_of(header, bytes);
    return header.kind == 'u' ? static_cast<double>(static_cast<std::uint64_t>(value))
                              : static_cast<double>(value);
  }
  const std::uint64_t bits = bits_of(header, bytes);
  if (header.element_bytes == 2) return half_value(bits);
  if (header.element_bytes == 4) {
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
  return std::bit_cast<double>(bits);
}

std::int64_t integer_of(const ArrayHeader& header, const std::uint8_t* bytes) {
  const std::uint64_t value = bits_of(header, bytes);
  const auto unused_bits = static_cast<unsigned>(64 - 8 * header.element_bytes);
  if (header.kind != 'i' || unused_bits == 0) return static_cast<std::int64_t>(value);
  return static_cast<std::int64_t>(value << unused_bits) >> unused_bits;  // extends the sign
}

}  // namespace relgrad
