#pragma once
/// What hdf5/ needs of the library: owning handles, its messages in our errors, its driver, its
/// types.
#include <fmt/format.h>
#include <hdf5.h>

#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "hdf5/file.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad::hdf5 {

static_assert(std::endian::native == std::endian::little,
              "raw bytes are written as they lie in memory, and files are little-endian");

/// Owns one identifier of the library; `Close` is the call that gives it back.
template <herr_t (*Close)(hid_t)>
class Handle {
 public:
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) Close(id_);
  }
  hid_t get() const { return id_; }
  herr_t close() { return Close(std::exchange(id_, H5I_INVALID_HID)); }

 private:
  hid_t id_;
};
using File = Handle<H5Fclose>;
using Dataset = Handle<H5Dclose>;
using Space = Handle<H5Sclose>;
using PropertyList = Handle<H5Pclose>;
using Datatype = Handle<H5Tclose>;
using Attribute = Handle<H5Aclose>;

/// While it lives the library prints nothing on standard error: its messages travel in ours.
class Quiet {
 public:
  Quiet() {
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Quiet() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// The innermost message of the library's error stack, without line breaks.
inline std::string reason() {
  std::string text;
  const auto first = [](unsigned n, const H5E_error2_t* error, void* to) -> herr_t {
    if (n == 0 && error->desc != nullptr) *static_cast<std::string*>(to) = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &text);
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text.empty() ? "no reason given by HDF5" : text;
}

/// `id` if the call that returned it succeeded; else throws E "WHAT (reason of the library)".
template <class E, class Id>
Id check(Id id, const std::string& what) {
  if (id < 0) throw E(fmt::format("{} ({})", what, reason()));
  return id;
}

/// The plain POSIX driver, without file locks: files are written once and renamed, locks protect
/// nothing here and fail on NFS and Lustre.
inline PropertyList serial_access() {
  PropertyList access(check<DiskError>(H5Pcreate(H5P_FILE_ACCESS), "HDF5 file access list"));
  check<DiskError>(H5Pset_fapl_sec2(access.get()), "HDF5 sec2 driver");
  check<DiskError>(H5Pset_file_locking(access.get(), false, true), "HDF5 file locking");
  check<DiskError>(H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG), "HDF5 close degree");
  return access;
}

/// @throws DataError
inline File open_to_read(const std::filesystem::path& path) {
  const PropertyList access = serial_access();
  return File(check<DataError>(
      H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()),
      path.string() + ": cannot be opened as HDF5; it is another format, cut or damaged"));
}

// The call that visits the objects of a file, by its name in HDF5 1.10 and in 1.12 and newer.
#if H5_VERSION_GE(1, 12, 0)
using ObjectInfo = H5O_info2_t;
constexpr auto visit_objects = &H5Ovisit3;
#else
using ObjectInfo = H5O_info_t;
constexpr auto visit_objects = &H5Ovisit2;
#endif

/// Every dataset of a file, "/group/name". @throws DataError
inline std::vector<std::string> dataset_names(const File& file, const std::filesystem::path& path) {
  // The library calls it: no exception may pass through, -1 ends the visit.
  const auto visit = [](hid_t, const char* name, const ObjectInfo* info, void* to) -> herr_t {
    try {
      if (info->type == H5O_TYPE_DATASET) {
        static_cast<std::vector<std::string>*>(to)->push_back(std::string("/") + name);
      }
      return 0;
    } catch (...) {
      return -1;
    }
  };
  std::vector<std::string> names;
  check<DataError>(
      visit_objects(file.get(), H5_INDEX_NAME, H5_ITER_NATIVE, visit, &names, H5O_INFO_BASIC),
      path.string() + ": its groups cannot be read; it is damaged");
  return names;
}

inline hid_t file_type(Type type) {
  switch (type) {
    case Type::uint8:
      return H5T_STD_U8LE;
    case Type::int64:
      return H5T_STD_I64LE;
    case Type::float32:
      return H5T_IEEE_F32LE;
    case Type::float64:
      return H5T_IEEE_F64LE;
  }
  throw ShapeError("hdf5: unknown element type");
}

/// @throws DataError if the product is no 64-bit number of bytes: a damaged file.
inline std::uint64_t count_of(const std::vector<std::uint64_t>& shape) {
  std::uint64_t count = 1;
  for (const std::uint64_t extent : shape) {
    constexpr std::uint64_t most = std::uint64_t{1} << 60U;  // times the 8 bytes of an element
    if (__builtin_mul_overflow(count, extent, &count) || count > most) {
      throw DataError("a dataset claims more elements than any file holds: damaged");
    }
  }
  return count;
}

}  // namespace relgrad::hdf5
