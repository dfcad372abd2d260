// What libFuzzer calls; one program per reader (RELGRAD_FUZZ_READER is its name).
#include <cstddef>
#include <cstdint>
#include <functional>

#include "fuzz/readers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace relgrad::fuzz;
  static const Reader& reader = [] {
    for (const Reader& one : readers()) {
      if (one.name == RELGRAD_FUZZ_READER) return std::ref(one);
    }
    __builtin_trap();
  }();
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (reader.repair != nullptr && size % 2 == 0) reader.repair(bytes);
  read_or_refuse(reader, bytes);
  return 0;
}
