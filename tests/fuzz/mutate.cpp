// usage: fuzz_readers COUNT [SEED] [READER ...]: every reader (or those named) reads its seeds and
// COUNT mutations of them; the same SEED makes the same bytes. Exit code 0 unless a seed is
// refused; a crash or a foreign exception ends the process, and fuzz-READER.bin holds the bytes.
// usage: fuzz_readers --seeds DIR: writes the seeds to DIR/READER/, for libFuzzer.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "data/sample_files.hpp"
#include "fuzz/readers.hpp"

namespace relgrad::fuzz {
namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t limit) { return limit == 0 ? 0 : random() % limit; }

void mutate_once(std::string& bytes, const std::vector<std::string>& seeds, Random& random) {
  constexpr std::uint32_t extremes[] = {0,          1,          0x7F,       0xFF,      0x100,
                                        0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFE};
  const std::size_t at = below(random, bytes.size());
  const std::size_t count = std::min(1 + below(random, 16), bytes.size() - at);
  switch (below(random, 8)) {
    case 0:
      if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(random, 8)));
      break;
    case 1:
      if (!bytes.empty()) bytes[at] = static_cast<char>(random());
      break;
    case 2:
      bytes.resize(at);
      break;
    case 3:
      bytes.erase(at, count);
      break;
    case 4:
      bytes.insert(at, bytes.substr(at, count));
      break;
    case 5: {  // an extreme number, in either byte order
      const std::uint32_t value = extremes[below(random, std::size(extremes))];
      const bool is_big = below(random, 2) == 0;
      const std::size_t width = std::size_t{1} << below(random, 3);
      for (std::size_t i = 0; i < width && at + i < bytes.size(); ++i) {
        bytes[at + i] = static_cast<char>(value >> (8 * (is_big ? width - 1 - i : i)));
      }
      break;
    }
    case 6: {  // a digit, where numbers are text
      const std::size_t digit = bytes.find_first_of("0123456789", at);
      if (digit != std::string::npos) {
        bytes.replace(digit, 1, below(random, 2) == 0 ? "9999999999" : "-");
      }
      break;
    }
    default: {
      const std::string& other = seeds[below(random, seeds.size())];
      const std::size_t from = below(random, other.size());
      bytes.replace(at, count, other.substr(from, 1 + below(random, 64)));
    }
  }
}

std::string mutated(const Reader& reader, Random& random) {
  std::string bytes = reader.seeds[below(random, reader.seeds.size())];
  const std::size_t times = 1 + below(random, 4);
  for (std::size_t i = 0; i < times; ++i) mutate_once(bytes, reader.seeds, random);
  if (reader.repair != nullptr && below(random, 2) == 0) reader.repair(bytes);
  return bytes;
}

void fuzz(const Reader& reader, std::uint64_t count, std::uint64_t seed) {
  for (const std::string& bytes : reader.seeds) {
    if (read_or_refuse(reader, bytes)) continue;
    std::fprintf(stderr, "%s: refuses a seed\n", reader.name.c_str());
    std::exit(1);
  }
  Random random(seed);
  std::uint64_t accepted = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string bytes = mutated(reader, random);
    test::write_file("./fuzz-" + reader.name + ".bin", bytes);  // what a crash leaves
    accepted += read_or_refuse(reader, bytes) ? 1 : 0;
  }
  std::remove(("fuzz-" + reader.name + ".bin").c_str());
  std::printf("%-8s %9llu mutated inputs, %llu accepted\n", reader.name.c_str(),
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(accepted));
  std::fflush(stdout);
}

int main_with(const std::vector<std::string>& words) {
  if (words.size() == 2 && words[0] == "--seeds") {
    for (const Reader& reader : readers()) {
      for (std::size_t i = 0; i < reader.seeds.size(); ++i) {
        test::write_file(test::fs::path(words[1]) / reader.name / std::to_string(i),
                         reader.seeds[i]);
      }
    }
    return 0;
  }
  const std::uint64_t count = words.empty() ? 100 : std::strtoull(words[0].c_str(), nullptr, 10);
  const std::uint64_t seed = words.size() < 2 ? 1 : std::strtoull(words[1].c_str(), nullptr, 10);
  for (const Reader& reader : readers()) {
    const bool is_wanted =
        words.size() < 3 || std::find(words.begin() + 2, words.end(), reader.name) != words.end();
    if (is_wanted) fuzz(reader, count, seed);
  }
  return 0;
}

}  // namespace
}  // namespace relgrad::fuzz

int main(int argc, char** argv) {
  return relgrad::fuzz::main_with(std::vector<std::string>(argv + 1, argv + argc));
}
