#include "data/dataset_json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "relgrad/core/error.hpp"
#include "relgrad/hdf5/file.hpp"

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
                      {"checksum", shard.checksum}});
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
         shard.at("checksum").get<std::string>()});
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
  return info;
}

void check_consistent(const DatasetInfo& info) {
  const Index elements = std::accumulate(info.sample_shape.begin(), info.sample_shape.end(),
                                         Index{1}, std::multiplies<>());
  if (info.sample_shape.empty() || info.dimension < 1 || elements != info.dimension) {
    throw DataError(fmt::format("dimension is {}, but sample_shape is [{}]", info.dimension,
                                fmt::join(info.sample_shape, ", ")));
  }
  if (info.splits.empty()) throw DataError("no splits");
  for (const SplitInfo& split : info.splits) {
    std::uint64_t rows = 0;
    for (const ShardInfo& shard : split.shards) rows += shard.rows;
    if (rows != split.rows) {
      throw DataError(fmt::format("split '{}' has {} rows, but its shards have {} in all",
                                  split.name, split.rows, rows));
    }
    if (rows == 0) throw DataError(fmt::format("split '{}' has 0 samples", split.name));
  }
}

}  // namespace

void write_dataset_info(const std::filesystem::path& directory, const DatasetInfo& info,
                        const CreationRecord& created) {
  Json splits = Json::array();
  for (const SplitInfo& split : info.splits) splits.push_back(to_json(split));
  const Json json = {
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
  const std::filesystem::path path = directory / dataset_file_name;
  // A name or a path need not be UTF-8: bytes that are not are replaced, never fatal.
  const std::string text = json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
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
  std::ifstream file(path);
  if (!file) {
    throw DataError(fmt::format("{}: cannot read: {}; make a data set with relgrad prepare",
                                path.string(), std::strerror(errno)));
  }
  try {
    const Json json = Json::parse(file);
    check_version(json);
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
