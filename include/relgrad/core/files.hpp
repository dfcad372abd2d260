#pragma once
/// Files as a command makes and reads them. Every output is made beside its place, under a name by
/// chance that no link can stand at (O_EXCL), handed to the disk, and renamed: it is whole or
/// absent, and a failure leaves what was there before.
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace relgrad {

/// @throws UsageError "OPTION: PATH exists; ..." if anything, a link to nothing included, is there.
void refuse_existing(const std::filesystem::path& path, std::string_view option);

/// A file that must not exist yet, for a writer that makes it by name (hdf5::create).
class NewFile {
 public:
  /// Makes nothing. @throws UsageError if something is at `path`.
  NewFile(std::filesystem::path path, std::string_view option);
  ~NewFile();  // without commit(), nothing is left
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  /// Where to write until commit(): beside the path, nothing is there yet.
  const std::filesystem::path& temporary() const { return temporary_; }
  /// Hands the file to the disk and gives it its name. @throws DiskError; UsageError if the name
  /// was taken meanwhile.
  void commit();

 private:
  std::filesystem::path path_;
  std::string option_;
  std::filesystem::path temporary_;
};

/// In a directory of ours: `path`, a regular file, a link or nothing, becomes a regular file with
/// the content `text`, as a whole; what a link named stays. @throws DiskError.
void replace_file(const std::filesystem::path& path, std::string_view text);

/// Where the user names the file: gives `path` the content `text`. A regular file (also one that a
/// link names) is replaced as a whole and keeps its permissions; into a device, a pipe or standard
/// output by name the text is written. @throws DiskError, and UsageError where a directory or a
/// link to nothing is.
void write_file(const std::filesystem::path& path, std::string_view text);

/// Before a long computation: whether write_file(path) may go ahead.
/// @param may_replace  asked with the content of a regular file that is not empty
/// @throws UsageError "OPTION: ..." if it holds something else, or the path can hold no file
void check_replaceable(const std::filesystem::path& path, std::string_view option,
                       const std::function<bool(const std::string&)>& may_replace);

/// The whole content of a regular file or of a pipe; one that nobody writes to for 10 s, or
/// anything else, is refused. @throws DataError "PATH: cannot read: ..."
std::string read_file(const std::filesystem::path& path);

/// fsync of a directory, so that names made or renamed in it survive a crash; where the file system
/// cannot, nothing. @throws DiskError
void sync_directory_of(const std::filesystem::path& path);

}  // namespace relgrad
