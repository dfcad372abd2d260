#include "hdf5/file.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <numeric>

#include "relgrad/core/error.hpp"

namespace relgrad::hdf5 {
namespace {

namespace fs = std::filesystem;

class Hdf5File : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "relgrad-hdf5-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  /// A file with samples (3 x 4 uint8, 0..11) and one float64 number.
  fs::path write_small_file() const {
    const fs::path path = directory_ / "small.h5";
    const std::vector<Place> places =
        create(path, {{"/train/samples",
                       Type::uint8,
                       {3, 4},
                       {{{"global_shape", {3, 4}}, {"rows_before", {7}}}, {{"unit", "pixels"}}}},
                      {"/scale", Type::float64, {}, {}}});
    std::vector<std::uint8_t> samples(12);
    std::iota(samples.begin(), samples.end(), std::uint8_t{0});
    const double scale = 0.125;
    const RawFile file(path, RawFile::Mode::write);
    file.write_at(places[0].offset, samples.data(), places[0].bytes);
    file.write_at(places[1].offset, &scale, places[1].bytes);
    file.sync();
    return path;
  }

  fs::path directory_;
};

/// The message of the error that `work` throws; fails the test if it throws none of type E.
template <class E>
std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

/// A Python that has h5py: the one in PATH or Debian's; "" if neither has.
std::string python_with_h5py() {
  for (const std::string python : {"python3", "/usr/bin/python3"}) {
    if (std::system((python + " -c 'import h5py' 2>/dev/null").c_str()) == 0) return python;
  }
  return "";
}

TEST_F(Hdf5File, GivesBackWhatWasWrittenAtThePlacesOfItsDatasets) {
  const fs::path path = write_small_file();

  const auto found = contents(path);

  ASSERT_EQ(found.size(), 2U);
  const DatasetFound& samples = found.at("/train/samples");
  EXPECT_EQ(samples.type, Type::uint8);
  EXPECT_EQ(samples.shape, (std::vector<std::uint64_t>{3, 4}));
  EXPECT_EQ(samples.attributes.integers.at("global_shape"), (std::vector<std::int64_t>{3, 4}));
  EXPECT_EQ(samples.attributes.integers.at("rows_before"), (std::vector<std::int64_t>{7}));
  EXPECT_EQ(samples.attributes.texts.at("unit"), "pixels");
  std::vector<std::uint8_t> row(4);
  double scale = 0;
  const RawFile file(path, RawFile::Mode::read);
  file.read_at(samples.place.offset + 4, row.data(), 4);
  file.read_at(found.at("/scale").place.offset, &scale, sizeof scale);
  EXPECT_EQ(row, (std::vector<std::uint8_t>{4, 5, 6, 7}));
  EXPECT_EQ(scale, 0.125);
}

TEST_F(Hdf5File, DatasetsWithoutRowsAreListedAndNeedNoBytes) {
  const fs::path path = directory_ / "empty.h5";

  const std::vector<Place> places = create(path, {{"/none", Type::float32, {0, 5}, {}}});

  EXPECT_EQ(places.at(0).bytes, 0U);
  EXPECT_EQ(contents(path).at("/none").shape, (std::vector<std::uint64_t>{0, 5}));
}

TEST_F(Hdf5File, CreatingOverAnExistingFileNamesThePathAndTheReason) {
  const fs::path path = write_small_file();

  const std::string message = message_of<DiskError>([&] { create(path, {}); });

  EXPECT_NE(message.find(path.string()), std::string::npos) << message;
  EXPECT_NE(message.find("exist"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

TEST_F(Hdf5File, CreatingInAMissingFolderGivesTheSystemsReason) {
  const std::string message =
      message_of<DiskError>([&] { create(directory_ / "nowhere" / "a.h5", {}); });

  EXPECT_NE(message.find("No such file or directory"), std::string::npos) << message;
}

TEST_F(Hdf5File, AFileCutAnywhereIsRefused) {
  const fs::path path = write_small_file();
  const std::uintmax_t size = fs::file_size(path);

  for (const std::uintmax_t kept : {std::uintmax_t{0}, std::uintmax_t{100}, size / 2, size - 1}) {
    fs::resize_file(path, kept);
    EXPECT_THROW(contents(path), DataError) << "cut to " << kept << " of " << size << " bytes";
  }
}

TEST_F(Hdf5File, AFileOfAnotherFormatIsRefusedByName) {
  const fs::path path = directory_ / "notes.h5";
  std::ofstream(path) << "not HDF5 at all, only words";

  const std::string message = message_of<DataError>([&] { contents(path); });

  EXPECT_NE(message.find(path.string()), std::string::npos) << message;
}

TEST_F(Hdf5File, ReadingPastTheEndSaysWhereTheFileEnds) {
  const fs::path path = write_small_file();
  const RawFile file(path, RawFile::Mode::read);
  std::vector<std::byte> bytes(10);

  const std::string message =
      message_of<DataError>([&] { file.read_at(file.size() - 5, bytes.data(), 10); });

  EXPECT_NE(message.find("ends at byte " + std::to_string(file.size())), std::string::npos)
      << message;
}

TEST_F(Hdf5File, AMissingFileIsADataErrorWhenReadAndADiskErrorWhenWritten) {
  EXPECT_THROW(RawFile(directory_ / "none", RawFile::Mode::read), DataError);
  EXPECT_THROW(RawFile(directory_ / "none", RawFile::Mode::write), DiskError);
}

TEST_F(Hdf5File, AFullDiskIsADiskErrorOnReserveAndOnWrite) {
  const fs::path path = write_small_file();
  struct rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const struct rlimit small = {1 << 16, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const RawFile file(path, RawFile::Mode::write);
  const std::vector<char> bytes(1 << 17, 'x');

  EXPECT_THROW(file.reserve(1 << 20), DiskError);
  EXPECT_THROW(file.write_at(0, bytes.data(), bytes.size()), DiskError);
  EXPECT_THROW(create(directory_ / "big.h5", {{"/big", Type::uint8, {1 << 20}, {}}}), DiskError);

  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
}

TEST_F(Hdf5File, ChecksumIsTheOneOfXxh3AndChangesWithEveryByte) {
  const fs::path path = directory_ / "empty";
  std::ofstream(path).flush();
  // XXH3-64 of nothing, from xxHash's own test vectors.
  EXPECT_EQ(checksum_of_file(path), "xxh3:2d06800538d394c2");

  const fs::path small = write_small_file();
  const std::string whole = checksum_of_file(small);
  for (std::uint64_t at = 0; at < fs::file_size(small); at += 97) {
    std::fstream file(small, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 1));
    file.close();
    EXPECT_NE(checksum_of_file(small), whole) << "byte " << at;
    std::fstream again(small, std::ios::in | std::ios::out | std::ios::binary);
    again.seekp(static_cast<std::streamoff>(at));
    again.put(static_cast<char>(byte));
  }
  EXPECT_EQ(checksum_of_file(small), whole);
}

TEST_F(Hdf5File, H5pyReadsWhatWeWrite) {
  const std::string python = python_with_h5py();
  if (python.empty()) GTEST_SKIP() << "no h5py here";
  const fs::path path = write_small_file();

  const std::string script =
      "import h5py,sys; f=h5py.File(sys.argv[1],'r'); d=f['/train/samples']; "
      "assert d.dtype=='u1' and d[...].tolist()==[[0,1,2,3],[4,5,6,7],[8,9,10,11]]; "
      "assert d.attrs['global_shape'].tolist()==[3,4] and d.attrs['rows_before']==7; "
      "assert d.attrs['unit'] in (b'pixels','pixels') and f['/scale'][()]==0.125";

  EXPECT_EQ(std::system((python + " -c \"" + script + "\" " + path.string()).c_str()), 0);
}

TEST_F(Hdf5File, ReadsWhatH5pyWritesAndRefusesChunkedOnesWithTheRemedy) {
  const std::string python = python_with_h5py();
  if (python.empty()) GTEST_SKIP() << "no h5py here";
  const std::string folder = directory_.string();
  const std::string script =
      "import h5py,numpy,sys; f=h5py.File(sys.argv[1]+'/a.h5','w'); "
      "d=f.create_dataset('x/y',data=numpy.arange(6,dtype='f4').reshape(2,3)); "
      "d.attrs['unit']='nats'; d.attrs['n']=5; d.attrs['ratio']=0.5; f.close(); "
      "f=h5py.File(sys.argv[1]+'/b.h5','w'); "
      "f.create_dataset('z',data=numpy.zeros((4,4)),chunks=(2,2)); f.close()";
  ASSERT_EQ(std::system((python + " -c \"" + script + "\" " + folder).c_str()), 0);

  const DatasetFound found = contents(directory_ / "a.h5").at("/x/y");
  const std::string message = message_of<DataError>([&] { contents(directory_ / "b.h5"); });

  EXPECT_EQ(found.type, Type::float32);
  EXPECT_EQ(found.attributes.texts.at("unit"), "nats");
  EXPECT_EQ(found.attributes.integers.at("n"), std::vector<std::int64_t>{5});
  EXPECT_NE(message.find("'/z'"), std::string::npos) << message;
  EXPECT_NE(message.find("h5repack"), std::string::npos) << message;
}

}  // namespace
}  // namespace relgrad::hdf5
