#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "data/sample_files.hpp"
#include "data/sample_source.hpp"
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
using test::write_gz;
using test::fs::path;
using testing::ElementsAre;
using testing::HasSubstr;

struct Read {
  std::string bytes;
  std::vector<std::int64_t> labels;
};

/// Everything, `at_once` rows at a time.
Read read_all(SampleSource& source, std::uint64_t at_once) {
  Read all;
  for (std::uint64_t left = source.rows(); left > 0;) {
    const std::uint64_t count = std::min(left, at_once);
    std::vector<std::byte> samples(count * source.row_bytes());
    std::vector<std::int64_t> labels(count);
    source.next(count, samples.data(), source.has_labels() ? labels.data() : nullptr);
    all.bytes.append(reinterpret_cast<const char*>(samples.data()), samples.size());
    if (source.has_labels()) all.labels.insert(all.labels.end(), labels.begin(), labels.end());
    left -= count;
  }
  return all;
}

Read read_path(const path& file, std::uint64_t at_once = 3) {
  return read_all(*open_source(file, {}), at_once);
}

std::string data_error(const path& file) {
  return message_of<DataError>([&] { read_path(file); });
}

TEST(IdxSource, ReadsImagesPlainAndCompressed) {
  const TemporaryDirectory directory;
  const std::string pixels = pattern_bytes(5 * 4 * 3);
  const path plain = write_file(directory.path() / "a-idx3-ubyte", idx({5, 4, 3}, pixels));
  const path compressed = write_gz(directory.path() / "a-idx3-ubyte.gz", idx({5, 4, 3}, pixels));

  for (const path& file : {plain, compressed}) {
    const auto source = open_source(file, {});
    EXPECT_EQ(source->rows(), 5U);
    EXPECT_EQ(source->type(), ElementType::uint8);
    EXPECT_THAT(source->sample_shape(), ElementsAre(1, 4, 3));
    EXPECT_EQ(read_all(*source, 2).bytes, pixels);
  }
}

TEST(IdxSource, IsRecognisedByItsFirstBytesWhateverItsName) {
  const TemporaryDirectory directory;
  const path file = write_gz(directory.path() / "images", idx({2, 3}, "abcdef"));

  EXPECT_EQ(read_path(file).bytes, "abcdef");
}

TEST(IdxSource, RefusesAWrongMagicNumber) {
  const TemporaryDirectory directory;
  const path file = write_file(directory.path() / "a.idx", "\x89PNG the rest of it");

  EXPECT_THAT(data_error(file), HasSubstr("wrong magic number 89504e47"));
}

TEST(IdxSource, RefusesLabelsWhereImagesAreExpected) {
  const TemporaryDirectory directory;
  const path file = write_file(directory.path() / "labels-idx1-ubyte", idx({3}, "abc"));

  EXPECT_THAT(data_error(file), HasSubstr("shape (3), expected (N, D)"));
}

TEST(IdxSource, RefusesALengthThatDoesNotMatch) {
  const TemporaryDirectory directory;
  const std::string whole = idx({5, 4, 3}, pattern_bytes(60));

  const path cut = write_file(directory.path() / "cut.idx", whole.substr(0, 50));
  const path longer = write_file(directory.path() / "longer.idx", whole + "x");
  const path cut_gz = write_gz(directory.path() / "cut.idx.gz", whole.substr(0, 50));
  const path longer_gz = write_gz(directory.path() / "longer.idx.gz", whole + "x");

  EXPECT_THAT(data_error(cut), HasSubstr("50 bytes, but its IDX header makes 76; truncated"));
  EXPECT_THAT(data_error(longer), HasSubstr("77 bytes, but its IDX header makes 76"));
  EXPECT_THAT(data_error(cut_gz), HasSubstr("truncated"));
  EXPECT_THAT(data_error(longer_gz), HasSubstr("longer than its IDX header says"));
}

