#include "data/dataset_json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "hdf5/file.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

using Json = nlohmann::ordered_json;

std::string shard_file_name(const std::string& split, std::uint64_t shard, std::uint64_t shards) {
  return fmt::format("{}-{:05}-of-{:05}.h5", split, shard, shards);
}

std::string identity_of(const DatasetInfo& info, const std::vector<std::string>& content_hashes) {
  std::string text = fmt::format("{} {}", name_of(info.type), fmt::join(info.sample_shape, "x"));
  for (std::size_t i = 0; i < info.splits.size(); ++i) {
    text +=
        fmt::format("\n{} {} {}", info.splits[i].name, info.splits[i].rows, content_hashes.at(i));
  }
  return fmt::format("xxh3:{:016x}", XXH3_64bits(text.data(), text.size()));
}

bool DatasetInfo::has_split(const std::string& wanted) const {
  for (const SplitInfo& split : splits) {
    if (split.name == wanted) return true;
  }
  return false;
}

const SplitInfo& DatasetInfo::split(const std::string& wanted) const {
  std::vector<std::string> names;
  for (const SplitInfo& split : splits) {
    if (split.name == wanted) return split;
    names.push_back(split.name);
  }
  throw DataError(fmt::format("data set '{}' has no split '{}'; it has: {}", name, wanted,
                              fmt::join(names, ", ")));
}

