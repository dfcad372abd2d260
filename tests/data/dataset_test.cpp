#include "relgrad/data/dataset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "data/sample_files.hpp"
#include "relgrad/data/prepare.hpp"
#include "support/temporary_directory.hpp"

namespace relgrad {
namespace {

using test::file_bytes;
using test::message_of;
using test::npy;
using test::pattern_bytes;
using test::write_file;
using test::fs::path;
using testing::ElementsAre;
using testing::HasSubstr;

/// A data set of 10 training rows of 4 bytes in shards of 3, and 2 of validation.
class DatasetTest : public testing::Test {
 protected:
  void SetUp() override {
    PrepareOptions options;
    options.train = {
        write_file(directory_.path() / "x.npy", npy("|u1", "(12, 4)", pattern_bytes(48)))};
    options.val_last = 2;
    options.rows_per_shard = 3;
    options.output = data_;
    prepare(options);
  }

  void edit(const std::function<void(nlohmann::json&)>& change) const {
    nlohmann::json json = nlohmann::json::parse(file_bytes(data_ / "dataset.json"));
    json["checksum"] = "";  // as who changes it by hand is told to
    change(json);
    write_file(data_ / "dataset.json", json.dump());
  }
  std::string trouble_reading() const {
    return message_of<DataError>([&] { read_dataset_info(data_); });
  }
  std::string trouble_opening() const {
    return message_of<DataError>([&] { SplitReader(data_, read_dataset_info(data_), "train"); });
  }

  const test::TemporaryDirectory directory_;
  const path data_ = directory_.path() / "data";
  const path shard_ = data_ / "train-00001-of-00004.h5";
};

TEST_F(DatasetTest, ReaderGivesRowsInTheOrderAskedForFromEveryShard) {
  const SplitReader reader(data_, read_dataset_info(data_), "train");
  RawBatch batch;

  reader.read({9, 0, 3, 2, 2}, batch);

  EXPECT_EQ(batch.count, 5);
  EXPECT_EQ(batch.dimension, 4);
  EXPECT_THAT(batch.sample_ids, ElementsAre(9, 0, 3, 2, 2));
  for (std::size_t i = 0; i < 5; ++i) {
    const std::string row = pattern_bytes(48).substr(batch.sample_ids[i] * 4, 4);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(batch.uint8_data()) + 4 * i, 4), row);
  }
}

TEST_F(DatasetTest, ReaderGivesRangesAndNoRowsAtAll) {
  const SplitReader reader(data_, read_dataset_info(data_), "train");
  RawBatch batch;

  reader.read_range(2, 7, batch);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(batch.bytes.data()), 20),
            pattern_bytes(48).substr(8, 20));
  EXPECT_THAT(batch.sample_ids, ElementsAre(2, 3, 4, 5, 6));
  reader.read_range(10, 10, batch);
  EXPECT_EQ(batch.count, 0);
  EXPECT_THROW(reader.read_range(8, 11, batch), ShapeError);
  EXPECT_THROW(reader.read({10}, batch), ShapeError);
}

TEST_F(DatasetTest, ReaderServesSeveralThreadsAtOnce) {
  const SplitReader reader(data_, read_dataset_info(data_), "train");
  std::vector<std::string> read(8);

  std::vector<std::thread> threads;
  for (std::string& text : read) {
    threads.emplace_back([&reader, &text] {
      RawBatch batch;
      reader.read_range(0, 10, batch);
      text.assign(reinterpret_cast<const char*>(batch.bytes.data()), batch.bytes.size());
    });
  }
  for (std::thread& thread : threads) thread.join();

  for (const std::string& text : read) EXPECT_EQ(text, pattern_bytes(48).substr(0, 40));
}

TEST_F(DatasetTest, ReaderNamesAMissingShard) {
  test::fs::remove(shard_);

  EXPECT_THAT(trouble_opening(), HasSubstr("train-00001-of-00004.h5: shard missing"));
}

TEST_F(DatasetTest, ReaderNamesACutShardWithBothSizes) {
  const std::uint64_t bytes = test::fs::file_size(shard_);
  test::fs::resize_file(shard_, bytes - 1);

  EXPECT_THAT(trouble_opening(),
              HasSubstr("train-00001-of-00004.h5: shard has " + std::to_string(bytes - 1) +
                        " bytes, dataset.json says " + std::to_string(bytes)));
}

TEST_F(DatasetTest, ReaderRefusesTheShardOfAnotherDataSetOfTheSameShape) {
  PrepareOptions options;
  options.train = {
      write_file(directory_.path() / "y.npy", npy("|u1", "(12, 4)", pattern_bytes(48, 3)))};
  options.val_last = 2;
  options.rows_per_shard = 3;
  options.output = directory_.path() / "other";
  prepare(options);
  test::fs::copy_file(options.output / shard_.filename(), shard_,
                      test::fs::copy_options::overwrite_existing);

  EXPECT_THAT(trouble_opening(),
              HasSubstr("train-00001-of-00004.h5: damaged, or of another data set"));
}

