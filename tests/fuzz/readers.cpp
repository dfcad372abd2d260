#include "fuzz/readers.hpp"

#include <png.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "data/dataset_json.hpp"
#include "data/file_sources.hpp"
#include "data/image_store.hpp"
#include "data/sample_files.hpp"
#include "data/shard_writer.hpp"
#include "data/unpack.hpp"
#include "image/decode.hpp"
#include "image/exif_orientation.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/data/dataset.hpp"
#include "support/temporary_directory.hpp"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace relgrad::fuzz {

namespace {

namespace fs = std::filesystem;

/// A file in memory with a path.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& bytes) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    const ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), 0);
    if (put != static_cast<ssize_t>(bytes.size())) std::abort();
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  fs::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

void read_all(SampleSource& source) {
  constexpr std::uint64_t most_bytes = std::uint64_t{1} << 24U;
  std::vector<std::byte> samples;
  std::vector<std::int64_t> labels;
  for (std::uint64_t left = source.rows(); left > 0;) {
    const std::uint64_t row_bytes = source.row_bytes();
    const std::uint64_t count = std::min(
        left, std::max<std::uint64_t>(1, most_bytes / std::max<std::uint64_t>(1, row_bytes)));
    samples.resize(count * row_bytes);
    labels.resize(count);
    source.next(count, samples.data(), source.has_labels() ? labels.data() : nullptr);
    left -= count;
  }
}

void read_labels(LabelSource& source) {
  std::vector<std::int64_t> labels(1000);
  for (std::uint64_t left = source.rows(); left > 0;) {
    const std::uint64_t count = std::min<std::uint64_t>(left, labels.size());
    source.next(count, labels.data());
    left -= count;
  }
}

void read_idx(const std::string& bytes) {
  const MemoryFile file(bytes);
  try {
    read_labels(*read_idx_labels(std::make_unique<InputFile>(file.path())));
  } catch (const Error&) {
    read_all(*relgrad::read_idx(std::make_unique<InputFile>(file.path())));
  }
}

void read_npy(const std::string& bytes) {
  const MemoryFile file(bytes);
  try {
    read_labels(*read_npy_labels(std::make_unique<InputFile>(file.path())));
  } catch (const Error&) {
    read_all(*relgrad::read_npy(std::make_unique<InputFile>(file.path())));
  }
}

void read_csv(const std::string& bytes) {
  const MemoryFile file(bytes);
  read_all(*relgrad::read_npy(unpack_csv(file.path(), {})));
}

void read_npz(const std::string& bytes) {
  const MemoryFile file(bytes);
  read_all(*relgrad::read_npy(unpack_npz(file.path(), "", {})));
}

void read_cifar(const std::string& bytes) {
  const MemoryFile file(bytes);
  read_all(*open_cifar(file.path()));
}

void read_image(const std::string& text) {
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(text.data()),
                                            text.size());
  image_header(bytes.first(bytes.size() / 2));
  const Image image = decode_image(bytes, 3, "image");
  if (image.size.height * image.size.width > 0) crop_and_resize(image, {3, 5});
}