namespace {

Json to_json(const SplitInfo& split) {
  Json shards = Json::array();
  for (const ShardInfo& shard : split.shards) {
    shards.push_back({{"file", shard.file},
                      {"rows", shard.rows},
                      {"bytes", shard.bytes},
                      {"offset", shard.offset},
                      {"checksum", shard.checksum},
                      {"ends_checksum", shard.ends_checksum}});
  }
  return {{"name", split.name}, {"rows", split.rows}, {"shards", shards}};
}

SplitInfo split_from_json(const Json& json) {
  SplitInfo split;
  split.name = json.at("name").get<std::string>();
  split.rows = json.at("rows").get<std::uint64_t>();
  for (const Json& shard : json.at("shards")) {
    split.shards.push_back(
        {shard.at("file").get<std::string>(), shard.at("rows").get<std::uint64_t>(),
         shard.at("bytes").get<std::uint64_t>(), shard.at("offset").get<std::uint64_t>(),
         shard.at("checksum").get<std::string>(), shard.value("ends_checksum", "")});
  }
  return split;
}

ElementType parse_element_type(const std::string& name) {
  for (const ElementType type : {ElementType::uint8, ElementType::float32}) {
    if (name == name_of(type)) return type;
  }
  throw DataError(fmt::format("element_type is '{}', expected uint8 or float32", name));
}

/// @throws DataError without the path; the caller adds it.
void check_version(const Json& json) {
  const int version = json.at("format_version").get<int>();
  if (version > dataset_format_version) {
    throw DataError(
        fmt::format("format version {}, written by a newer relgrad; this one reads up to "
                    "version {}: update relgrad or prepare the data again",
                    version, dataset_format_version));
  }
  if (version < 1) throw DataError(fmt::format("format version {}, expected 1 or more", version));
}

DatasetInfo info_from_json(const Json& json) {
  DatasetInfo info;
  info.name = json.at("name").get<std::string>();
  info.dimension = json.at("dimension").get<Index>();
  info.sample_shape = json.at("sample_shape").get<std::vector<Index>>();
  info.type = parse_element_type(json.at("element_type").get<std::string>());
  info.value_min = json.at("value_range").at("min").get<double>();
  info.value_max = json.at("value_range").at("max").get<double>();
  const Json& entropy = json.at("true_entropy_nats");
  if (!entropy.is_null()) info.true_entropy_nats = entropy.get<double>();
  for (const Json& split : json.at("splits")) info.splits.push_back(split_from_json(split));
  info.identity = json.at("identity").get<std::string>();
  info.class_names = json.value("class_names", std::vector<std::string>());
  return info;
}

/// Shards lie in the directory itself: a name from elsewhere must not reach other files.
void check_shard_name(const std::string& file) {
  const bool is_plain = !file.empty() && file != "." && file != ".." &&
                        file.find('/') == std::string::npos && file.find('\0') == std::string::npos;
  if (!is_plain) throw DataError(fmt::format("shard '{}' is no plain file name", file));
}

void check_consistent(const DatasetInfo& info) {
  Index elements = 1;
  for (const Index extent : info.sample_shape) {
    if (extent < 1 || __builtin_mul_overflow(elements, extent, &elements)) elements = 0;
    if (elements == 0) break;
  }
  constexpr Index largest_dimension = Index{1} << 40U;
  if (info.sample_shape.empty() || info.dimension < 1 || info.dimension > largest_dimension ||
      elements != info.dimension) {
    throw DataError(fmt::format("dimension is {}, but sample_shape is [{}]", info.dimension,
                                fmt::join(info.sample_shape, ", ")));
  }
  if (info.splits.empty()) throw DataError("no splits");
  const std::uint64_t row_bytes = static_cast<std::uint64_t>(info.dimension) * bytes_of(info.type);
  for (const SplitInfo& split : info.splits) {
    std::uint64_t rows = 0;
    for (const ShardInfo& shard : split.shards) {
      check_shard_name(shard.file);
      std::uint64_t end = 0;
      if (__builtin_mul_overflow(shard.rows, row_bytes, &end) ||
          __builtin_add_overflow(end, shard.offset, &end) || end > shard.bytes ||
          __builtin_add_overflow(rows, shard.rows, &rows)) {
        throw DataError(
            fmt::format("{}: {} rows of {} bytes from byte {} on do not fit its {} bytes",
                        shard.file, shard.rows, row_bytes, shard.offset, shard.bytes));
      }
    }
    if (rows != split.rows) {
      throw DataError(fmt::format("split '{}' has {} rows, but its shards have {} in all",
                                  split.name, split.rows, rows));
    }
    if (rows == 0) throw DataError(fmt::format("split '{}' has 0 samples", split.name));
  }
}

/// A name or a path need not be UTF-8: bytes that are not are replaced, never fatal.
std::string text_of(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

std::string checksum_of_text(const std::string& text) {
  return fmt::format("xxh3:{:016x}", XXH3_64bits(text.data(), text.size()));
}

/// Data sets of version 0.1 have no checksum of dataset.json, nor of the ends of shards.
bool is_of_first_version(const Json& json) {
  for (const Json& split : json.at("splits")) {
    for (const Json& shard : split.at("shards")) {
      if (shard.contains("ends_checksum")) return false;
    }
  }
  return true;
}

/// The file as JSON. @throws DataError unless its checksum agrees.
Json parse_checked(const std::string& text) {
  constexpr int deepest = 32;
  Json json = Json::parse(text, [](int depth, Json::parse_event_t, const Json&) {
    if (depth > deepest) throw DataError("nested too deeply: damaged, prepare the data again");
    return true;
  });
  check_version(json);  // a newer one may have another checksum
  if (!json.contains("checksum") && is_of_first_version(json)) return json;
  const std::string expected = json.at("checksum").get<std::string>();
  json.erase("checksum");
  const std::string found = checksum_of_text(text_of(json));
  if (!expected.empty() && found != expected) {
    throw DataError(fmt::format(
        "checksum is {}, the file says {}: damaged (prepare the data again), or changed by hand "
        "(then write \"checksum\": \"\")",
        found, expected));
  }
  return json;
}

/// @throws DataError, for anything but a regular file, too: a pipe would block for ever.
std::string read_text(const std::filesystem::path& path) {
  constexpr std::uint64_t most = std::uint64_t{1} << 30U;
  const hdf5::RawFile file(path, hdf5::RawFile::Mode::read);
  if (file.size() > most) throw DataError(fmt::format("{}: too large", path.string()));
  std::string text(file.size(), '\0');
  file.read_at(0, text.data(), text.size());
  return text;
}

}  // namespace

void write_dataset_info(const std::filesystem::path& directory, const DatasetInfo& info,
                        const CreationRecord& created) {
  Json splits = Json::array();
  for (const SplitInfo& split : info.splits) splits.push_back(to_json(split));
  Json json = {
      {"format", "relgrad-dataset"},
      {"format_version", dataset_format_version},
      {"name", info.name},
      {"dimension", info.dimension},
      {"sample_shape", info.sample_shape},
      {"element_type", name_of(info.type)},
      {"value_range", {{"min", info.value_min}, {"max", info.value_max}}},
      {"true_entropy_nats", info.true_entropy_nats ? Json(*info.true_entropy_nats) : Json(nullptr)},
      {"identity", info.identity},
      {"splits", splits},
      {"created",
       {{"command", created.command}, {"sources", created.sources}, {"time", created.time}}}};
  if (!info.class_names.empty()) json["class_names"] = info.class_names;
  json["checksum"] = checksum_of_text(text_of(json));
  write_text_file(directory / dataset_file_name, text_of(json) + "\n");
}

void write_text_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) {
    throw DiskError(fmt::format("{}: cannot write: {}", path.string(), std::strerror(errno)));
  }
  hdf5::RawFile(path, hdf5::RawFile::Mode::write).sync();
}

DatasetInfo read_dataset_info(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / dataset_file_name;
  std::string text;
  try {
    text = read_text(path);
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}; make a data set with relgrad prepare", error.what()));
  }
  try {
    const Json json = parse_checked(text);
    DatasetInfo info = info_from_json(json);
    check_consistent(info);
    return info;
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: {}", path.string(), error.what()));
  } catch (const nlohmann::json::exception& error) {
    throw DataError(
        fmt::format("{}: damaged, prepare the data again: {}", path.string(), error.what()));
  }
}

void verify_dataset(const std::filesystem::path& directory, const DatasetInfo& info) {
  for (const SplitInfo& split : info.splits) {
    for (const ShardInfo& shard : split.shards) {
      const std::filesystem::path path = directory / shard.file;
      const std::string found = hdf5::checksum_of_file(path);
      if (found != shard.checksum) {
        throw DataError(
            fmt::format("{}: checksum is {}, dataset.json says {}: copy the shard again or prepare "
                        "the data again",
                        path.string(), found, shard.checksum));
      }
    }
  }
}

}  // namespace relgrad
