#pragma once
/// Every reader of files of other people, as a function of bytes: what fuzzers feed.
#include <string>
#include <vector>

namespace relgrad::fuzz {

struct Reader {
  std::string name;
  std::vector<std::string> seeds;  // small valid files
  /// Reads `bytes` to the end. Whatever they are, it returns or throws a relgrad::Error that
  /// blames the file (exit code 3 or 2); nothing else may happen.
  void (*read)(const std::string& bytes);
  /// Makes checksums right again, so that mutations reach what lies behind them; or null.
  void (*repair)(std::string& bytes);
};

const std::vector<Reader>& readers();

/// Reads; a foreign exception ends the process with its text. Returns whether the bytes were
/// accepted.
bool read_or_refuse(const Reader& reader, const std::string& bytes);

}  // namespace relgrad::fuzz