void read_exif(const std::string& text) {
  const int orientation =
      exif_orientation({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  if (orientation < 1 || orientation > 8) std::abort();
}

void read_archive(const std::string& bytes) {
  const MemoryFile file(bytes);
  const auto store = open_archive(file.path(), fs::temp_directory_path());
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(store->count(), 20); ++i) {
    store->read(i, std::uint64_t{1} << 22U);
  }
}

// A data set whose only shard is `bytes`; the description fits the seed.
DatasetInfo shard_info(std::string& seed) {
  const test::TemporaryDirectory directory;
  SplitLayout layout;
  layout.name = "train";
  layout.rows = 3;
  layout.rows_per_shard = 3;
  layout.sample_shape = {4};
  ShardWriter writer(directory.path(), layout);
  const std::string samples = test::pattern_bytes(12);
  writer.write(reinterpret_cast<const std::byte*>(samples.data()), nullptr, nullptr, 3);
  DatasetInfo info;
  info.name = "fuzz";
  info.dimension = 4;
  info.sample_shape = {4};
  info.splits = {writer.finish()};
  seed = test::file_bytes(directory.path() / info.splits[0].shards[0].file);
  return info;
}

void read_description(const std::string& bytes) {
  static const test::TemporaryDirectory directory;
  static std::string shard;
  static const DatasetInfo seed = shard_info(shard);
  test::write_file(directory.path() / seed.splits[0].shards[0].file, shard);
  test::write_file(directory.path() / "dataset.json", bytes);
  const DatasetInfo info = read_dataset_info(directory.path());
  for (const SplitInfo& split : info.splits) SplitReader(directory.path(), info, split.name);
}

void read_shard(const std::string& bytes) {
  static const test::TemporaryDirectory directory;
  static std::string seed;
  static const DatasetInfo info = shard_info(seed);
  test::write_file(directory.path() / info.splits[0].shards[0].file, bytes);
  const SplitReader reader(directory.path(), info, "train");
  RawBatch batch;
  reader.read_range(0, 3, batch);
  if (bytes != seed) std::abort();  // a checksum was not compared
}

std::string png_bytes(int channels) {
  std::string pixels = test::pattern_bytes(static_cast<std::size_t>(12 * 9 * channels));
  int size = 0;
  unsigned char* const png = stbi_write_png_to_mem(reinterpret_cast<unsigned char*>(pixels.data()),
                                                   12 * channels, 12, 9, channels, &size);
  std::string bytes(reinterpret_cast<char*>(png), static_cast<std::size_t>(size));
  std::free(png);
  return bytes;
}

std::string jpeg_bytes(int channels) {
  const std::string pixels = test::pattern_bytes(static_cast<std::size_t>(24 * 17 * channels));
  std::string bytes;
  stbi_write_jpg_to_func(
      [](void* to, void* data, int size) {
        static_cast<std::string*>(to)->append(static_cast<char*>(data),
                                              static_cast<std::size_t>(size));
      },
      &bytes, 24, 17, channels, pixels.data(), 60);
  // An EXIF segment after the start of the image: turned by a quarter.
  const std::string exif(
      "\xFF\xE1\x00\x22"
      "Exif\0\0MM\0\x2A\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0",
      36);
  return bytes.substr(0, 2) + exif + bytes.substr(2);
}

/// CRC-32 of every chunk.
void repair_png(std::string& bytes) {
  const auto number = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      value = (value << 8U) | static_cast<unsigned char>(bytes[at + i]);
    }
    return value;
  };
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    const std::uint64_t length = number(at);
    if (length > bytes.size() - at - 12) return;
    const auto crc = static_cast<std::uint32_t>(::crc32(
        0, reinterpret_cast<const Bytef*>(bytes.data() + at + 4), static_cast<uInt>(length + 4)));
    for (unsigned i = 0; i < 4; ++i) {
      bytes[at + 8 + length + i] = static_cast<char>(crc >> (24U - 8U * i));
    }
    at += 12 + length;
  }
}

void repair_image(std::string& bytes) {
  if (bytes.starts_with("\x89PNG")) repair_png(bytes);
}

/// The sum in every tar header.
void repair_tar(std::string& bytes) {
  for (std::size_t at = 0; at + 512 <= bytes.size(); at += 512) {
    if (bytes.compare(at + 257, 5, "ustar") != 0) continue;
    bytes.replace(at + 148, 8, "        ");
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(bytes[at + i]);
    char text[8];
    std::snprintf(text, sizeof text, "%06o", sum);
    bytes.replace(at + 148, 8, std::string(text, 6) + '\0' + ' ');
  }
}

void repair_description(std::string& bytes) {
  const std::size_t begin = bytes.find("\"checksum\": \"xxh3", bytes.rfind('}') / 2);
  if (begin != std::string::npos && bytes.find("created") < begin)
    bytes.replace(begin, 10, "\"was_check");
}

std::string gz(const std::string& bytes) {
  const test::TemporaryDirectory directory;
  return test::file_bytes(test::write_gz(directory.path() / "x.gz", bytes));
}

