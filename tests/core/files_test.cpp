#include "relgrad/core/files.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "relgrad/core/error.hpp"
#include "support/temporary_directory.hpp"

namespace relgrad {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      found.push_back(entry.path().filename().string());
    }
    return found;
  }
  const test::TemporaryDirectory folder_;
  const fs::path file_ = folder_.path() / "out.json";
  const fs::path other_ = folder_.path() / "other";
};

TEST_F(Files, WriteReplacesARegularFileAsAWholeAndKeepsItsPermissions) {
  write(file_, "a longer text that was there before");
  fs::permissions(file_, fs::perms::owner_read | fs::perms::owner_write);

  write_file(file_, "new");

  EXPECT_EQ(read_file(file_), "new");
  EXPECT_EQ(fs::status(file_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(names(), std::vector<std::string>{"out.json"});
}

TEST_F(Files, WriteFollowsALinkThatTheUserNamedButInAFolderOfOursTheLinkIsReplaced) {
  write(other_, "old");
  fs::create_symlink(other_, file_);
  write_file(file_, "through the link");
  EXPECT_EQ(read_file(other_), "through the link");
  EXPECT_TRUE(fs::is_symlink(file_));

  replace_file(file_, "in its place");
  EXPECT_EQ(read_file(other_), "through the link");
  EXPECT_FALSE(fs::is_symlink(file_));
}

TEST_F(Files, ADeviceOrPipeIsWrittenIntoAndStays) {
  ASSERT_EQ(mkfifo(file_.c_str(), 0600), 0);
  const int reader = open(file_.c_str(), O_RDONLY | O_NONBLOCK);

  write_file(file_, "text");

  char text[8] = {};
  EXPECT_EQ(read(reader, text, sizeof(text)), 4);
  EXPECT_STREQ(text, "text");
  EXPECT_TRUE(fs::is_fifo(file_));
  close(reader);
  EXPECT_THROW(write_file(file_, "text"), DiskError);  // nobody reads: no waiting for ever
  write_file("/dev/null", "text");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_THROW(write_file("/dev/full", "text"), DiskError);
}

TEST_F(Files, WriteRefusesAFolderAndALinkToNothing) {
  EXPECT_THROW(write_file(folder_.path(), "text"), UsageError);
  fs::create_symlink(other_, file_);
  EXPECT_THROW(write_file(file_, "text"), UsageError);
  EXPECT_FALSE(fs::exists(other_));
}

TEST_F(Files, AFileThatIsReplacedIsAskedFor) {
  const auto is_ours = [](const std::string& content) { return content == "ours"; };
  check_replaceable(file_, "--json", is_ours);  // nothing is there
  write(file_, "");
  check_replaceable(file_, "--json", is_ours);
  write(file_, "ours");
  check_replaceable(file_, "--json", is_ours);
  check_replaceable("/dev/null", "--json", is_ours);
  write(file_, "somebody's");
  EXPECT_THROW(check_replaceable(file_, "--json", is_ours), UsageError);
  EXPECT_THROW(check_replaceable(folder_.path(), "--json", is_ours), UsageError);
}

TEST_F(Files, ANewFileIsWholeOrAbsentAndNeverTakesANameThatIsInUse) {
  {
    const NewFile file(file_, "--output");
    write(file.temporary(), "half");
  }
  EXPECT_TRUE(names().empty());
  {
    NewFile file(file_, "--output");
    write(file.temporary(), "whole");
    EXPECT_FALSE(fs::exists(file_));
    file.commit();
  }
  EXPECT_EQ(read_file(file_), "whole");
  EXPECT_THROW(NewFile(file_, "--output"), UsageError);

  NewFile late(other_, "--output");
  write(late.temporary(), "late");
  write(other_, "was first");
  EXPECT_THROW(late.commit(), UsageError);
  EXPECT_EQ(read_file(other_), "was first");
}

TEST_F(Files, ALinkToNothingIsInTheWayOfANewFile) {
  fs::create_symlink(other_, file_);
  EXPECT_THROW(NewFile(file_, "--output"), UsageError);
}

TEST_F(Files, ANameOfFullLengthCanBeWritten) {
  const fs::path longest = folder_.path() / std::string(255, 'x');
  write_file(longest, "text");
  EXPECT_EQ(read_file(longest), "text");
  EXPECT_THROW(write_file(folder_.path() / std::string(256, 'x'), "text"), DiskError);
}

TEST_F(Files, ReadRefusesWhatIsNoFileInsteadOfWaiting) {
  EXPECT_THROW(read_file(folder_.path()), DataError);
  EXPECT_THROW(read_file("/dev/zero"), DataError);
  EXPECT_THROW(read_file(other_), DataError);
}

}  // namespace
}  // namespace relgrad
