#include "run/event_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view name_begin = "events.out.tfevents.";

// Protocol buffers: a field is its number and the kind of its value, then the value.
enum Kind : std::uint64_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

/// The `size` lowest bytes of `value`, the lowest first.
std::string little_endian(std::uint64_t value, int size) {
  std::string text;
  for (int i = 0; i < size; ++i) text += static_cast<char>(value >> (8 * i) & 0xFFU);
  return text;
}

/// Seven bits per byte, the lowest first; the upper bit says that more follow.
std::string varint_text(std::uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7U) text += static_cast<char>((value & 0x7FU) | 0x80U);
  return text + static_cast<char>(value);
}

std::string key(std::uint64_t field, Kind kind) { return varint_text(field << 3U | kind); }

std::string integer_field(std::uint64_t field, std::int64_t value) {
  return key(field, varint) + varint_text(static_cast<std::uint64_t>(value));
}

std::string double_field(std::uint64_t field, double value) {
  return key(field, fixed64) + little_endian(std::bit_cast<std::uint64_t>(value), 8);
}

std::string float_field(std::uint64_t field, double value) {
  return key(field, fixed32) +
         little_endian(std::bit_cast<std::uint32_t>(static_cast<float>(value)), 4);
}

std::string bytes_field(std::uint64_t field, std::string_view value) {
  return key(field, bytes) + varint_text(value.size()) + std::string(value);
}

/// message Event { double wall_time = 1; int64 step = 2; oneof what { ... } }
std::string event(std::int64_t step, const std::string& what) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return double_field(1, std::chrono::duration<double>(now).count()) + integer_field(2, step) +
         what;
}

/// Summary summary = 5, of message Summary { repeated Value value = 1; }
std::string summary(const std::string& value) { return bytes_field(5, bytes_field(1, value)); }

/// A record: length, masked CRC of the length, bytes, masked CRC of the bytes.
std::string record(const std::string& content) {
  const auto masked = [](std::string_view text) {
    return little_endian(std::rotr(crc32c(text), 15) + 0xa282ead8U, 4);
  };
  const std::string length = little_endian(content.size(), 8);
  return length + masked(length) + content + masked(content);
}

/// Seconds since 1970, but later than in the name of any event file in `directory`.
std::int64_t seconds_for_name(const fs::path& directory) {
  auto seconds = static_cast<std::int64_t>(
      std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()));
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(name_begin)) continue;
    std::int64_t there = 0;
    std::from_chars(name.data() + name_begin.size(), name.data() + name.size(), there);
    seconds = std::max(seconds, there + 1);
  }
  return seconds;
}

}  // namespace

std::uint32_t crc32c(std::string_view text) {
  static constexpr auto table = [] {
    std::array<std::uint32_t, 256> of_bytes{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t remainder = i;
      for (int bit = 0; bit < 8; ++bit) {
        remainder = remainder >> 1U ^ ((remainder & 1U) != 0 ? 0x82F63B78U : 0U);
      }
      of_bytes[i] = remainder;
    }
    return of_bytes;
  }();
  std::uint32_t remainder = 0xFFFFFFFFU;
  for (const char c : text) {
    remainder = remainder >> 8U ^ table[(remainder ^ static_cast<unsigned char>(c)) & 0xFFU];
  }
  return ~remainder;
}

EventFile::EventFile(const fs::path& directory, std::int64_t first_step)
    : path_(directory / fmt::format("{}{:010}.{}.{}", name_begin, seconds_for_name(directory),
                                    mpi::host_name(), getpid())) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    throw DiskError(
        fmt::format("--tensorboard: {}: cannot write: {}", path_.string(), std::strerror(errno)));
  }
  append(event(0, bytes_field(3, "brain.Event:2")));  // string file_version = 3
  // SessionLog session_log = 7, whose status = 1 is START = 1.
  append(event(first_step, bytes_field(7, integer_field(1, 1))));
}

EventFile::~EventFile() { ::close(descriptor_); }

void EventFile::scalar(std::int64_t step, std::string_view tag, double value) {
  // message Value { string tag = 1; float simple_value = 2; Image image = 4; }
  append(event(step, summary(bytes_field(1, tag) + float_field(2, value))));
}

void EventFile::image(std::int64_t step, std::string_view tag, std::string_view png) {
  // Width and height stand at byte 16 of a PNG, the highest byte first; the colour type at 25.
  constexpr std::size_t header = 26;
  if (png.size() < header) return;
  const auto number_at = [&](std::size_t at) {
    std::int64_t value = 0;
    for (std::size_t i = at; i < at + 4; ++i)
      value = value << 8 | static_cast<unsigned char>(png[i]);
    return value;
  };
  const std::int64_t channels = png[header - 1] == 0 ? 1 : 3;
  // message Image { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded = 4; }
  const std::string picture = integer_field(1, number_at(20)) + integer_field(2, number_at(16)) +
                              integer_field(3, channels) + bytes_field(4, png);
  append(event(step, summary(bytes_field(1, tag) + bytes_field(4, picture))));
}

void EventFile::append(const std::string& content) {
  if (warned_) return;  // half a record would spoil what follows
  std::string_view rest;
  const std::string whole = record(content);
  for (rest = whole; !rest.empty();) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  if (rest.empty()) return;
  warned_ = true;
  log_warning(
      fmt::format("{}: cannot write: {}; it ends here", path_.string(), std::strerror(errno)));
}

}  // namespace relgrad