TEST(IdxSource, ReadsRealsAndIntegersOfAnySize) {
  const TemporaryDirectory directory;
  const auto file = [&](char type, const std::string& values) {
    std::string bytes = idx({2, 1}, values);
    bytes[2] = type;
    return write_file(directory.path() / "a.idx", bytes);
  };

  EXPECT_EQ(read_path(file(0x0D, std::string("\x3F\x80\0\0\xC0\0\0\0", 8))).bytes,
            raw(std::vector<float>{1.0F, -2.0F}));
  EXPECT_EQ(read_path(file(0x0C, std::string("\0\0\0\7\0\0\0\xFF", 8))).bytes, "\7\xFF");
  EXPECT_THAT(data_error(file(0x0B, std::string("\0\7\1\0", 4))), HasSubstr("from 7 to 256"));
}

TEST(IdxSource, AllocatesNothingForAClaimThatDeflateCannotKeep) {
  const TemporaryDirectory directory;
  const path file = write_gz(directory.path() / "a.idx.gz", idx({6, 4, 65535, 65535}, "few"));

  EXPECT_THAT(message_of<DataError>([&] { open_source(file, {}); }), HasSubstr("truncated"));
}

TEST(IdxSource, RefusesATruncatedGzWhereverItIsCut) {
  const TemporaryDirectory directory;
  const path whole = write_gz(directory.path() / "whole.gz", idx({50, 4, 3}, pattern_bytes(600)));
  const std::string bytes = test::file_bytes(whole);

  for (const std::size_t length : {bytes.size() / 2, bytes.size() - 9, bytes.size() - 1}) {
    const path cut = write_file(directory.path() / "cut.idx.gz", bytes.substr(0, length));
    EXPECT_THAT(data_error(cut), HasSubstr("truncated")) << length << " of " << bytes.size();
  }
}

TEST(Sources, NameAMissingFileAndAnUnknownFormat) {
  const TemporaryDirectory directory;
  const path unknown = write_file(directory.path() / "notes.txt", "hello");
  const path image = write_file(directory.path() / "one.pgm", test::pgm(2, 2, "abcd"));

  EXPECT_THAT(data_error(directory.path() / "absent.npy"), HasSubstr("absent.npy: no such file"));
  const path table = write_file(directory.path() / "x.mat", "MATLAB");

  EXPECT_THAT(data_error(unknown), HasSubstr("numpy.loadtxt('notes.txt'"));
  EXPECT_THAT(data_error(table), HasSubstr("scipy.io.loadmat('x.mat')"));
  EXPECT_THAT(data_error(write_file(directory.path() / "what.xyz", "hello")),
              HasSubstr("unknown format"));
  EXPECT_THAT(data_error(image), HasSubstr("a single image"));
}

TEST(CifarSource, ReadsAnyNumberOfRecordsWithTheirLabels) {
  const TemporaryDirectory directory;
  const std::string image0 = pattern_bytes(3072, 0);
  const std::string image1 = pattern_bytes(3072, 1);
  const path file =
      write_file(directory.path() / "data_batch_1.bin", "\x07" + image0 + "\x02" + image1);
  const path hundred = write_file(directory.path() / "train.bin",
                                  "\x01\x63" + image0 + "\x02\x11" + image1 + "\x03\x05" + image0);

  const auto source = open_source(file, {});
  EXPECT_THAT(source->sample_shape(), ElementsAre(3, 32, 32));
  const Read ten = read_all(*source, 1);
  const Read fine = read_path(hundred);

  EXPECT_EQ(ten.bytes, image0 + image1);
  EXPECT_THAT(ten.labels, ElementsAre(7, 2));
  EXPECT_EQ(fine.bytes, image0 + image1 + image0);
  EXPECT_THAT(fine.labels, ElementsAre(0x63, 0x11, 5));
}