/// One stored member, as Info-ZIP writes it.
std::string zip_bytes(const std::string& name, const std::string& content) {
  const auto little = [](std::uint32_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
    return text;
  };
  const auto size = static_cast<std::uint32_t>(content.size());
  const auto crc =
      static_cast<std::uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(content.data()), size));
  const std::string common = little(20, 2) + little(0, 2) + little(0, 2) + little(0, 4) +
                             little(crc, 4) + little(size, 4) + little(size, 4) +
                             little(static_cast<std::uint32_t>(name.size()), 2) + little(0, 2);
  const std::string local = "PK\3\4" + common + name + content;
  const std::string central = "PK\1\2" + little(20, 2) + common + little(0, 2) + little(0, 2) +
                              little(0, 2) + little(0, 4) + little(0, 4) + name;
  return local + central + "PK\5\6" + little(0, 4) + little(1, 2) + little(1, 2) +
         little(static_cast<std::uint32_t>(central.size()), 4) +
         little(static_cast<std::uint32_t>(local.size()), 4) + little(0, 2);
}

std::string description_seed() {
  std::string ignored;
  const DatasetInfo info = shard_info(ignored);
  const test::TemporaryDirectory directory;
  write_dataset_info(directory.path(), info, {"relgrad prepare", {"x.npy"}, "2026-01-01"});
  return test::file_bytes(directory.path() / dataset_file_name);
}

std::string shard_seed() {
  std::string seed;
  shard_info(seed);
  return seed;
}

std::vector<Reader> make_readers() {
  using test::idx;
  using test::npy;
  using test::pattern_bytes;
  using test::pgm;
  const std::string picture = pgm(4, 3, pattern_bytes(12));
  const std::string archive =
      test::tar({{"a.pgm", picture}, {std::string(120, 'n') + ".pgm", picture}, {"README", "x"}});
  return {
      {"idx",
       {idx({5, 4, 3}, pattern_bytes(60)), idx({7}, pattern_bytes(7)),
        gz(idx({5, 4, 3}, pattern_bytes(60)))},
       read_idx,
       nullptr},
      {"npy",
       {npy("<f4", "(3, 2)", test::raw(std::vector<float>(6, 1.5F))),
        npy("<f8", "(3, 2)", test::raw(std::vector<double>(6, 1.5))),
        npy("|u1", "(2, 3, 2)", pattern_bytes(12), true),
        npy(">i2", "(3,)", std::string("\0\1\0\2\0\3", 6)), npy("<f2", "(1, 2)", "abcd"),
        gz(npy("|u1", "(2, 3)", "abcdef"))},
       read_npy,
       nullptr},
      {"csv",
       {"a,b\n1.5,-2e3\n+3,4\n", "0;1\r\n255;7\r\n", "\xEF\xBB\xBF\"x y\"\t\"z\"\n 1.5 \t\"2\"\n",
        gz("1,2\n3.5,4\n")},
       read_csv,
       nullptr},
      {"npz",
       {zip_bytes("x.npy", npy("<f4", "(3, 2)", test::raw(std::vector<float>(6, 1.5F)))),
        zip_bytes("y.npy", npy("|u1", "(2, 3)", "abcdef"))},
       read_npz,
       nullptr},
      {"cifar", {std::string(1, '\3') + pattern_bytes(3072)}, read_cifar, nullptr},
      {"pnm",
       {picture, "P6\n2 1\n65535\nabcdefghijkl", "P2 2 2 7 # c\n1 2 3 4", "P3 1 1 255 1 2 3",
        "P1 3 1 101", "P4 9 1\nab"},
       read_image,
       nullptr},
      {"png", {png_bytes(1), png_bytes(3), png_bytes(4)}, read_image, repair_image},
      {"jpeg", {jpeg_bytes(1), jpeg_bytes(3)}, read_image, nullptr},
      {"exif",
       {std::string("II\x2A\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0", 22)},
       read_exif,
       nullptr},
      {"archive", {archive, gz(archive), zip_bytes("a.pgm", picture)}, read_archive, repair_tar},
      {"dataset", {description_seed()}, read_description, repair_description},
      {"shard", {shard_seed()}, read_shard, nullptr}};
}

}  // namespace

const std::vector<Reader>& readers() {
  static const std::vector<Reader> all = make_readers();
  return all;
}

bool read_or_refuse(const Reader& reader, const std::string& bytes) {
  set_log_enabled(false);
  try {
    reader.read(bytes);
    return true;
  } catch (const Error& error) {
    if (error.code() == ExitCode::data || error.code() == ExitCode::usage) return false;
    std::fprintf(stderr, "%s: exit code %d: %s\n", reader.name.c_str(),
                 static_cast<int>(error.code()), error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: foreign exception: %s\n", reader.name.c_str(), error.what());
  }
  std::abort();
}

}  // namespace relgrad::fuzz
