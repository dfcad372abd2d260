#pragma once
/// Small input files of every format, written byte by byte, independently of the readers under
/// test.
#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "relgrad/core/error.hpp"

namespace relgrad::test {

namespace fs = std::filesystem;

inline fs::path write_file(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

inline std::string file_bytes(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

inline fs::path write_gz(const fs::path& path, const std::string& bytes) {
  gzFile file = ::gzopen(path.c_str(), "wb");
  const int put = ::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  if (::gzclose(file) != Z_OK || put != static_cast<int>(bytes.size())) {
    throw std::runtime_error("gzwrite");
  }
  return path;
}

/// `count` bytes that differ from row to row and column to column.
inline std::string pattern_bytes(std::size_t count, unsigned seed = 0) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<char>((i * i + 7 * i + 31 * seed + i / 251) % 256);
  }
  return bytes;
}

inline std::string idx(const std::vector<std::uint32_t>& shape, const std::string& values) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const std::uint32_t extent : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(extent >> shift);
  }
  return bytes + values;
}

/// @param shape  as Python writes it: "(3, 4)"
inline std::string npy(const std::string& dtype, const std::string& shape,
                       const std::string& values, bool fortran_order = false) {
  std::string header = "{'descr': '" + dtype +
                       "', 'fortran_order': " + (fortran_order ? "True" : "False") +
                       ", 'shape': " + shape + ", }";
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string bytes = "\x93NUMPY";
  bytes += {'\x01', '\0', static_cast<char>(header.size() % 256),
            static_cast<char>(header.size() / 256)};
  return bytes + header + values;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

inline std::string pgm(int width, int height, const std::string& pixels) {
  return "P5\n" + std::to_string(width) + " " + std::to_string(height) + "\n255\n" + pixels;
}

inline std::string ppm(int width, int height, const std::string& pixels) {
  return "P6\n" + std::to_string(width) + " " + std::to_string(height) + "\n255\n" + pixels;
}

/// ustar, with a GNU long name where the path does not fit.
inline std::string tar(const std::vector<std::pair<std::string, std::string>>& files) {
  const auto header = [](const std::string& name, std::size_t bytes, char kind) {
    std::string block(512, '\0');
    block.replace(0, std::min<std::size_t>(name.size(), 100), name.substr(0, 100));
    char size[12];
    std::snprintf(size, sizeof size, "%011o", static_cast<unsigned>(bytes));
    block.replace(124, 12, size, 12);
    block[156] = kind;
    block.replace(257, 8, "ustar  \0", 8);
    block.replace(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    char checksum[8];
    std::snprintf(checksum, sizeof checksum, "%06o", sum);
    return block.replace(148, 8, std::string(checksum, 6) + '\0' + ' ');
  };
  const auto padded = [](std::string content) {
    content.resize((content.size() + 511) / 512 * 512);
    return content;
  };
  std::string archive;
  for (const auto& [name, content] : files) {
    if (name.size() > 100) {
      archive += header("././@LongLink", name.size() + 1, 'L') + padded(name + '\0');
    }
    archive += header(name, content.size(), '0') + padded(content);
  }
  return archive + std::string(1024, '\0');
}

/// The message of the error of type E that `work` throws; "" if it throws none of that type.
template <class E>
std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const E& error) {
    return error.what();
  } catch (const Error& error) {
    return std::string();
  }
  return "";
}

}  // namespace relgrad::test
