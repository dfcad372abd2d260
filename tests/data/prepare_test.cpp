#include "relgrad/data/prepare.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <thread>

#include "data/sample_files.hpp"
#include "hdf5/file.hpp"
#include "relgrad/data/dataset.hpp"
#include "support/temporary_directory.hpp"

namespace relgrad {
namespace {

using test::idx;
using test::message_of;
using test::npy;
using test::pattern_bytes;
using test::raw;
using test::TemporaryDirectory;
using test::write_file;
using test::fs::path;
using testing::ElementsAre;
using testing::HasSubstr;

/// Names in a directory, hidden ones too.
std::vector<std::string> names_in(const path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : test::fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string bytes_of_split(const path& directory, const std::string& split) {
  const SplitReader reader(directory, read_dataset_info(directory), split);
  RawBatch batch;
  reader.read_range(0, reader.rows(), batch);
  return {reinterpret_cast<const char*>(batch.bytes.data()), batch.bytes.size()};
}

/// 20 rows of 3 x 2 pixels in `directory`/train.npy, and options to prepare them there.
PrepareOptions small_options(const path& directory) {
  PrepareOptions options;
  options.train = {
      write_file(directory / "in" / "train.npy", npy("|u1", "(20, 3, 2)", pattern_bytes(120)))};
  options.output = directory / "out";
  return options;
}

TEST(Prepare, WritesWhatSplitReaderReadsBackAcrossShardBorders) {
  const TemporaryDirectory directory;
  PrepareOptions options = small_options(directory.path());
  options.test = {write_file(directory.path() / "in" / "test.npy",
                             npy("|u1", "(5, 3, 2)", pattern_bytes(30, 9)))};
  options.val_last = 6;
  options.rows_per_shard = 4;

  prepare(options);

  const DatasetInfo info = read_dataset_info(options.output);
  EXPECT_EQ(info.name, "out");
  EXPECT_EQ(info.dimension, 6);
  EXPECT_THAT(info.sample_shape, ElementsAre(1, 3, 2));
  EXPECT_EQ(info.split("train").rows, 14U);
  EXPECT_EQ(info.split("train").shards.size(), 4U);
  EXPECT_THAT(
      names_in(options.output),
      ElementsAre("dataset.json", "test-00000-of-00002.h5", "test-00001-of-00002.h5",
                  "train-00000-of-00004.h5", "train-00001-of-00004.h5", "train-00002-of-00004.h5",
                  "train-00003-of-00004.h5", "val-00000-of-00002.h5", "val-00001-of-00002.h5"));
  EXPECT_EQ(bytes_of_split(options.output, "train"), pattern_bytes(120).substr(0, 14 * 6));
  EXPECT_EQ(bytes_of_split(options.output, "val"), pattern_bytes(120).substr(14 * 6));
  EXPECT_EQ(bytes_of_split(options.output, "test"), pattern_bytes(30, 9));
  EXPECT_THAT(names_in(directory.path()), ElementsAre("in", "out"));
}

TEST(Prepare, TakesTheLastSixthOfTrainAsValAndMakesNoTestUnlessTold) {
  const TemporaryDirectory directory;
  const PrepareOptions options = small_options(directory.path());

  prepare(options);

  const DatasetInfo info = read_dataset_info(options.output);
  EXPECT_EQ(info.split("train").rows, 17U);
  EXPECT_EQ(info.split("val").rows, 3U);
  EXPECT_FALSE(info.has_split("test"));
  EXPECT_THAT(message_of<DataError>([&] { info.split("test"); }), HasSubstr("train, val"));
}

TEST(Prepare, StoresLabelsBesideTheSamplesAndCutsThemWithVal) {
  const TemporaryDirectory directory;
  PrepareOptions options = small_options(directory.path());
  std::string labels;
  for (char i = 0; i < 20; ++i) labels += static_cast<char>(i * 3);
  options.train_labels = {write_file(directory.path() / "in" / "y.idx", idx({20}, labels))};
  options.val_last = 2;

  prepare(options);

  const path shard = options.output / "val-00000-of-00001.h5";
  const auto found = hdf5::contents(shard).at("/labels");
  std::vector<std::int64_t> read(2);
  hdf5::RawFile(shard, hdf5::RawFile::Mode::read)
      .read_at(found.place.offset, read.data(), found.place.bytes);
  EXPECT_EQ(found.type, hdf5::Type::int64);
  EXPECT_THAT(read, ElementsAre(18 * 3, 19 * 3));
}

TEST(Prepare, RecordsTheRangeOfValuesOverAllSplits) {
  const TemporaryDirectory directory;
  PrepareOptions options;
  options.train = {write_file(directory.path() / "a.npy",
                              npy("<f4", "(2, 2)", raw(std::vector<float>{1, -2.5F, 3, 4})))};
  options.val = {write_file(directory.path() / "b.npy",
                            npy("<f4", "(1, 2)", raw(std::vector<float>{9.25F, 0})))};
  options.output = directory.path() / "out";

  prepare(options);

  const DatasetInfo info = read_dataset_info(options.output);
  EXPECT_EQ(info.type, ElementType::float32);
  EXPECT_EQ(info.value_min, -2.5);
  EXPECT_EQ(info.value_max, 9.25);
}

TEST(Prepare, TakesImagesWhosePixelsAreAllTheSame) {
  const TemporaryDirectory directory;
  PrepareOptions options;
  options.train = {
      write_file(directory.path() / "a.npy", npy("|u1", "(6, 4)", std::string(24, '\x07')))};
  options.output = directory.path() / "out";

  prepare(options);

  EXPECT_EQ(bytes_of_split(options.output, "train"), std::string(20, '\x07'));
  EXPECT_EQ(read_dataset_info(options.output).value_min, 7);
}

TEST(Prepare, GivesTheSameIdentityForTheSameDataInAnyShardsAndAnotherForOther) {
  const TemporaryDirectory directory;
  PrepareOptions options;
  options.synthetic = "toy:moons";
  options.rows = 50;
  const auto identity = [&](const char* name, std::uint64_t seed, std::uint64_t rows_per_shard) {
    options.output = directory.path() / name;
    options.seed = seed;
    options.rows_per_shard = rows_per_shard;
    prepare(options);
    return read_dataset_info(options.output).identity;
  };

  const std::string first = identity("a", 1, 50);
  EXPECT_EQ(first, identity("b", 1, 7));
  EXPECT_NE(first, identity("c", 2, 50));
}

TEST(Prepare, RecordsTheEntropyOfAKnownFlow) {
  const TemporaryDirectory directory;
  PrepareOptions options;
  options.synthetic = "flow:4";
  options.rows = 60;
  options.output = directory.path() / "out";

  prepare(options);

  const DatasetInfo info = read_dataset_info(options.output);
  EXPECT_EQ(info.dimension, 4);
  EXPECT_EQ(info.split("train").rows, 60U);
  EXPECT_EQ(info.split("val").rows, 10U);
  EXPECT_EQ(info.split("test").rows, 10U);
  ASSERT_TRUE(info.true_entropy_nats.has_value());
  EXPECT_GT(*info.true_entropy_nats, 0.0);
}

TEST(Prepare, LeavesNothingWhenALaterFileIsBad) {
  const TemporaryDirectory directory;
  PrepareOptions options = small_options(directory.path());
  // The cut shows only when its last byte is wanted: after the shards of train are written.
  const path whole = test::write_gz(directory.path() / "in" / "whole.gz",
                                    npy("|u1", "(200, 3, 2)", pattern_bytes(1200)));
  const std::string bytes = test::file_bytes(whole);
  options.test = {
      write_file(directory.path() / "in" / "test.npy.gz", bytes.substr(0, bytes.size() - 12))};

  const std::string trouble = message_of<DataError>([&] { prepare(options); });

  EXPECT_THAT(trouble, HasSubstr("test.npy.gz: truncated"));
  EXPECT_THAT(names_in(directory.path()), ElementsAre("in"));
}

TEST(Prepare, LeavesNothingWhenASignalStopsIt) {
  const TemporaryDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    PrepareOptions options;
    options.synthetic = "images";
    options.rows = 100000000;  // for hours
    options.output = directory.path() / "out";
    try {
      prepare(options);
    } catch (const Error& error) {
      ::_exit(static_cast<int>(error.code()));
    }
    ::_exit(0);
  }
  while (names_in(directory.path()).empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }

  ::kill(child, SIGINT);

  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(ExitCode::stopped));
  EXPECT_TRUE(names_in(directory.path()).empty());
}

TEST(Prepare, RemovesWhatAKilledRunLeftAndNothingElse) {
  const TemporaryDirectory directory;
  const pid_t child = ::fork();
  PrepareOptions options = small_options(directory.path());
  if (child == 0) {
    options.train.clear();
    options.synthetic = "images";
    options.rows = 100000000;
    try {
      prepare(options);
    } catch (const Error&) {
    }
    ::_exit(0);
  }
  while (names_in(directory.path()).size() < 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  write_file(directory.path() / ".out.partial-elsewhere-1" / "shard", "of another machine");
  ASSERT_EQ(names_in(directory.path()).size(), 3U);

  prepare(options);

  EXPECT_THAT(names_in(directory.path()), ElementsAre(".out.partial-elsewhere-1", "in", "out"));
}

TEST(Prepare, RefusesAnOutputThatExistsAndLeavesItAlone) {
  const TemporaryDirectory directory;
  const PrepareOptions options = small_options(directory.path());
  write_file(options.output / "precious", "do not touch");

  const std::string trouble = message_of<UsageError>([&] { prepare(options); });

  EXPECT_THAT(trouble, HasSubstr("exists already; remove it or choose another name"));
  EXPECT_EQ(test::file_bytes(options.output / "precious"), "do not touch");
}

TEST(Prepare, RefusesSplitsWithoutSamples) {
  const TemporaryDirectory directory;
  const auto trouble = [&](const std::function<void(PrepareOptions&)>& change) {
    PrepareOptions options = small_options(directory.path());
    change(options);
    return message_of<DataError>([&] { prepare(options); });
  };
  const path empty = write_file(directory.path() / "in" / "empty.npy", npy("|u1", "(0, 3, 2)", ""));

  EXPECT_THAT(trouble([](PrepareOptions& o) { o.val_last = 0; }), HasSubstr("'val' would have 0"));
  EXPECT_THAT(trouble([](PrepareOptions& o) { o.val_last = 20; }), HasSubstr("'train' 0 samples"));
  EXPECT_THAT(trouble([&](PrepareOptions& o) { o.test = {empty}; }),
              HasSubstr("'test' would have 0"));
  EXPECT_THAT(trouble([&](PrepareOptions& o) { o.train = {empty}; }),
              HasSubstr("'train' would have 0"));
  EXPECT_THAT(names_in(directory.path()), ElementsAre("in"));
}

TEST(Prepare, RefusesSplitsOfDifferentShapes) {
  const TemporaryDirectory directory;
  PrepareOptions options = small_options(directory.path());
  options.test = {write_file(directory.path() / "in" / "t.npy", npy("|u1", "(1, 4)", "abcd"))};

  EXPECT_THAT(message_of<DataError>([&] { prepare(options); }),
              HasSubstr("split 'test' holds uint8 [4]"));
}

TEST(Prepare, RefusesOptionsThatContradictEachOther) {
  const auto trouble = [&](const std::function<void(PrepareOptions&)>& change) {
    PrepareOptions options;
    options.output = "/nonexistent/never-made";
    change(options);
    return message_of<UsageError>([&] { prepare(options); });
  };

  EXPECT_THAT(trouble([](PrepareOptions&) {}), HasSubstr("--train FILE or --synthetic"));
  EXPECT_THAT(trouble([](PrepareOptions& o) { o.synthetic = "images", o.train = {"a"}; }),
              HasSubstr("leave out the input files"));
  EXPECT_THAT(trouble([](PrepareOptions& o) { o.train = o.val = {"a"}, o.val_last = 1; }),
              HasSubstr("exclude each other"));
}

TEST(Prepare, SaysWhereItCannotWrite) {
  PrepareOptions options;
  options.synthetic = "toy:moons";
  options.output = "/proc/nobody-writes-here/out";

  EXPECT_THAT(message_of<DiskError>([&] { prepare(options); }),
              HasSubstr("/proc/nobody-writes-here/out: cannot write there"));
}

TEST(ImageSizeText, IsHeightTimesWidth) {
  const ImageSize size = parse_image_size("28x32");

  EXPECT_EQ(size.height, 28);
  EXPECT_EQ(size.width, 32);
  for (const char* wrong : {"", "28", "28x", "x28", "0x28", "28x28x3", "28 x 28", "-1x4"}) {
    EXPECT_THROW(parse_image_size(wrong), UsageError) << wrong;
  }
}

/// What `prepare` says of a data set of `columns` real columns.
class PreparedColumns : public testing::Test {
 protected:
  /// @param value  of (row, column)
  std::string said(std::size_t rows, std::size_t columns,
                   const std::function<double(std::size_t, std::size_t)>& value) {
    std::vector<float> values;
    for (std::size_t n = 0; n < rows; ++n) {
      for (std::size_t d = 0; d < columns; ++d) values.push_back(static_cast<float>(value(n, d)));
    }
    PrepareOptions options;
    const std::string shape = "(" + std::to_string(rows) + ", " + std::to_string(columns) + ")";
    options.train = {write_file(directory_.path() / "x.npy", npy("<f4", shape, raw(values)))};
    options.val_last = 20;
    options.output = directory_.path() / "out";
    test::fs::remove_all(options.output);
    testing::internal::CaptureStderr();
    trouble_ = message_of<DataError>([&] { prepare(options); });
    return testing::internal::GetCapturedStderr();
  }
  /// Without structure and without repetition.
  static double noise(std::size_t n, std::size_t d) {
    return std::fmod(0.6180339887 * static_cast<double>(n * (2 * d + 1)) +
                         0.3 * static_cast<double>(n * n % 1009),
                     1.0);
  }

  static double level(std::size_t n, std::size_t d) {
    return static_cast<double>((7 * n + d) % 256);
  }

  const TemporaryDirectory directory_;
  std::string trouble_;
};

TEST_F(PreparedColumns, OfOrdinaryValuesAreNotWarnedOf) {
  EXPECT_THAT(said(400, 3, noise), testing::Not(HasSubstr("warning")));
  EXPECT_EQ(trouble_, "");
}

TEST_F(PreparedColumns, OfPixelsStoredAsRealNumbersAreRefused) {
  said(400, 3, level);
  EXPECT_THAT(trouble_, HasSubstr("save x.astype('uint8')"));
  said(400, 3, [](std::size_t n, std::size_t d) { return level(n, d) / 255; });
  EXPECT_THAT(trouble_, HasSubstr("save (x * 255).round().astype('uint8')"));
}

TEST_F(PreparedColumns, OfScaledPixelsAndOfCountsAreWarnedOf) {
  EXPECT_THAT(
      said(400, 3,
           [](std::size_t n, std::size_t d) { return std::fmod(level(n, d), 100) / 127.5 - 1; }),
      HasSubstr("1140 values are only 100 different ones, from -1 to -0.223529"));
  EXPECT_THAT(
      said(400, 3, [](std::size_t n, std::size_t d) { return std::floor(100000 * noise(n, d)); }),
      HasSubstr("all values are integers"));
}

TEST_F(PreparedColumns, OfFewValuesAreNamed) {
  const std::string text = said(400, 3, [](std::size_t n, std::size_t d) {
    if (d == 1) return n % 10 == 0 ? noise(n, 1) : 0.0;
    return d == 2 ? 8.5 : noise(n, d);
  });
  EXPECT_THAT(text, HasSubstr("1 of 3 columns are constant: column 2 is 8.5"));
  EXPECT_THAT(text, HasSubstr("1 of 3 columns repeat few values: column 1 ("));
}

TEST_F(PreparedColumns, WithOneExtremeValueAreNamedWithItsRow) {
  EXPECT_THAT(
      said(400, 2,
           [](std::size_t n, std::size_t d) { return n == 123 && d == 1 ? 9.97e36 : noise(n, d); }),
      HasSubstr("column 1, row 123: 9.97e+36"));
}

TEST_F(PreparedColumns, ThatEqualOrAddUpToOthersAreNamed) {
  EXPECT_THAT(said(400, 3, [](std::size_t n, std::size_t d) { return noise(n, d == 2 ? 0 : d); }),
              HasSubstr("1 of 3 columns equal others: 2 equals 0"));
  EXPECT_THAT(said(400, 3,
                   [](std::size_t n, std::size_t d) {
                     return d == 2 ? noise(n, 0) + noise(n, 1) : noise(n, d);
                   }),
              HasSubstr("1 of 3 columns are linear combinations of others"));
}

TEST(Prepare, DrawsValidationRowsAtRandomAndKeepsTheOrderOfTheOthers) {
  const TemporaryDirectory directory;
  std::string values(250, '\0');
  for (std::size_t n = 0; n < values.size(); ++n) values[n] = static_cast<char>(n);
  PrepareOptions options;
  options.train = {write_file(directory.path() / "x.npy", npy("|u1", "(250, 1)", values))};
  options.val_random = 40;
  options.rows_per_shard = 33;
  options.output = directory.path() / "out";

  prepare(options);

  const std::string train = bytes_of_split(options.output, "train");
  const std::string val = bytes_of_split(options.output, "val");
  const auto as_bytes = [](char a, char b) {
    return static_cast<unsigned char>(a) < static_cast<unsigned char>(b);
  };
  EXPECT_EQ(train.size(), 210U);
  EXPECT_TRUE(std::is_sorted(train.begin(), train.end(), as_bytes));
  EXPECT_TRUE(std::is_sorted(val.begin(), val.end(), as_bytes));
  std::string all = train + val;
  std::sort(all.begin(), all.end(), as_bytes);
  EXPECT_EQ(all, values);
  EXPECT_NE(val.back(), values.back());  // drawn, not the last ones
  EXPECT_LT(static_cast<unsigned char>(val.front()), 60);
}

TEST(Prepare, WarnsOfClassFoldersWhoseLastAloneIsVal) {
  const TemporaryDirectory directory;
  for (int i = 0; i < 24; ++i) {
    write_file(directory.path() / "in" / std::string(1, static_cast<char>('a' + i / 6)) /
                   (std::to_string(i) + ".pgm"),
               test::pgm(1, 1, "x"));
  }
  PrepareOptions options;
  options.train = {directory.path() / "in"};
  options.class_folders = true;
  options.output = directory.path() / "out";

  testing::internal::CaptureStderr();
  prepare(options);
  const std::string said = testing::internal::GetCapturedStderr();

  EXPECT_THAT(said, HasSubstr("split 'val' holds 1 of 4 class folders"));
  EXPECT_THAT(read_dataset_info(options.output).class_names, ElementsAre("a", "b", "c", "d"));
}

TEST(Prepare, ListsTheDamagedImagesThatItSkips) {
  const TemporaryDirectory directory;
  for (int i = 0; i < 8; ++i) {
    write_file(directory.path() / "in" / (std::to_string(i) + ".pgm"), test::pgm(1, 1, "x"));
  }
  write_file(directory.path() / "in" / "bad.pgm", "P5 4 4 255\nfew");
  PrepareOptions options;
  options.train = {directory.path() / "in"};
  options.output = directory.path() / "out";

  EXPECT_THAT(message_of<DataError>([&] { prepare(options); }), HasSubstr("bad.pgm"));
  options.skip_damaged = true;
  prepare(options);

  EXPECT_THAT(test::file_bytes(options.output / "skipped.txt"), HasSubstr("bad.pgm: damaged"));
  EXPECT_EQ(bytes_of_split(options.output, "train").size(), 7U);
}

}  // namespace
}  // namespace relgrad