TEST(CifarSource, RefusesABrokenRecordAndAnImpossibleLabel) {
  const TemporaryDirectory directory;
  const path cut = write_file(directory.path() / "cut.bin", pattern_bytes(2 * 3073 - 5));
  const path empty = write_file(directory.path() / "empty.bin", "");
  const path label = write_file(directory.path() / "label.bin", "\x0b" + pattern_bytes(3072));

  EXPECT_THAT(data_error(cut), HasSubstr("6141 bytes of content are no whole number of CIFAR"));
  EXPECT_THAT(data_error(empty), HasSubstr("0 bytes"));
  EXPECT_THAT(data_error(label), HasSubstr("record 0 has label 11"));
}

TEST(NpySource, ReadsUint8Float32AndFloat64InTwoToFourDimensions) {
  const TemporaryDirectory directory;
  const std::vector<float> floats{0.5F, -1.25F, 3e7F, 1e-20F, 0.0F, 7.0F};
  const std::vector<double> doubles(floats.begin(), floats.end());
  const path bytes = write_file(directory.path() / "u.npy", npy("|u1", "(2, 3)", "abcdef"));
  const path single = write_file(directory.path() / "f.npy", npy("<f4", "(2, 3, 1)", raw(floats)));
  const path twice =
      write_file(directory.path() / "d.npy", npy("<f8", "(1, 3, 2, 1)", raw(doubles)));

  EXPECT_EQ(read_path(bytes).bytes, "abcdef");
  EXPECT_EQ(read_path(single).bytes, raw(floats));
  EXPECT_EQ(read_path(twice).bytes, raw(floats));
  EXPECT_THAT(open_source(bytes, {})->sample_shape(), ElementsAre(3));
  EXPECT_THAT(open_source(single, {})->sample_shape(), ElementsAre(1, 3, 1));
  EXPECT_THAT(open_source(twice, {})->sample_shape(), ElementsAre(3, 2, 1));
  EXPECT_EQ(open_source(twice, {})->type(), ElementType::float32);
}

TEST(NpySource, NamesTheRowOfAValueThatIsNotFinite) {
  const TemporaryDirectory directory;
  std::vector<double> values(10 * 3, 1.0);
  values[7 * 3 + 1] = std::numeric_limits<double>::quiet_NaN();
  const path nan = write_file(directory.path() / "nan.npy", npy("<f8", "(10, 3)", raw(values)));
  std::vector<float> floats(10 * 3, 1.0F);
  floats[9 * 3 + 2] = std::numeric_limits<float>::infinity();
  const path inf = write_file(directory.path() / "inf.npy", npy("<f4", "(10, 3)", raw(floats)));
  values[7 * 3 + 1] = 1e300;  // finite, but not in single precision
  const path huge = write_file(directory.path() / "huge.npy", npy("<f8", "(10, 3)", raw(values)));

  EXPECT_THAT(data_error(nan), HasSubstr("row 7, element 1 is nan"));
  EXPECT_THAT(data_error(inf), HasSubstr("row 9, element 2 is inf"));
  EXPECT_THAT(data_error(huge), HasSubstr("row 7, element 1 is 1e+300"));
}

TEST(NpySource, RefusesWhatItCannotReadAndSaysHowToMendIt) {
  const TemporaryDirectory directory;
  const auto error_of = [&](const std::string& bytes) {
    return data_error(write_file(directory.path() / "x.npy", bytes));
  };

  EXPECT_THAT(error_of(npy("<i2", "(2, 1)", std::string("\x2C\x01\xFF\xFF", 4))),
              HasSubstr("integers (<i2) from -1 to 300"));
  EXPECT_THAT(error_of(npy("<c8", "(2, 3)", std::string(48, 'a'))), HasSubstr("astype"));
  EXPECT_THAT(error_of(npy("|u1", "(6,)", "abcdef")), HasSubstr("shape (6)"));
  EXPECT_THAT(error_of(npy("|u1", "(2, 3)", "abcde")), HasSubstr("truncated"));
  EXPECT_THAT(error_of("no numpy at all, only text"), HasSubstr("not an .npy file"));
}