TEST_F(DatasetTest, ReaderFindsAFlippedBitWhenItReadsASplitIntoMemory) {
  edit([](nlohmann::json& json) {
    for (nlohmann::json& shard : json["splits"][0]["shards"]) shard["ends_checksum"] = "";
  });
  std::string bytes = file_bytes(shard_);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 1);
  write_file(shard_, bytes);
  const SplitReader reader(data_, read_dataset_info(data_), "train");
  RawBatch batch;

  EXPECT_THAT(message_of<DataError>([&] { reader.read_range(0, 1, batch); }),
              HasSubstr("train-00001-of-00004.h5: damaged"));
}

TEST_F(DatasetTest, InfoFindsAnyChangeOfItself) {
  const std::string whole = file_bytes(data_ / "dataset.json");
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 2);
    write_file(data_ / "dataset.json", bytes);
    if (bytes[at] == ' ' || whole[at] == ' ') continue;  // layout alone
    EXPECT_NE(trouble_reading(), "") << at << ": " << bytes.substr(at, 20);
  }
}

TEST_F(DatasetTest, InfoRefusesNumbersThatOverflowAndNamesThatLeadElsewhere) {
  edit([](nlohmann::json& json) {
    json["splits"][0]["rows"] = std::uint64_t{1} << 62U;
    json["splits"][0]["shards"] = nlohmann::json::array({json["splits"][0]["shards"][0]});
    json["splits"][0]["shards"][0]["rows"] = std::uint64_t{1} << 62U;
  });
  EXPECT_THAT(trouble_reading(), HasSubstr("do not fit"));
  edit([](nlohmann::json& json) { json["splits"][0]["shards"][0]["file"] = "../x.h5"; });
  EXPECT_THAT(trouble_reading(), HasSubstr("'../x.h5' is no plain file name"));
  edit([](nlohmann::json& json) { json["sample_shape"] = {-2, -2}; });
  EXPECT_THAT(trouble_reading(), HasSubstr("sample_shape is [-2, -2]"));
  write_file(data_ / "dataset.json", std::string(100000, '['));
  EXPECT_THAT(trouble_reading(), HasSubstr("nested too deeply"));
}

TEST_F(DatasetTest, InfoOfTheFirstVersionHasNoChecksums) {
  nlohmann::json json = nlohmann::json::parse(file_bytes(data_ / "dataset.json"));
  json.erase("checksum");
  for (nlohmann::json& split : json["splits"]) {
    for (nlohmann::json& shard : split["shards"]) shard.erase("ends_checksum");
  }
  write_file(data_ / "dataset.json", json.dump());

  EXPECT_EQ(trouble_opening(), "");
}

TEST_F(DatasetTest, InfoOfANewerFormatSaysSo) {
  edit([](nlohmann::json& json) { json["format_version"] = 2; });

  EXPECT_THAT(trouble_reading(), HasSubstr("dataset.json: format version 2, written by a newer"));
}

TEST_F(DatasetTest, InfoThatIsDamagedOrContradictsItselfIsRefused) {
  const std::string whole = file_bytes(data_ / "dataset.json");

  edit([](nlohmann::json& json) { json["dimension"] = 5; });
  EXPECT_THAT(trouble_reading(), HasSubstr("dimension is 5, but sample_shape is [4]"));
  write_file(data_ / "dataset.json", whole);
  edit([](nlohmann::json& json) { json["splits"][0]["rows"] = 11; });
  EXPECT_THAT(trouble_reading(), HasSubstr("has 11 rows, but its shards have 10"));
  write_file(data_ / "dataset.json", whole);
  edit([](nlohmann::json& json) { json.erase("checksum"); });
  EXPECT_THAT(trouble_reading(), HasSubstr("'checksum' not found"));
  write_file(data_ / "dataset.json", whole);
  edit([](nlohmann::json& json) { json.erase("identity"); });
  EXPECT_THAT(trouble_reading(), HasSubstr("damaged"));
  write_file(data_ / "dataset.json", whole.substr(0, whole.size() / 2));
  EXPECT_THAT(trouble_reading(), HasSubstr("damaged"));
  test::fs::remove(data_ / "dataset.json");
  EXPECT_THAT(trouble_reading(), HasSubstr("dataset.json: cannot read"));
}

TEST_F(DatasetTest, VerifyFindsOneFlippedByte) {
  const DatasetInfo info = read_dataset_info(data_);
  EXPECT_NO_THROW(verify_dataset(data_, info));
  std::string bytes = file_bytes(shard_);
  bytes[bytes.size() - 3] = static_cast<char>(bytes[bytes.size() - 3] ^ 1);
  write_file(shard_, bytes);

  const std::string trouble = message_of<DataError>([&] { verify_dataset(data_, info); });

  EXPECT_THAT(trouble, HasSubstr("train-00001-of-00004.h5: checksum is xxh3:"));
}

}  // namespace
}  // namespace relgrad