/// The same values as `read_path` of the plain file, from another spelling of its header.
TEST(NpySource, ReadsEverySpellingOfAHeaderThatNumpyReads) {
  const TemporaryDirectory directory;
  const auto bytes_of = [&](const std::string& dictionary, const std::string& values) {
    std::string header = dictionary + "\n";
    std::string bytes = "\x93NUMPY";
    bytes += {'\x01', '\0', static_cast<char>(header.size()), '\0'};
    return read_path(write_file(directory.path() / "x.npy", bytes + header + values)).bytes;
  };

  EXPECT_EQ(bytes_of("{'descr': '|u1', 'fortran_order' : True, 'shape': (2, 3), }", "adbecf"),
            "abcdef");
  EXPECT_EQ(bytes_of("{'descr': '|u1', 'fortran_order':\tTrue, 'shape': (2, 3)}", "adbecf"),
            "abcdef");
  EXPECT_EQ(
      bytes_of("{\"descr\": \"<u1\", \"fortran_order\": False, \"shape\": (2L, 3L)}", "abcdef"),
      "abcdef");
  EXPECT_EQ(bytes_of("{'shape': (2, 3), 'descr': 'u1', 'fortran_order': False}", "abcdef"),
            "abcdef");
  for (const char* bad : {"{'descr': '|u1', 'fortran_order': Maybe, 'shape': (2, 3)}",
                          "{'descr': '|u1', 'shape': (2, 3)}",
                          "{'descr': '|u1', 'fortran_order': False, 'shape': (2, x)}",
                          "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (2, 3)}"}) {
    EXPECT_THAT(message_of<DataError>([&] { bytes_of(bad, "abcdef"); }), HasSubstr("npy header"))
        << bad;
  }
}

TEST(NpySource, ReadsFortranOrderBigEndianHalvesIntegersAndTruthValues) {
  const TemporaryDirectory directory;
  const auto read = [&](const std::string& bytes) {
    return read_path(write_file(directory.path() / "x.npy", bytes), 1).bytes;
  };
  std::string fortran(2 * 3 * 4 * 5, '\0');  // (2, 3, 4, 5), value = number in C order
  for (std::size_t n = 0; n < fortran.size(); ++n) {
    const std::size_t l = n % 5, k = n / 5 % 4, j = n / 20 % 3, i = n / 60;
    fortran[i + 2 * (j + 3 * (k + 4 * l))] = static_cast<char>(n);
  }
  std::string in_order(fortran.size(), '\0');
  for (std::size_t n = 0; n < in_order.size(); ++n) in_order[n] = static_cast<char>(n);

  EXPECT_EQ(read(npy("|u1", "(2, 3, 4, 5)", fortran, true)), in_order);
  EXPECT_EQ(read(npy(">f4", "(1, 2)", std::string("\x3F\x80\0\0\xC0\0\0\0", 8))),
            raw(std::vector<float>{1.0F, -2.0F}));
  EXPECT_EQ(read(npy("<f2", "(1, 3)", std::string("\0\x3C\1\0\xFF\x7B", 6))),
            raw(std::vector<float>{1.0F, 0x1p-24F, 65504.0F}));
  EXPECT_EQ(read(npy("<i8", "(1, 2)", raw(std::vector<std::int64_t>{0, 255}))),
            std::string("\0\xFF", 2));
  EXPECT_EQ(read(npy("|b1", "(1, 2)", std::string("\1\0", 2))), std::string("\1\0", 2));
}

TEST(NpySource, RefusesDoublesThatSinglePrecisionWouldTurnIntoSteps) {
  const TemporaryDirectory directory;
  const auto trouble = [&](double offset, double step) {
    std::vector<double> values;
    for (int i = 0; i < 100; ++i) values.push_back(offset + step * i);
    return data_error(write_file(directory.path() / "x.npy", npy("<f8", "(100, 1)", raw(values))));
  };

  EXPECT_THAT(trouble(5.3e6, 0.01), HasSubstr("column 0 (mean 5.3e+06"));
  EXPECT_THAT(trouble(1.6e9, 1.0), HasSubstr("x.mean(0)"));
  EXPECT_THAT(trouble(0, 1e-47), HasSubstr("column 0"));
  EXPECT_EQ(trouble(0, 0.01), "");
  EXPECT_EQ(trouble(5.3e6, 1e4), "");
  EXPECT_EQ(trouble(5.3e6, 0.0), "");  // constant
}

TEST(Sources, MakePlanesOfArraysWithChannelsLast) {
  const TemporaryDirectory directory;
  const path file = write_file(directory.path() / "x.npy", npy("|u1", "(1, 1, 2, 3)", "RGBrgb"));
  SourceOptions options;
  options.channels_last = true;

  const auto source = open_source(file, options);

  EXPECT_THAT(source->sample_shape(), ElementsAre(3, 1, 2));
  EXPECT_EQ(read_all(*source, 1).bytes, "RrGgBb");
}

TEST(Sources, AreReadOneAfterAnother) {
  const TemporaryDirectory directory;
  const path one = write_file(directory.path() / "1.npy", npy("|u1", "(2, 3)", "abcdef"));
  const path none = write_file(directory.path() / "2.npy", npy("|u1", "(0, 3)", ""));
  const path two = write_file(directory.path() / "3.npy", npy("|u1", "(3, 3)", "ghijklmno"));
  const path other = write_file(directory.path() / "4.npy", npy("|u1", "(1, 4)", "pqrs"));

  const auto all = open_sources({one, none, two}, {});
  const std::string trouble = message_of<DataError>([&] { open_sources({one, other}, {}); });

  EXPECT_EQ(all->rows(), 5U);
  EXPECT_EQ(read_all(*all, 3).bytes, "abcdefghijklmno");
  EXPECT_THAT(trouble, HasSubstr("1.npy holds uint8 [3], but"));
  EXPECT_THAT(trouble, HasSubstr("4.npy holds uint8 [4]"));
}

TEST(Labels, ComeFromIdxOrNpyAndMustBeAsManyAsTheSamples) {
  const TemporaryDirectory directory;
  const path samples = write_file(directory.path() / "x.npy", npy("|u1", "(3, 2)", "abcdef"));
  const path first = write_gz(directory.path() / "y-idx1-ubyte.gz", idx({2}, "\x05\x09"));
  const path second = write_file(directory.path() / "y.npy",
                                 npy("<i4", "(1,)", raw(std::vector<std::int32_t>{-4})));

  const auto source = with_labels(open_source(samples, {}), {first, second});
  const std::string trouble =
      message_of<DataError>([&] { with_labels(open_source(samples, {}), {first}); });

  EXPECT_THAT(read_all(*source, 2).labels, ElementsAre(5, 9, -4));
  EXPECT_THAT(trouble, HasSubstr("2 labels for 3 samples"));
}

TEST(Labels, OfQmnistAreTheFirstOfEightNumbers) {
  const TemporaryDirectory directory;
  std::string values(2 * 8 * 4, '\0');
  values[3] = '\5';
  values[7] = '\7';  // a writer, not a class
  values[35] = '\2';
  std::string bytes = idx({2, 8}, values);
  bytes[2] = 0x0C;
  const path labels = write_file(directory.path() / "y-idx2-int", bytes);
  const path samples = write_file(directory.path() / "x.npy", npy("|u1", "(2, 1)", "ab"));

  EXPECT_THAT(read_all(*with_labels(open_source(samples, {}), {labels}), 2).labels,
              ElementsAre(5, 2));
}

}  // namespace
}  // namespace relgrad
